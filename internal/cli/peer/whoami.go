package peer

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// NewWhoami shows this user and session.
func NewWhoami(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Show who you are: meshes, keys and session",
		Long: "Show who you are: your key and role in each joined mesh and, inside a host session, that session's name and keys. The " +
			"exit status is 2 when no mesh is joined.",
		Args: a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runWhoami(cmd.Context(), a) },
	}
}

// whoamiView is the JSON of whoami. There is no account, so nobody is ever signed in (cli 24).
type whoamiView struct {
	shell.Header
	SignedIn bool              `json:"signed_in"`
	User     string            `json:"user_name"`
	Local    whoamiLocal       `json:"local"`
	Session  *localapi.Session `json:"session,omitzero"`
}

type whoamiLocal struct {
	ConfigPath string       `json:"config_path"`
	Meshes     []whoamiMesh `json:"meshes"`
}

type whoamiMesh struct {
	Slug         string   `json:"slug"`
	MeshID       mesh.ID  `json:"mesh_id"`
	MemberID     mesh.ID  `json:"member_id"`
	Pubkey       mesh.Key `json:"pubkey"`
	PubkeyPrefix string   `json:"pubkey_prefix"`
	Role         string   `json:"role"`
	IsOwner      bool     `json:"is_owner"`
}

func runWhoami(ctx context.Context, a *shell.App) error {
	answer, err := shell.Call(ctx, a, localapi.Whoami, shell.CallTime, localapi.None{})
	if err != nil {
		return err
	}
	v := newWhoamiView(answer)
	if err := a.Print(v, func(s term.Stream) { writeWhoami(s, v) }); err != nil {
		return err
	}
	if len(v.Local.Meshes) == 0 {
		return shell.Exit(mesh.ExitAuth)
	}
	return nil
}

func newWhoamiView(answer localapi.WhoamiAnswer) whoamiView {
	v := whoamiView{Header: shell.NewHeader(), User: answer.User, Session: answer.Session}
	v.Local = whoamiLocal{ConfigPath: answer.ConfigPath, Meshes: []whoamiMesh{}}
	for _, m := range answer.Meshes {
		prefix := string(m.Pubkey[:min(12, len(m.Pubkey))])
		v.Local.Meshes = append(v.Local.Meshes, whoamiMesh{m.Slug, m.MeshID, m.MemberID, m.Pubkey, prefix, m.Role, m.IsOwner})
	}
	return v
}

func writeWhoami(s term.Stream, v whoamiView) {
	if v.Session != nil {
		s.Section("session")
		s.Pairs([2]string{"name", v.Session.DisplayName}, [2]string{"id", v.Session.SessionID}, [2]string{"host", v.Session.Host.Name})
		var rows [][2]string
		for _, m := range v.Session.Sessions {
			rows = append(rows, [2]string{m.Mesh, shell.Facts(m.DisplayName, m.SessionPubkey.Short(), m.Status)})
		}
		s.Rows(rows...)
	}
	s.Section("member")
	s.Pairs([2]string{"user", v.User}, [2]string{"config", v.Local.ConfigPath})
	if len(v.Local.Meshes) == 0 {
		shell.NothingJoined(s)
	}
	var rows [][2]string
	for _, m := range v.Local.Meshes {
		rows = append(rows, [2]string{m.Slug, shell.Facts(shell.RoleWord(m.Role, m.IsOwner), m.Pubkey.Short())})
	}
	s.Rows(rows...)
}
