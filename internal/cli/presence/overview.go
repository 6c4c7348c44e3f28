package presence

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// NewMe prints what one is part of.
func NewMe(a *shell.App) *cobra.Command {
	cmd := NewOverview(a)
	cmd.Use, cmd.Annotations = "me", map[string]string{shell.AlsoKey: "workspace overview"}
	return cmd
}

// NewOverview is me under the noun workspace.
func NewOverview(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use:     "overview",
		Short:   "See all your meshes at once",
		Long:    "See all your meshes at once: what you are in each of them, who is there, and how much waits to be read.",
		Example: "claudemesh me --json=totals",
		Args:    a.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runOverview(cmd.Context(), a) },
	}
}

// overviewView is the JSON of me, in the words of the first system (cli 20).
type overviewView struct {
	shell.Header
	User   string         `json:"user"`
	Meshes []overviewMesh `json:"meshes"`
	Totals overviewTotals `json:"totals"`
}

type overviewMesh struct {
	MeshID   mesh.ID `json:"meshId"`
	Slug     string  `json:"slug"`
	Name     string  `json:"name"`
	MemberID mesh.ID `json:"memberId"`
	Role     string  `json:"myRole"`
	IsOwner  bool    `json:"isOwner"`
	JoinedAt string  `json:"joinedAt"`
	Status   string  `json:"status"`
	Peers    int     `json:"peers" jsonschema:"known ones, online or not"`
	Online   int     `json:"online"`
}

type overviewTotals struct {
	Meshes int `json:"meshes"`
	Peers  int `json:"peers"`
	Online int `json:"online"`
	Unread int `json:"unread"`
}

func runOverview(ctx context.Context, a *shell.App) error {
	me, err := shell.Call(ctx, a, localapi.Whoami, shell.CallTime, localapi.None{})
	if err != nil {
		return err
	}
	peers, err := shell.Call(ctx, a, localapi.Peers, shell.CallTime, localapi.PeersRequest{Offline: true})
	if err != nil {
		return err
	}
	inbox, err := shell.Call(ctx, a, localapi.Inbox, shell.CallTime, localapi.InboxRequest{Limit: 1, MarkSeen: new(false)})
	if err != nil {
		return err
	}
	v := overviewOf(me, peers)
	v.Totals.Unread = inbox.Unread
	return a.Print(v, func(s term.Stream) { writeOverview(s, v, a.Now()) })
}

func overviewOf(me localapi.WhoamiAnswer, peers localapi.PeersAnswer) overviewView {
	v := overviewView{Header: shell.NewHeader(), User: me.User, Meshes: []overviewMesh{}, Totals: overviewTotals{Meshes: len(me.Meshes)}}
	for _, m := range me.Meshes {
		row := overviewMesh{
			MeshID: m.MeshID, Slug: m.Slug, Name: m.Name, MemberID: m.MemberID, Role: m.Role, IsOwner: m.IsOwner, JoinedAt: m.JoinedAt, Status: m.Status,
		}
		for _, p := range peers.Peers {
			if p.Mesh != m.Slug {
				continue
			}
			row.Peers++
			if shell.Online(p) {
				row.Online++
			}
		}
		v.Totals.Peers += row.Peers
		v.Totals.Online += row.Online
		v.Meshes = append(v.Meshes, row)
	}
	return v
}

func writeOverview(s term.Stream, v overviewView, now time.Time) {
	if len(v.Meshes) == 0 {
		shell.NothingJoined(s)
		return
	}
	s.Heading(v.User, shell.Facts(
		shell.Count(v.Totals.Meshes, "mesh", "meshes"), shell.Count(v.Totals.Online, "peer", "peers")+" online", shell.Count(v.Totals.Unread, "message", "messages")+" unread"))
	rows := make([][2]string, 0, len(v.Meshes))
	for _, m := range v.Meshes {
		status := m.Status
		if status == shell.StatusOpen {
			status = ""
		}
		rows = append(rows, [2]string{m.Slug, shell.Facts(
			shell.RoleWord(m.Role, m.IsOwner), shell.Count(m.Online, "peer", "peers")+" online of "+shell.Count(m.Peers, "known one", "known"), status,
			shell.Prefixed("joined ", shell.Ago(now, m.JoinedAt)))})
	}
	s.Rows(rows...)
}
