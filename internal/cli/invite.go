package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

func newShare(a *app) *cobra.Command {
	var req localapi.InviteCreateRequest
	var expires time.Duration
	cmd := &cobra.Command{
		Use: "share", Aliases: []string{"invite"},
		Short: "Make an invite link",
		Long:  "Make an invite link. It is shown once and kept nowhere.",
		Args:  a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			req.ExpiresIn = expires.String()
			return a.share(cmd.Context(), req)
		},
	}
	fl := cmd.Flags()
	fl.DurationVar(&expires, "expires", 7*24*time.Hour, "how long the link works")
	fl.IntVar(&req.Uses, "uses", 1, "how many may join by it, 1 to 1000")
	fl.StringVar(&req.Role, "role", "member", "admin or member")
	return cmd
}

// shareView is the JSON of share.
type shareView struct {
	header
	localapi.InviteAnswer
	Copied bool `json:"copied"`
}

func (a *app) share(ctx context.Context, req localapi.InviteCreateRequest) error {
	slug, err := a.oneMesh(ctx)
	if err != nil {
		return err
	}
	req.Slug = slug
	answer, err := call(ctx, a, localapi.InviteCreate, callTime, req)
	if err != nil {
		return err
	}
	return a.print(shareView{header: newHeader(), InviteAnswer: answer}, func(s term.Stream) {
		s.OK("invite to "+answer.Mesh, answer.Role+", "+strconv.Itoa(answer.Uses)+" use(s), until "+answer.ExpiresAt)
		s.Line("%s", s.Paint(term.Cyan, "claudemesh join '"+answer.URL+"'"))
		if answer.LocalOnly {
			a.err.Warn("the broker listens on this machine only: the link works here and nowhere else")
		}
	})
}

// oneMesh is the mesh of a verb that must not guess: --mesh, or the only one.
func (a *app) oneMesh(ctx context.Context) (string, error) {
	if a.global.mesh != "" {
		return a.global.mesh, nil
	}
	answer, err := call(ctx, a, localapi.Meshes, callTime, localapi.None{})
	switch {
	case err != nil:
		return "", err
	case len(answer.Meshes) == 0:
		return "", mesh.Errorf(mesh.NothingJoined, "no mesh is joined")
	case len(answer.Meshes) > 1:
		slugs := make([]string, 0, len(answer.Meshes))
		for _, m := range answer.Meshes {
			slugs = append(slugs, m.Slug)
		}
		return "", mesh.Errorf(mesh.MeshRequired, "several meshes are joined").With(mesh.Details{Attached: slugs})
	}
	return answer.Meshes[0].Slug, nil
}

func newInvites(a *app) *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the invites of a mesh", Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.invites(cmd.Context()) },
	}
	revoke := &cobra.Command{
		Use: "revoke <invite-id>", Short: "End an invite", Args: exactly("the invite's id"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.revokeInvite(cmd.Context(), mesh.ID(args[0])) },
	}
	return noun("invites", "List and end invites", list, revoke)
}

func (a *app) invites(ctx context.Context) error {
	slug, err := a.oneMesh(ctx)
	if err != nil {
		return err
	}
	answer, err := call(ctx, a, localapi.Invites, callTime, localapi.InvitesRequest{Slug: slug})
	if err != nil {
		return err
	}
	return a.print(answer.Invites, func(s term.Stream) { writeInvites(s, answer.Invites, a.sys.Now()) })
}

func writeInvites(s term.Stream, invites []protocol.Invite, now time.Time) {
	if len(invites) == 0 {
		s.Empty("no invites")
	}
	for _, i := range invites {
		expires := time.Unix(i.ExpiresAt, 0)
		state := "open"
		switch {
		case i.Revoked:
			state = "revoked"
		case i.Used >= i.MaxUses:
			state = "used up"
		case !expires.After(now):
			state = "expired"
		}
		used := strconv.Itoa(i.Used) + "/" + strconv.Itoa(i.MaxUses)
		s.Line("%s %s", s.Paint(term.Bold, string(i.InviteID)), s.Paint(term.Dim, joinFacts(state, i.Role, used, mesh.FormatTime(expires))))
	}
}

func (a *app) revokeInvite(ctx context.Context, id mesh.ID) error {
	slug, err := a.oneMesh(ctx)
	if err != nil {
		return err
	}
	if _, err := call(ctx, a, localapi.InviteRevoke, callTime, localapi.InviteRevokeRequest{Slug: slug, ID: id}); err != nil {
		return err
	}
	return a.print(okView{newHeader(), true}, func(s term.Stream) { s.OK("the invite is ended", string(id)) })
}

// okView is the JSON of a verb that only succeeds.
type okView struct {
	header
	OK bool `json:"ok"`
}
