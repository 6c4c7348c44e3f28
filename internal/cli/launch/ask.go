package launch

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/cli/prompt"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// ask has a human fill in what no flag says: nothing where everything was said.
func (o *options) ask(ctx context.Context, a *shell.App, t *prompt.Terminal, meshes []localapi.Mesh) error {
	before := lastUsed(a)
	f := &prompt.Form{Title: "launch Claude Code", Detail: a.Sys.WorkDir, Done: "launches"}
	var taken []func()
	add := func(missing bool, field *prompt.Field, take func(string)) {
		if missing {
			f.Fields = append(f.Fields, field)
			taken = append(taken, func() { take(strings.TrimSpace(field.Value)) })
		}
	}
	add(o.mesh == "" && len(meshes) > 1, meshField(meshes, before.Mesh), func(v string) { o.mesh = v })
	add(o.name == "" && a.Env.DisplayName == "", &prompt.Field{
		Label: "name", Value: before.Name, Check: optional(mesh.CheckName),
		Empty: "as Claude Code calls it, else " + filepath.Base(a.Sys.WorkDir),
	}, func(v string) { o.name = v })
	add(o.role == "", &prompt.Field{Label: "role", Value: before.Role, Empty: "none", Check: checkRole}, func(v string) { o.role = v })
	add(len(o.groups) == 0, &prompt.Field{
		Label: "groups", Value: strings.Join(before.Groups, ","), Empty: "none; several with commas, a role behind a colon", Check: checkGroups,
	}, func(v string) { o.groups = splitGroups(v) })
	add(o.mode == "", modeField(before.MessageMode), func(v string) { o.mode = v })
	if len(f.Fields) == 0 {
		return nil
	}
	f.BelowTitle, f.Below = whoIsThere(ctx, a, o.mesh)
	if err := t.Fill(ctx, f); err != nil {
		return err
	}
	for _, take := range taken {
		take()
	}
	return nil
}

func meshField(meshes []localapi.Mesh, before string) *prompt.Field {
	f := &prompt.Field{Label: "mesh", Value: before, Choices: []prompt.Choice{{Value: "", Text: everyMesh}}}
	for _, slug := range shell.Slugs(meshes) {
		f.Choices = append(f.Choices, prompt.Choice{Value: slug, Text: slug})
	}
	return f
}

func modeField(before string) *prompt.Field {
	return &prompt.Field{Label: "messages", Value: before, Choices: []prompt.Choice{
		{Value: localapi.ModePush, Text: "push: shown when they come"},
		{Value: localapi.ModeInbox, Text: "inbox: announced, without their text"},
		{Value: localapi.ModeOff, Text: "off: nothing, until you say otherwise"},
	}}
}

// optional is a check that takes nothing, too.
func optional(check func(string) error) func(string) error {
	return func(text string) error {
		if text = strings.TrimSpace(text); text == "" {
			return nil
		}
		return check(text)
	}
}

func checkGroups(text string) error {
	_, err := localapi.ParseGroups(splitGroups(text))
	return err
}

func splitGroups(text string) []string {
	return slices.DeleteFunc(strings.Split(strings.ReplaceAll(text, " ", ""), ","), func(word string) bool { return word == "" })
}

// rosterTime is how long the roster is waited for: it is only good to know.
const rosterTime = time.Second

// whoIsThere lists who is online in a mesh, or in all of them.
func whoIsThere(ctx context.Context, a *shell.App, slug string) (title string, rows []string) {
	answer, err := shell.Ask(ctx, a, localapi.Peers, rosterTime, localapi.PeersRequest{Mesh: slug})
	if err != nil {
		return "nobody can be asked who is online", nil
	}
	for _, p := range answer.Peers {
		if self := p.IsSelf && p.Pubkey == p.MemberPubkey; shell.Online(p) && !self {
			rows = append(rows, shell.Facts(p.DisplayName, string(p.Status), p.Role, p.Mesh))
		}
	}
	for _, m := range answer.Meshes {
		if !m.OK {
			rows = append(rows, m.Mesh+" does not answer")
		}
	}
	if len(rows) == 0 {
		return "online now", []string{"nobody yet: `claudemesh share` invites others"}
	}
	return "online now: " + strconv.Itoa(len(rows)), rows
}
