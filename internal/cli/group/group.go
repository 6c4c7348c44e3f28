// Package group is the verbs about groups: enter them, leave them, and see who is in them.
package group

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// New is the noun group.
func New(a *shell.App) *cobra.Command {
	cmd := shell.Noun("group", "Enter and leave groups, and see who is in them", newJoin(a), newLeave(a), newList(a))
	cmd.Aliases = []string{"groups"}
	return cmd
}

const about = "A group has a path of letters, digits, and _ . / -, such as @ops/night. What is sent to @ops reaches the members of " +
	"@ops/night, too. It is not encrypted for them one by one: the broker's operator can read it."

func newJoin(a *shell.App) *cobra.Command {
	var req localapi.GroupRequest
	cmd := &cobra.Command{
		Use:   "join <@group>",
		Short: "Enter a group",
		Long: "Enter a group, or change your role in it. In a host session it is that session which enters, elsewhere your own member. " +
			"It stays there over reconnects and restarts, and when the session is resumed.\n\n" + about,
		Example: "claudemesh group join @ops/night --role lead",
		Args:    named,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Name = args[0]
			return runJoin(cmd.Context(), a, req)
		},
		ValidArgsFunction: shell.CompleteGroups(a, false),
	}
	cmd.Flags().StringVar(&req.Role, "role", "", "your `role` in it, free text")
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "in this mesh only, by its short `name`; otherwise in every one that you are in")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

func newLeave(a *shell.App) *cobra.Command {
	var req localapi.GroupRequest
	cmd := &cobra.Command{
		Use:   "leave <@group>",
		Short: "Leave a group",
		Long:  "Leave a group. Groups below it are others: who is in @ops/night still is. To leave one that you are not in does nothing.",
		Example: "claudemesh group leave @ops/night\n" +
			"claudemesh group leave ops --mesh team",
		Args: named,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Name = args[0]
			return runLeave(cmd.Context(), a, req)
		},
		ValidArgsFunction: shell.CompleteGroups(a, true),
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "in this mesh only, by its short `name`; otherwise in every one that you are in")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// named takes one group, which is checked before anything is asked.
func named(cmd *cobra.Command, args []string) error {
	if err := shell.Exactly("the group")(cmd, args); err != nil {
		return err
	}
	if _, err := mesh.ParseGroup(args[0]); err != nil {
		return shell.Usage(cmd, "%q is no group: %w", args[0], err)
	}
	return nil
}

// joinView is the JSON of group join.
type joinView struct {
	shell.Header
	localapi.GroupAnswer
}

func runJoin(ctx context.Context, a *shell.App, req localapi.GroupRequest) error {
	answer, err := shell.Call(ctx, a, localapi.GroupJoin, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(joinView{shell.NewHeader(), answer}, func(s term.Stream) {
		s.OK("you are in @"+answer.Group, shell.Facts(answer.Role, strings.Join(answer.Meshes, ", "), pending(answer)))
	})
}

// leaveView is the JSON of group leave.
type leaveView struct {
	shell.Header
	localapi.GroupAnswer
	Left bool `json:"left"`
}

func runLeave(ctx context.Context, a *shell.App, req localapi.GroupRequest) error {
	answer, err := shell.Call(ctx, a, localapi.GroupLeave, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(leaveView{shell.NewHeader(), answer, true}, func(s term.Stream) {
		s.OK("you are not in @"+answer.Group, shell.Facts(strings.Join(answer.Meshes, ", "), pending(answer)))
	})
}

// pending says where it does not count yet.
func pending(answer localapi.GroupAnswer) string {
	if len(answer.Pending) == 0 {
		return ""
	}
	return "in " + strings.Join(answer.Pending, ", ") + " when it is connected again"
}

func newList(a *shell.App) *cobra.Command {
	var req localapi.GroupsRequest
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the groups of the joined meshes",
		Long: "List the groups of the joined meshes and who is in them, connected or not; who was not seen for 30 days is not in " +
			"them any more. A group below another one is listed by itself.\n\nThe JSON is an array of groups.",
		Example: "claudemesh group list\nclaudemesh group list --mesh team --json=name,members",
		Args:    a.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runList(cmd.Context(), a, req) },
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "of this mesh only, by its short `name`")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

func runList(ctx context.Context, a *shell.App, req localapi.GroupsRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Groups, shell.CallTime, req)
	if err != nil {
		return err
	}
	for _, m := range answer.Meshes {
		switch {
		case m.Code == mesh.BrokerTooOld:
			a.Warn("%s has a broker that lists no groups: only your own there are known; %s", m.Mesh, m.Code.Hint())
		case !m.OK:
			a.Warn("%s does not answer (%s): only your own groups there are known", m.Mesh, m.Status)
		}
	}
	return a.Print(answer.Groups, func(s term.Stream) { writeGroups(s, answer) })
}

func writeGroups(s term.Stream, answer localapi.GroupsAnswer) {
	if len(answer.Meshes) == 0 {
		shell.NothingJoined(s)
		return
	}
	for _, m := range answer.Meshes {
		s.Heading(m.Mesh, "")
		empty := true
		for _, g := range answer.Groups {
			if g.Mesh == m.Mesh {
				writeGroup(s, g)
				empty = false
			}
		}
		if empty {
			s.Empty("no groups")
		}
	}
}

// maxShownNames bounds the members on a line.
const maxShownNames = 8

func writeGroup(s term.Stream, g localapi.Group) {
	own := ""
	if g.Joined {
		own = shell.Prefixed("you: ", g.Role)
		if g.Role == "" {
			own = "you"
		}
	}
	names := strings.Join(g.Members[:min(len(g.Members), maxShownNames)], ", ")
	if rest := g.Count - min(len(g.Members), maxShownNames); rest > 0 && names != "" {
		names += " and " + shell.Count(rest, "other", "others")
	}
	s.Line("%s  %s", s.Paint(term.Bold, term.Clean("@"+g.Name)), s.Paint(term.Dim, shell.Facts(
		own, shell.Count(g.Count, "member", "members"), shell.Count(g.Sessions, "session here", "sessions here"))))
	if names != "" {
		s.Line("    %s", s.Paint(term.Dim, term.Clean(names)))
	}
}
