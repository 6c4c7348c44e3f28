package buildinfo

import (
	"strconv"
	"strings"
)

// Older reports whether version a is certainly older than b. Both are tags such as v1.2.3 or v1.2.3-rc.1, or descriptions of
// a tree behind one, such as v1.2.3-14-g1a2b3c4d. Of what cannot be ordered, such as "dev", neither is older.
func Older(a, b string) bool {
	x, okA := parse(a)
	y, okB := parse(b)
	if !okA || !okB {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return false
}

// place is where a version stands: major, minor, patch, whether it is a release rather than one to come, commits behind it.
type place [5]int

func parse(version string) (place, bool) {
	core, rest, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(version), "v"), "-")
	core, _, _ = strings.Cut(core, "+")
	numbers := strings.Split(core, ".")
	var p place
	if len(numbers) != 3 {
		return p, false
	}
	for i, n := range numbers {
		v, err := strconv.Atoi(n)
		if err != nil || v < 0 {
			return p, false
		}
		p[i] = v
	}
	words := strings.Split(strings.TrimSuffix(rest, "-dirty"), "-")
	if n := len(words); n >= 2 && strings.HasPrefix(words[n-1], "g") { // <commits>-g<hash>
		if commits, err := strconv.Atoi(words[n-2]); err == nil {
			p[4], words = commits, words[:n-2]
		}
	}
	if len(words) == 0 || words[0] == "" || words[0] == "dirty" {
		p[3] = 1
	}
	return p, true
}
