package rig

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestClockIsTurnedForOthersOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		before, really := c.Now(), time.Now()
		if !before.Equal(really) || before.UnixNano() != really.UnixNano() || before.Format(time.RFC3339Nano) != really.Format(time.RFC3339Nano) {
			t.Errorf("got %v before any turn, want %v", before, really)
		}
		for _, by := range []time.Duration{13 * time.Hour, -50 * time.Hour, 1500 * time.Millisecond} {
			c = Clock{}
			c.Turn(by)
			time.Sleep(3 * time.Second)
			after := c.Now()
			if got := after.Sub(before); got != time.Since(really) || !after.After(before) {
				t.Errorf("turned by %v: %v have passed, want %v", by, got, time.Since(really))
			}
			if got := time.Duration(after.UnixNano() - before.UnixNano()); got != by+time.Since(really) {
				t.Errorf("turned by %v: the numbers differ by %v, want %v", by, got, by+time.Since(really))
			}
			if want := really.Add(time.Since(really) + by).Format(time.RFC3339Nano); after.Format(time.RFC3339Nano) != want {
				t.Errorf("turned by %v: got %v, want %s", by, after, want)
			}
		}
	})
}
