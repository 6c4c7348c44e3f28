package pathway

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &Pace{Burst: 3, Every: 2 * time.Second}
	for _, c := range []struct {
		after time.Duration
		spend int
		room  int
		wait  time.Duration
	}{
		{0, 0, 3, 0},
		{0, 2, 1, 0},
		{0, 1, 0, 2 * time.Second},
		{time.Second, 0, 0, time.Second},
		{time.Second, 0, 1, 0},
		{0, 1, 0, 2 * time.Second},
		{5 * time.Second, 0, 2, 0}, // half of one does not count
		{time.Minute, 0, 3, 0},
		{0, 3, 0, 2 * time.Second},
		{-13 * time.Hour, 0, 0, 2 * time.Second}, // a clock that is set back costs no more than a burst
		{2 * time.Second, 0, 1, 0},
	} {
		now = now.Add(c.after)
		if c.spend > 0 {
			p.Spend("s", c.spend, now)
		}
		if room, wait := p.Room("s", now); room != c.room || wait != c.wait {
			t.Errorf("%v later, %d spent: room for %d in %v, want %d in %v", c.after, c.spend, room, wait, c.room, c.wait)
		}
	}
}

func TestPaceIsOfOneSession(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &Pace{Burst: 2, Every: time.Second}
	p.Spend("one", 2, now)
	if n, _ := p.Room("two", now); n != 2 || p.Known("two") || !p.Known("one") {
		t.Errorf("room for %d in a session that was offered nothing", n)
	}
	p.Retain(func(session string) bool { return session == "two" })
	if n, _ := p.Room("one", now); n != 2 || p.Known("one") {
		t.Errorf("room for %d in a session that was forgotten", n)
	}
}
