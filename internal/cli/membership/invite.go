package membership

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// days is a length of time that may also be given in days.
type days time.Duration

// Set reads 7d, or what time.ParseDuration takes (pflag.Value).
func (d *days) Set(text string) error {
	length, err := time.ParseDuration(text)
	if number, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(number, 10, 16)
		length = time.Duration(n) * 24 * time.Hour
	}
	if err != nil || length <= 0 {
		return errors.New("a length of time is wanted, such as 12h or 7d")
	}
	*d = days(length)
	return nil
}

// String is the value as Set reads it (pflag.Value).
func (d *days) String() string {
	if length := time.Duration(*d); length%(24*time.Hour) != 0 {
		return length.String()
	}
	return fmt.Sprintf("%dd", time.Duration(*d)/(24*time.Hour))
}

// Type names the value in help pages (pflag.Value).
func (d *days) Type() string { return "time" }

// shareFlags are how a link is shown.
type shareFlags struct{ qr, copy bool }

// NewShare makes an invite link.
func NewShare(a *shell.App) *cobra.Command {
	var req localapi.InviteCreateRequest
	var f shareFlags
	expires := days(7 * 24 * time.Hour)
	cmd := &cobra.Command{
		Use: "share", Aliases: []string{"invite"},
		Short: "Make an invite link",
		Long: "Make an invite link for a mesh that was made on this device. It is printed once and kept nowhere. On a terminal it is shown " +
			"as a code to be scanned, too; --qr=false leaves that out.\n\n" +
			"--legacy makes a link for the TypeScript system, which cannot use others. Such a link holds the mesh's root key.",
		Example: "claudemesh share\n" +
			"claudemesh share --mesh team --uses 5 --expires 2d --copy",
		Annotations: map[string]string{shell.AlsoKey: "workspace share"},
		Args: func(cmd *cobra.Command, args []string) error {
			if err := shell.CheckRange(cmd, "uses", req.Uses, 1, 1000); err != nil {
				return err
			}
			if req.Role != "admin" && req.Role != "member" {
				return shell.Usage(cmd, "--role takes admin or member, not %q", req.Role)
			}
			return a.NoArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			req.ExpiresIn = time.Duration(expires).String()
			if !cmd.Flags().Changed("qr") {
				f.qr = a.Out.TTY
			}
			return runShare(cmd.Context(), a, req, f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&req.Slug, "mesh", "", "the mesh, by its short `name`; needed when several are joined")
	fl.Var(&expires, "expires", "how long the link works")
	fl.IntVar(&req.Uses, "uses", 1, "how many may join by it, 1 to 1000")
	fl.StringVar(&req.Role, "role", "member", "`role` of who joins: admin or member")
	fl.BoolVar(&req.Legacy, "legacy", false, "make a link for the TypeScript system")
	fl.BoolVar(&f.qr, "qr", false, "show a code to be scanned, also where this is no terminal")
	fl.BoolVar(&f.copy, "copy", false, "put the link into the clipboard")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	shell.OfferWords(cmd, "role", "member", "admin")
	return cmd
}

// shareView is the JSON of share.
type shareView struct {
	shell.Header
	localapi.InviteAnswer
	Copied bool `json:"copied" jsonschema:"to the clipboard, or handed to the terminal for it"`
}

func runShare(ctx context.Context, a *shell.App, req localapi.InviteCreateRequest, f shareFlags) (err error) {
	if req.Slug, err = a.OneMesh(ctx, req.Slug); err != nil {
		return err
	}
	answer, err := shell.Call(ctx, a, localapi.InviteCreate, shell.CallTime, req)
	if err != nil {
		return err
	}
	if answer.LocalOnly {
		a.Warn("the broker listens on this machine only: the link works here and nowhere else; %s let others in", openTo(answer))
	}
	v := shareView{Header: shell.NewHeader(), InviteAnswer: answer}
	if f.copy {
		if v.Copied = copyText(ctx, a, answer.URL); !v.Copied {
			a.Warn("the link was not copied: there is no clipboard here")
		}
	}
	if f.qr && !a.Flags.JSON.On && !term.FitsQR(answer.URL) {
		f.qr = false
		a.Warn("the link is too long for a code on a terminal")
	}
	return a.Print(v, func(s term.Stream) { writeShared(s, v, f.qr, a.Now()) })
}

// openTo is what lets others reach a broker that listens on this machine only. It keeps its port, which meshes name. Clients of
// the TypeScript system refuse a certificate that no authority signed.
func openTo(answer localapi.InviteAnswer) string {
	u, err := url.Parse(answer.URL)
	if err != nil || u.Port() == "" {
		return "for such links, an address and a certificate of an authority in broker.json"
	}
	return "`claudemesh down` and then `claudemesh up --listen 0.0.0.0:" + u.Port() + "`"
}

func writeShared(s term.Stream, v shareView, qr bool, now time.Time) {
	copied := ""
	if v.Copied {
		copied = "copied"
	}
	s.OK("invite to "+v.Mesh, shell.Facts(v.Role, shell.Count(v.Uses, "use", "uses"), "ends "+shell.Ago(now, v.ExpiresAt), copied))
	s.Blank()
	s.Line("  %s", s.Paint(term.Cyan, "claudemesh join '"+v.URL+"'"))
	s.Blank()
	s.Hint("the link is not kept; claudemesh invites revoke " + string(v.InviteID) + " ends it")
	if qr { // last, so that all of it is on the screen
		_ = s.QR(v.URL) // it fits
	}
}

// NewInvites is the noun invites: list and revoke.
func NewInvites(a *shell.App) *cobra.Command {
	return shell.Noun("invites", "List and end invites", newInviteList(a), newInviteRevoke(a))
}

func newInviteList(a *shell.App) *cobra.Command {
	var slug string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the invites of a mesh",
		Long:    "List the invites of a mesh, newest first. Their links are not kept and cannot be shown again.",
		Example: "claudemesh invites list --mesh team",
		Args:    a.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runInvites(cmd.Context(), a, slug) },
	}
	cmd.Flags().StringVar(&slug, "mesh", "", "the mesh, by its short `name`; needed when several are joined")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

func runInvites(ctx context.Context, a *shell.App, slug string) error {
	slug, err := a.OneMesh(ctx, slug)
	if err != nil {
		return err
	}
	answer, err := shell.Call(ctx, a, localapi.Invites, shell.CallTime, localapi.InvitesRequest{Slug: slug})
	if err != nil {
		return err
	}
	return a.Print(answer.Invites, func(s term.Stream) { writeInvites(s, answer.Invites, a.Now()) })
}

func writeInvites(s term.Stream, invites []protocol.Invite, now time.Time) {
	if len(invites) == 0 {
		s.Empty("no invites")
	}
	var rows [][2]string
	for _, i := range invites {
		legacy := ""
		if i.Version == 1 {
			legacy = "for the TypeScript system"
		}
		rows = append(rows, [2]string{string(i.InviteID), shell.Facts(inviteState(i, now), i.Role, legacy, strconv.Itoa(i.Used)+" of "+shell.Count(i.MaxUses, "use", "uses"))})
	}
	s.Rows(rows...)
}

// inviteState says whether an invite still works.
func inviteState(i protocol.Invite, now time.Time) string {
	expires := time.Unix(i.ExpiresAt, 0)
	switch {
	case i.Revoked:
		return "revoked"
	case i.Used >= i.MaxUses:
		return "used up"
	case !expires.After(now):
		return "expired"
	}
	return "ends " + shell.Ago(now, mesh.FormatTime(expires))
}

func newInviteRevoke(a *shell.App) *cobra.Command {
	var slug string
	cmd := &cobra.Command{
		Use:     "revoke <invite-id>",
		Short:   "End an invite",
		Long:    "End an invite, so that nobody joins by it any more. Who has joined by it stays.",
		Example: "claudemesh invites revoke 3fTqWz81LmNbVcXyRk05pHsDgJaEuO7i",
		Args:    shell.Exactly("the invite's id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRevoke(cmd.Context(), a, localapi.InviteRevokeRequest{Slug: slug, ID: mesh.ID(args[0])})
		},
	}
	cmd.Flags().StringVar(&slug, "mesh", "", "the mesh, by its short `name`; needed when several are joined")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

func runRevoke(ctx context.Context, a *shell.App, req localapi.InviteRevokeRequest) (err error) {
	if req.Slug, err = a.OneMesh(ctx, req.Slug); err != nil {
		return err
	}
	if _, err := shell.Call(ctx, a, localapi.InviteRevoke, shell.CallTime, req); err != nil {
		return err
	}
	return a.PrintOK("the invite is ended", string(req.ID))
}
