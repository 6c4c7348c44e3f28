package launch

import (
	"context"
	"strings"

	"github.com/claudemesh/claudemesh/internal/cli/prompt"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Step is what can be done to be in a mesh.
type Step func(ctx context.Context, a *shell.App) error

// The ways into a first mesh.
const (
	byLink = "link"
	byHand = "here"
	later  = "later"
)

// welcome leads who is in no mesh into one: it returns when a mesh is joined or made (cli 12).
func welcome(ctx context.Context, a *shell.App, p Parts, t *prompt.Terminal) error {
	choice, err := t.Pick(ctx, prompt.Menu{
		Title: "welcome to claudemesh", Detail: "a mesh for your coding sessions",
		Items: []prompt.Choice{
			{Value: byLink, Text: "join a mesh by an invite link"},
			{Value: byHand, Text: "make a mesh on this machine: no account, no network"},
			{Value: later, Text: "leave"},
		},
	})
	switch {
	case err != nil:
		return err
	case choice == byHand:
		return p.SetUp(ctx, a)
	case choice == later:
		return mesh.Errorf(mesh.Cancelled, "nothing was done")
	}
	return askLink(ctx, a, t)
}

// askLink asks for a link until one lets its user in.
func askLink(ctx context.Context, a *shell.App, t *prompt.Terminal) error {
	link := &prompt.Field{Label: "link", Empty: "https://…/i/CODE#OWNER, all of it", Check: checkLink}
	for {
		if err := t.Fill(ctx, &prompt.Form{Title: "join a mesh", Detail: "paste the link that you were sent", Fields: []*prompt.Field{link}, Done: "joins"}); err != nil {
			return err
		}
		_, err := join(ctx, a, strings.Trim(strings.TrimSpace(link.Value), `'"`))
		if err == nil || ctx.Err() != nil {
			return err
		}
		a.Warn("%s", mesh.PublicText(err))
	}
}

func checkLink(text string) error {
	if !shell.IsInvite(strings.Trim(strings.TrimSpace(text), `'"`)) {
		return mesh.Errorf(mesh.BadRequest, "an invite link is wanted, as `claudemesh share` prints it")
	}
	return nil
}
