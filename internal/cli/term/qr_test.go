package term

import (
	"bytes"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// scanned gives the dark modules of a code as they stand on the terminal, by its two ways to draw them.
func scanned(t *testing.T, colour bool, text string) [][]bool {
	t.Helper()
	var out bytes.Buffer
	if err := (Stream{Writer: &out, colour: colour}).QR(text); err != nil {
		t.Fatal(err)
	}
	var rows [][]bool
	for line := range strings.SplitSeq(strings.TrimSuffix(out.String(), "\n"), "\n") {
		line, drawn := strings.TrimPrefix(line, margin), false
		if colour {
			line, drawn = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[38;5;16;48;5;231m"), "\x1b[0m"), true
		}
		var upper, lower []bool
		for _, r := range line {
			upper = append(upper, (r == '█' || r == '▀') == drawn)
			lower = append(lower, (r == '█' || r == '▄') == drawn)
		}
		rows = append(rows, upper, lower)
	}
	return rows
}

func TestQR(t *testing.T) {
	t.Parallel()
	text := "https://192.168.100.200:7900/i/7dQm4xZt9BcA#q0Zr2v8mT5Wc1yN4kLxU3g." + strings.Repeat("x", 43)
	for _, colour := range []bool{false, true} {
		rows := scanned(t, colour, text)
		code, err := encodeQR(text)
		if err != nil {
			t.Fatal(err)
		}
		if width := code.Size + 2*quietModules; len(rows) > 2*maxQRLines || len(rows[0]) != width || len(rows) < width {
			t.Fatalf("got %d×%d modules for a code of %d", len(rows[0]), len(rows), code.Size)
		}
		for y, row := range rows {
			for x, dark := range row {
				if dark != code.Black(x-quietModules, y-quietModules) {
					t.Fatalf("colour %t: got dark %t at %d,%d, want the code's module", colour, dark, x, y)
				}
			}
		}
		if rows[0][0] || !rows[quietModules][quietModules] || rows[quietModules+1][quietModules+1] || !rows[quietModules+2][quietModules+2] {
			t.Errorf("colour %t: the corner is not a finder pattern within light modules", colour)
		}
	}
}

func TestQRIsBounded(t *testing.T) {
	t.Parallel()
	for n, ok := range map[int]bool{0: true, 134: true, 135: false, 5000: false} {
		var out bytes.Buffer
		err := Stream{Writer: &out}.QR(strings.Repeat("a", n))
		if (err == nil) != ok || !ok && (!mesh.IsCode(err, mesh.PayloadTooLarge) || out.Len() > 0) {
			t.Errorf("%d bytes: got %v and %d bytes written, want ok %t", n, err, out.Len(), ok)
		}
		if lines := strings.Count(out.String(), "\n"); lines > maxQRLines {
			t.Errorf("%d bytes: got %d lines, want at most %d", n, lines, maxQRLines)
		}
	}
}
