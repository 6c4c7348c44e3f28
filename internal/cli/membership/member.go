package membership

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// NewMember is the noun member: list, role.
func NewMember(a *shell.App) *cobra.Command {
	return shell.Noun("member", "See who belongs to a mesh, and change what they may do", shell.CopyOf("members", newMemberList(a)), newMemberRole(a))
}

// NewMembers lists who belongs to the joined meshes.
func NewMembers(a *shell.App) *cobra.Command {
	cmd := newMemberList(a)
	cmd.Use, cmd.Annotations = "members", map[string]string{shell.AlsoKey: "member list"}
	return cmd
}

func newMemberList(a *shell.App) *cobra.Command {
	var req localapi.MembersRequest
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List who belongs to the joined meshes",
		Long: "List who belongs to the joined meshes, connected or not, in the order in which they joined. `claudemesh peers` lists their " +
			"sessions.",
		Example: "claudemesh members --online\n" +
			"claudemesh members --mesh team --json",
		Args: a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runMembers(cmd.Context(), a, req) },
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "of this mesh only, by its short `name`")
	cmd.Flags().BoolVar(&req.Online, "online", false, "only who is connected")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// membersView is the JSON of members.
type membersView struct {
	shell.Header
	Members []localapi.Member `json:"members"`
}

func runMembers(ctx context.Context, a *shell.App, req localapi.MembersRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Members, shell.CallTime, req)
	if err != nil {
		return err
	}
	for _, m := range answer.Meshes {
		if !m.OK {
			a.Warn("%s does not answer (%s): the list is who was known last", m.Mesh, m.Status)
		}
	}
	return a.Print(membersView{shell.NewHeader(), answer.Members}, func(s term.Stream) { writeMembers(s, answer) })
}

// maxMemberColumn is the widest column of names.
const maxMemberColumn = 26

func writeMembers(s term.Stream, answer localapi.MembersAnswer) {
	if len(answer.Meshes) == 0 {
		shell.NothingJoined(s)
		return
	}
	width := 0
	for _, m := range answer.Members {
		width = max(width, min(term.Width(term.Clean(m.DisplayName)), maxMemberColumn))
	}
	for _, in := range answer.Meshes {
		s.Heading(in.Mesh, "")
		any := false
		for _, m := range answer.Members {
			if m.Mesh == in.Mesh {
				writeMember(s, m, width)
				any = true
			}
		}
		if !any {
			s.Empty("nobody")
		}
	}
}

func writeMember(s term.Stream, m localapi.Member, width int) {
	dot, state := s.Paint(term.Dim, "○"), "offline"
	if m.Online {
		dot, state = s.Paint(term.Green, "●"), term.Clean(string(cmp.Or(m.Status, mesh.Idle)))
	}
	whose := "claimed by the relay"
	switch {
	case m.IsSelf:
		whose = "you"
	case m.Verified:
		whose = "verified"
	}
	s.Line("%s %s  %s  %s  %s", dot, s.Paint(term.Bold, term.Pad(term.Short(term.Clean(m.DisplayName), maxMemberColumn), width)),
		term.Pad(state, len("offline")), term.Clean(m.Pubkey.Short()), s.Paint(term.Dim, shell.Facts(m.Role, whose)))
}
