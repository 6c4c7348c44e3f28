package peer

import (
	"strings"
	"testing"
)

func TestCutRows(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x\n", 10)
	for _, tc := range []struct {
		rows  int
		lines int // that are written
		last  string
	}{
		{0, 10, "x"}, {24, 10, "x"}, {11, 10, "x"}, {10, 9, "  … 2 more lines: `claudemesh peers` shows all"},
		{5, 4, "  … 7 more lines: `claudemesh peers` shows all"}, {1, 1, "  … 10 more lines: `claudemesh peers` shows all"},
	} {
		got := strings.Split(strings.TrimSuffix(cutRows(text, tc.rows), "\n"), "\n")
		if len(got) != tc.lines || got[len(got)-1] != tc.last {
			t.Errorf("%d rows: got %d lines that end in %q, want %d and %q", tc.rows, len(got), got[len(got)-1], tc.lines, tc.last)
		}
	}
}
