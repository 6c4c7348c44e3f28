package replay

import (
	"strconv"
	"sync"
	"testing"
	"time"
)

func TestRemembersForItsTime(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(0)
	c := New(120*time.Second, func() time.Time { return now })
	for _, step := range []struct {
		at    time.Duration
		parts []string
		first bool
	}{
		{0, []string{"a"}, true},
		{0, []string{"a"}, false},
		{0, []string{"a", ""}, true},
		{0, []string{"", "a"}, true},
		{119 * time.Second, []string{"b"}, true},
		{120 * time.Second, []string{"a"}, false},
		{238 * time.Second, []string{"b"}, false},
		{480 * time.Second, []string{"a"}, true},
		{1000 * time.Second, []string{"a"}, true},
		{1000*time.Second - time.Hour, []string{"a"}, false}, // the clock was set back
	} {
		now = time.UnixMilli(0).Add(step.at)
		if got := c.First(step.parts...); got != step.first {
			t.Errorf("at %v %q: got first %v, want %v", step.at, step.parts, got, step.first)
		}
	}
}

func TestIsBounded(t *testing.T) {
	t.Parallel()
	c := New(time.Minute, func() time.Time { return time.UnixMilli(0) })
	c.limit = 10
	for i := range 1000 {
		c.First(strconv.Itoa(i))
	}
	if n := len(c.young) + len(c.old); n > 20 {
		t.Errorf("got %d remembered, want at most 20", n)
	}
	if c.First("999") {
		t.Error("the last one was forgotten")
	}
}

func TestOnlyOneIsFirst(t *testing.T) {
	t.Parallel()
	c := New(time.Minute, time.Now)
	var wg sync.WaitGroup
	var mu sync.Mutex
	first := 0
	for range 32 {
		wg.Go(func() {
			if c.First("same") {
				mu.Lock()
				first++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if first != 1 {
		t.Errorf("got %d first, want 1", first)
	}
}
