// Package prompt asks a human on a terminal: a form of a few lines, or one choice of several, drawn in place and gone when it
// is answered. It needs no colour, and fits what the terminal shows.
//
// It is small because the libraries for this work at the start of every verb (docs/decisions/0016).
package prompt

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Terminal is where a human is asked.
type Terminal struct {
	In   io.Reader                          // keys, as terminals send them
	Out  term.Stream                        // what is drawn
	Raw  func() (restore func(), err error) // keys come one by one from now on
	Size func() (columns, lines int)        // of the screen; 0 where nobody knows
}

// Open gives the terminal of two standard streams; false where one of them is none.
func Open(in io.Reader, out term.Stream) (*Terminal, bool) {
	f, ok := term.Reads(in)
	if !ok || !out.TTY {
		return nil, false
	}
	return &Terminal{In: f, Out: out, Raw: func() (func(), error) { return term.Raw(f) }, Size: out.Size}, true
}

// view is what is asked.
type view interface {
	draw(s term.Stream, columns, lines int) []string
	// press takes a key, and reports whether the question is answered.
	press(k key) bool
}

// The size of a screen that does not tell it.
const (
	usualColumns = 80
	usualLines   = 24
)

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	lineEnd    = "\x1b[K"
	restEnd    = "\x1b[J"
)

// ask draws a view and gives it keys until it is answered. cancelled: the human left, or ctx ended. The screen and the
// terminal are then as they were.
func (t *Terminal) ask(ctx context.Context, v view) (err error) {
	restore, err := t.Raw()
	if err != nil {
		return mesh.Errorf(mesh.IOError, "ask on this terminal: %w", err)
	}
	defer restore()
	up := 0
	defer func() { t.write("\r" + above(up) + restEnd + showCursor) }()
	in := newKeys(t.In)
	for {
		up = t.draw(v, up)
		pressed, err := in.next(ctx)
		if err != nil {
			return err
		}
		for _, k := range pressed {
			switch {
			case k.kind == keyLeave:
				return mesh.Errorf(mesh.Cancelled, "nothing was done")
			case v.press(k):
				return nil
			}
		}
	}
}

// draw puts a view in the place of the one before, whose last line is up lines below its first, and gives the same of this
// one.
func (t *Terminal) draw(v view, up int) int {
	columns, height := t.Size()
	if columns <= 0 || height <= 0 {
		columns, height = usualColumns, usualLines
	}
	lines := v.draw(t.Out, columns, height)
	lines = lines[:min(len(lines), height)]
	t.write(hideCursor + "\r" + above(up) + strings.Join(lines, lineEnd+"\n") + lineEnd + restEnd)
	return len(lines) - 1
}

// above moves the cursor up.
func above(lines int) string {
	if lines <= 0 {
		return ""
	}
	return "\x1b[" + strconv.Itoa(lines) + "A"
}

func (t *Terminal) write(text string) {
	_, _ = io.WriteString(t.Out, text) // a terminal that is gone sends no key either
}

// keys reads what is pressed.
type keys struct {
	in   io.Reader
	rest []byte // the beginning of a sequence
}

func newKeys(in io.Reader) *keys { return &keys{in: in} }

// maxRead is how much is read at once: a link that is pasted fits.
const maxRead = 4096

// next gives what was pressed, at least one key. The end of the input is as good as leaving. Only while it waits is
// something read: what is typed ahead is for whoever comes next.
func (k *keys) next(ctx context.Context) ([]key, error) {
	for {
		read := make(chan []byte, 1)
		failed := make(chan error, 1)
		go func() { // ends with a key, or with the process
			buf := make([]byte, maxRead)
			n, err := k.in.Read(buf)
			if n == 0 && err != nil {
				failed <- err
				return
			}
			read <- buf[:n]
		}()
		select {
		case <-ctx.Done():
			return nil, mesh.Errorf(mesh.Cancelled, "nothing was done")
		case err := <-failed:
			if errors.Is(err, io.EOF) {
				return []key{{kind: keyLeave}}, nil
			}
			return nil, mesh.Errorf(mesh.IOError, "read a key: %w", err)
		case data := <-read:
			var pressed []key
			pressed, k.rest = parseKeys(append(k.rest, data...))
			if len(pressed) > 0 {
				return pressed, nil
			}
		}
	}
}
