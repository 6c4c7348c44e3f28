package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func newWhoami(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Show who you are: meshes, keys and session",
		Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.whoami(cmd.Context()) },
	}
}

// whoamiView is the JSON of whoami. There is no account, so nobody is ever signed in.
type whoamiView struct {
	header
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

func (a *app) whoami(ctx context.Context) error {
	answer, err := call(ctx, a, localapi.Whoami, callTime, localapi.None{})
	if err != nil {
		return err
	}
	v := whoamiView{header: newHeader(), User: answer.User, Session: answer.Session}
	v.Local = whoamiLocal{ConfigPath: answer.ConfigPath, Meshes: []whoamiMesh{}}
	for _, m := range answer.Meshes {
		v.Local.Meshes = append(v.Local.Meshes, whoamiMesh{m.Slug, m.MeshID, m.MemberID, m.Pubkey, term.Short(string(m.Pubkey), 12), m.Role, m.IsOwner})
	}
	if err := a.print(v, func(s term.Stream) { writeWhoami(s, v) }); err != nil {
		return err
	}
	if len(v.Local.Meshes) == 0 {
		return exitError(mesh.ExitAuth)
	}
	return nil
}

func writeWhoami(s term.Stream, v whoamiView) {
	if v.Session != nil {
		s.Section("session")
		s.Pairs([2]string{"name", v.Session.DisplayName}, [2]string{"id", v.Session.SessionID}, [2]string{"host", v.Session.Host.Name})
		for _, m := range v.Session.Sessions {
			s.Line("%s %s", s.Paint(term.Bold, m.Mesh), s.Paint(term.Dim, joinFacts(m.DisplayName, m.SessionPubkey.Short(), m.Status)))
		}
	}
	s.Section("member")
	s.Pairs([2]string{"user", v.User}, [2]string{"config", v.Local.ConfigPath})
	if len(v.Local.Meshes) == 0 {
		s.Empty("no mesh joined")
		s.Hint("claudemesh up makes one on this machine, claudemesh join <link> joins another")
	}
	for _, m := range v.Local.Meshes {
		role := m.Role
		if m.IsOwner {
			role = "owner"
		}
		s.Line("%s %s", s.Paint(term.Bold, m.Slug), s.Paint(term.Dim, joinFacts(role, m.Pubkey.Short())))
	}
}
