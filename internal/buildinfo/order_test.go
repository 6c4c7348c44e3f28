package buildinfo

import "testing"

func TestOlder(t *testing.T) {
	t.Parallel()
	// Each is older than all below it.
	order := []string{
		"v0.9.9-rc.1", "v0.9.9", "v0.9.9-3-gabcdef12", "v0.9.9-14-gabcdef12-dirty", "v0.10.0-rc.2", "0.10.0", "v0.10.1", "v1.0.0", "v1.0.0-1-g0", "v10.0.0",
	}
	for i, a := range order {
		for j, b := range order {
			if got := Older(a, b); got != (i < j) {
				t.Errorf("Older(%s, %s) is %t", a, b, got)
			}
		}
	}
	for _, odd := range []string{"", "dev", "1a2b3c4d", "v1", "v1.2", "v1.2.x", "v1.2.-3", "v1.2.3.4"} {
		if Older(odd, "v9.9.9") || Older("v0.0.1", odd) {
			t.Errorf("%q is in order, want it beside every other", odd)
		}
	}
	for _, same := range [][2]string{{"v1.2.3", "1.2.3\n"}, {"v1.2.3-dirty", "v1.2.3"}, {"v1.2.3-rc.1", "v1.2.3-rc.2"}, {"v1.2.3+linux", "v1.2.3"}} {
		if Older(same[0], same[1]) || Older(same[1], same[0]) {
			t.Errorf("%q and %q are in order, want neither older", same[0], same[1])
		}
	}
}
