package membership

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// NewList lists the joined meshes.
func NewList(a *shell.App) *cobra.Command {
	var slug string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"},
		Short:       "List the joined meshes",
		Long:        "List the joined meshes and whether their brokers answer.",
		Example:     "claudemesh list --json=slug,status",
		Annotations: map[string]string{shell.AlsoKey: "workspace list"},
		Args:        a.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return runList(cmd.Context(), a, slug) },
	}
	cmd.Flags().StringVar(&slug, "mesh", "", "this mesh only, by its short `name`")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// listView is one element of the JSON of list.
type listView struct {
	localapi.Mesh
	Local  bool `json:"local"`
	Server bool `json:"server" jsonschema:"the broker answers"`
}

func runList(ctx context.Context, a *shell.App, slug string) error {
	answer, err := shell.Call(ctx, a, localapi.Meshes, shell.CallTime, localapi.None{})
	if err != nil {
		return err
	}
	if slug == "" && len(answer.Unserved) > 0 {
		a.Warn("joined, and left out by the daemon until its next start: %s", strings.Join(answer.Unserved, ", "))
	}
	views := make([]listView, 0, len(answer.Meshes))
	for _, m := range answer.Meshes {
		if slug == "" || m.Slug == slug {
			views = append(views, listView{Mesh: m, Local: true, Server: m.Status == shell.StatusOpen})
		}
	}
	if slices.Contains(answer.Unserved, slug) {
		return mesh.Errorf(mesh.MeshNotAttached, "%s is joined, and left out by the daemon until its next start", slug).With(mesh.Details{Attached: shell.Slugs(answer.Meshes)})
	}
	if slug != "" && len(views) == 0 {
		return mesh.Errorf(mesh.MeshNotAttached, "%s is not joined", slug).With(mesh.Details{Attached: shell.Slugs(answer.Meshes)})
	}
	return a.Print(views, func(s term.Stream) { writeMeshes(s, views, answer.ConfigPath, a.Now()) })
}

func writeMeshes(s term.Stream, views []listView, configPath string, now time.Time) {
	if len(views) == 0 {
		shell.NothingJoined(s)
		return
	}
	width := 0
	for _, v := range views {
		width = max(width, term.Width(term.Clean(v.Slug)))
	}
	for _, v := range views {
		dot := s.Paint(term.Yellow, "●")
		if v.Server {
			dot = s.Paint(term.Green, "●")
		}
		pad := strings.Repeat(" ", width-term.Width(term.Clean(v.Slug)))
		s.Line("%s %s%s  %s", dot, s.Paint(term.Bold, v.Slug), pad, s.Paint(term.Dim, shell.Facts(
			shell.RoleWord(v.Role, v.IsOwner), v.Status, shell.Waiting(v.Pending), shell.Prefixed("joined ", shell.Ago(now, v.JoinedAt)))))
		s.Line("    %s", s.Paint(term.Dim, shell.Facts(v.BrokerURL, shell.Prefixed("fingerprint ", v.OwnerPrint))))
		if v.LastError != "" {
			s.Line("    %s", s.Paint(term.Yellow, v.LastError))
		}
	}
	s.Line("%s", s.Paint(term.Dim, "kept in "+configPath))
}
