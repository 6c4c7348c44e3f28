package term

import (
	"strings"

	"rsc.io/qr/coding"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Sizes of a code on a terminal: two modules stand above each other in one character.
const (
	quietModules = 2  // light ones around the code; scanners want some
	maxQRLines   = 23 // with one for the prompt, what a terminal shows at once (80×24)
)

// QR writes text as a code to be scanned, at most 23 lines of 49 columns. More than 134 bytes do not fit:
// payload_too_large, and nothing is written.
func (s Stream) QR(text string) error {
	code, err := encodeQR(text)
	if err != nil {
		return err
	}
	for y := -quietModules; y < code.Size+quietModules; y += 2 {
		var row strings.Builder
		for x := -quietModules; x < code.Size+quietModules; x++ {
			row.WriteString(s.modules(code.Black(x, y), code.Black(x, y+1)))
		}
		s.Line("%s", s.onWhite(row.String()))
	}
	return nil
}

// FitsQR reports whether QR can show a text.
func FitsQR(text string) bool {
	_, err := encodeQR(text)
	return err == nil
}

// encodeQR makes the smallest code of a text, with the least redundancy: a screen has no dirt.
func encodeQR(text string) (*coding.Code, error) {
	data := coding.String(text)
	for v := coding.Version(coding.MinVersion); v <= coding.MaxVersion && linesOf(v) <= maxQRLines; v++ {
		if data.Bits(v) > v.DataBytes(coding.L)*8 {
			continue
		}
		plan, err := coding.NewPlan(v, coding.L, 0)
		if err != nil {
			return nil, mesh.Errorf(mesh.Internal, "plan a code: %w", err)
		}
		code, err := plan.Encode(data)
		if err != nil {
			return nil, mesh.Errorf(mesh.Internal, "encode a code: %w", err)
		}
		return code, nil
	}
	return nil, mesh.Errorf(mesh.PayloadTooLarge, "%d bytes are too many for a code that fits a terminal", len(text))
}

// linesOf is the height of a version on a terminal.
func linesOf(v coding.Version) int { return (17 + 4*int(v) + 2*quietModules + 1) / 2 }

// modules is the character of two modules above each other. Where colours can be set, the dark ones are drawn on
// white; elsewhere the light ones are, as most terminals are dark.
func (s Stream) modules(upper, lower bool) string {
	if !s.colour {
		upper, lower = !upper, !lower
	}
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	}
	return " "
}

// onWhite sets black on white, whatever the colours of the terminal are.
func (s Stream) onWhite(row string) string {
	if !s.colour {
		return row
	}
	return "\x1b[38;5;16;48;5;231m" + row + "\x1b[0m"
}
