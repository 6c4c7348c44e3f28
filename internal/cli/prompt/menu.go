package prompt

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/cli/term"
)

// Menu is one choice of several, which have lines of their own.
type Menu struct {
	Title, Detail string
	Items         []Choice // at least one
}

// Pick has a human choose, and gives the value. cancelled: nothing is to be done.
func (t *Terminal) Pick(ctx context.Context, m Menu) (string, error) {
	p := &picking{Menu: m}
	if err := t.ask(ctx, p); err != nil {
		return "", err
	}
	return m.Items[p.at].Value, nil
}

// picking is a menu while it is read.
type picking struct {
	Menu
	at int
}

func (p *picking) draw(s term.Stream, columns, _ int) []string {
	out := heading(s, p.Title, p.Detail, columns)
	for i, item := range p.Items {
		text := term.Fit(term.Clean(item.Text), columns-8)
		if number := string(rune('1' + i)); i == p.at {
			out = append(out, indent+s.Paint(term.Clay, mark)+" "+s.Paint(term.Dim, number)+" "+s.Paint(term.Bold, text))
		} else {
			out = append(out, indent+"  "+s.Paint(term.Dim, number)+" "+text)
		}
	}
	return append(out, "", foot(s, "Enter takes it · ↑↓ another one · Ctrl-C leaves", columns))
}

func (p *picking) press(k key) bool {
	n := len(p.Items)
	switch k.kind {
	case keyEnter:
		return true
	case keyUp, keyLeft:
		p.at = (p.at + n - 1) % n
	case keyDown, keyRight:
		p.at = (p.at + 1) % n
	case keyRune:
		if i := int(k.r - '1'); i >= 0 && i < n {
			p.at = i
			return true
		}
	}
	return false
}
