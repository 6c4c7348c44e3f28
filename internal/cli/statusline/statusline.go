// Package statusline is the verb status-line, which a host runs again and again to show the mesh below its prompt.
package statusline

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// lineTime is how long the daemon may take: a host that waits shows nothing.
const lineTime = 300 * time.Millisecond

// view is the JSON of status-line.
type view struct {
	shell.Header
	Text    string `json:"text" jsonschema:"as it is printed without --json"`
	Running bool   `json:"running" jsonschema:"the daemon answered"`
	localapi.StatusLineAnswer
}

// New prints the line.
func New(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use:   "status-line",
		Short: "Print one line about the mesh, for the status line of a host",
		Long: "Print one line about the mesh, without a newline, for the status line of Claude Code: the meshes with who is there of whom they know, the " +
			"session's name, what is unread or kept from it for you, and how many permissions `claudemesh approvals` has to be answered. `claudemesh install --status-line` puts it there. It asks the local daemon alone, " +
			"starts nothing, waits for at most a third of a second, and always succeeds.",
		Example: "claudemesh status-line\nclaudemesh status-line --json",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := look(cmd.Context(), a)
			return a.Print(v, func(s term.Stream) { _, _ = io.WriteString(s, v.Text) }) // a.Print sees to what fails
		},
	}
}

func look(ctx context.Context, a *shell.App) view {
	v := view{Header: shell.NewHeader()}
	answer, err := shell.Ask(ctx, a, localapi.StatusLine, lineTime, localapi.None{})
	switch {
	case err == nil:
		v.Running, v.StatusLineAnswer = true, answer
		v.Text = text(answer)
	case mesh.IsCode(err, mesh.DaemonDown):
		v.Text = "◇ idle" // the next verb or session starts it
	default:
		v.Text = "◇ no answer"
	}
	if v.Meshes == nil {
		v.Meshes = []localapi.StatusLineMesh{}
	}
	return v
}

// shown is how many meshes have a place in the line.
const shown = 3

// text is the line.
func text(l localapi.StatusLineAnswer) string {
	if len(l.Meshes) == 0 {
		return "◇ not joined"
	}
	var meshes []string
	for i, m := range l.Meshes {
		if i == shown {
			meshes = append(meshes, "+"+strconv.Itoa(len(l.Meshes)-shown))
			break
		}
		meshes = append(meshes, m.Mesh+" "+count(m))
	}
	facts := []string{strings.Join(meshes, ", "), l.Name}
	if l.Mode != "" && l.Mode != localapi.ModePush {
		facts = append(facts, l.Mode)
	}
	if n := l.Unread - l.Held; n > 0 {
		facts = append(facts, strconv.Itoa(n)+" unread")
	}
	if l.Held > 0 {
		facts = append(facts, strconv.Itoa(l.Held)+" held")
	}
	if l.Asked > 0 {
		facts = append(facts, strconv.Itoa(l.Asked)+" to approve")
	}
	return "◇ " + term.Clean(shell.Facts(facts...))
}

// count is who is there of whom a mesh knows; a mesh that is not connected says that.
func count(m localapi.StatusLineMesh) string {
	if m.Status != shell.StatusOpen {
		return m.Status
	}
	return strconv.Itoa(m.Online) + "/" + strconv.Itoa(m.Peers)
}
