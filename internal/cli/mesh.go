package cli

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

type createFlags struct {
	slug      string
	name      string
	broker    string
	tokenFile string
}

func newCreate(a *app) *cobra.Command {
	var f createFlags
	cmd := &cobra.Command{
		Use: "create <name>", Aliases: []string{"new"},
		Short: "Make a mesh; its owner's key stays on this device",
		Args:  exactly("the name"),
		RunE:  func(cmd *cobra.Command, args []string) error { return a.create(cmd.Context(), f, args[0]) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.slug, "slug", "", "short name: a-z, 0-9 and -; made of the name when it is left out")
	fl.StringVar(&f.name, "name", "", "your name in the mesh; default <user>@<host>")
	fl.StringVar(&f.broker, "broker", "", "the broker's `url`; default the one of this machine")
	fl.StringVar(&f.tokenFile, "token-file", "", "`file` with the broker's create token, or - for standard input")
	return cmd
}

// createView is the JSON of create.
type createView struct {
	header
	Slug string  `json:"slug"`
	ID   mesh.ID `json:"id"`
}

func (a *app) create(ctx context.Context, f createFlags, name string) error {
	token, err := a.readToken(f.tokenFile)
	if err != nil {
		return err
	}
	answer, err := call(ctx, a, localapi.MeshCreate, callTime, localapi.MeshCreateRequest{
		Name: name, Slug: f.slug, BrokerURL: f.broker, Token: token, DisplayName: f.name,
	})
	if err != nil {
		return err
	}
	m := answer.Mesh
	return a.print(createView{newHeader(), m.Slug, m.MeshID}, func(s term.Stream) {
		s.OK("made the mesh "+m.Slug, "you own it")
		s.Pairs([2]string{"id", string(m.MeshID)}, [2]string{"broker", m.BrokerURL})
		s.Hint("claudemesh share --mesh " + m.Slug + " makes a link for another machine or person")
	})
}

// readToken reads a create token from where no process list shows it.
func (a *app) readToken(file string) (string, error) {
	switch file {
	case "":
		return "", nil
	case "-":
		data, err := io.ReadAll(io.LimitReader(a.sys.Stdin, paths.MaxSecretBytes))
		if err != nil {
			return "", mesh.Errorf(mesh.IOError, "read the token: %w", err)
		}
		return strings.TrimSpace(string(data)), nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", mesh.Errorf(mesh.IOError, "read the token: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

func newJoin(a *app) *cobra.Command {
	var req localapi.MeshJoinRequest
	cmd := &cobra.Command{
		Use: "join <link>", Aliases: []string{"add"},
		Short: "Join a mesh by an invite link",
		Long:  "Join a mesh by an invite link, as `claudemesh share` prints it. Quote it: its # part proves the owner.",
		Args:  exactly("the link"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Link = args[0]
			return a.join(cmd.Context(), req)
		},
	}
	cmd.Flags().StringVar(&req.DisplayName, "name", "", "your name in the mesh; default <user>@<host>")
	cmd.Flags().StringVar(&req.BrokerURL, "broker", "", "the broker's `url`, for a bare code")
	return cmd
}

// joinView is the JSON of join.
type joinView struct {
	header
	Slug             string   `json:"slug"`
	ID               mesh.ID  `json:"id"`
	MemberID         mesh.ID  `json:"member_id"`
	Pubkey           mesh.Key `json:"pubkey"`
	Role             string   `json:"role"`
	AlreadyJoined    bool     `json:"already_joined"`
	OwnerFingerprint string   `json:"owner_fingerprint"`
	OwnerChecked     bool     `json:"owner_checked" jsonschema:"the link named the owner, and it was the one"`
}

func (a *app) join(ctx context.Context, req localapi.MeshJoinRequest) error {
	answer, err := call(ctx, a, localapi.MeshJoin, callTime, req)
	if err != nil {
		return err
	}
	m := answer.Mesh
	v := joinView{
		header: newHeader(), Slug: m.Slug, ID: m.MeshID, MemberID: m.MemberID, Pubkey: m.Pubkey, Role: m.Role,
		AlreadyJoined: answer.AlreadyJoined, OwnerFingerprint: m.OwnerPrint, OwnerChecked: !answer.Unpinned,
	}
	return a.print(v, func(s term.Stream) {
		if v.AlreadyJoined {
			s.OK("you are in "+v.Slug+" already", "nothing was used up")
		} else {
			s.OK("joined "+v.Slug, "as "+v.Role)
		}
		if !v.OwnerChecked {
			a.err.Warn("the link did not name the owner: compare the fingerprint with theirs")
		}
		s.Pairs([2]string{"your key", v.Pubkey.Short()}, [2]string{"owner", v.OwnerFingerprint}, [2]string{"broker", m.BrokerURL})
		s.Hint("claudemesh peers shows who is there")
	})
}

func newLeave(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "leave <mesh>",
		Short: "Leave a mesh on this device",
		Long: "Leave a mesh: the broker ends this device's membership, and this device forgets the mesh. Without the broker's\n" +
			"confirmation, or as the owner, it needs --yes; the owner's key is kept.",
		Args: exactly("the mesh"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.leave(cmd.Context(), args[0]) },
	}
}

// leaveView is the JSON of leave.
type leaveView struct {
	header
	OK bool `json:"ok"`
	localapi.MeshLeaveAnswer
}

func (a *app) leave(ctx context.Context, slug string) error {
	answer, err := call(ctx, a, localapi.MeshLeave, callTime, localapi.MeshLeaveRequest{Slug: slug, Force: a.global.yes})
	if err != nil {
		return err
	}
	return a.print(leaveView{newHeader(), true, answer}, func(s term.Stream) {
		s.OK("left "+answer.Slug, "")
		if !answer.BrokerTold {
			a.err.Warn("the broker was not told: it keeps the membership until the owner ends it")
		}
		if answer.DroppedOutbox > 0 {
			a.err.Warn("messages that had not left are given up")
		}
		s.Pairs([2]string{"owner's key", answer.OwnerKeyKept})
	})
}

func newList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"},
		Short: "List the joined meshes",
		Args:  a.noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.list(cmd.Context()) },
	}
}

// listView is one element of the JSON of list.
type listView struct {
	localapi.Mesh
	Local  bool `json:"local"`
	Server bool `json:"server" jsonschema:"the broker answers"`
}

func (a *app) list(ctx context.Context) error {
	answer, err := call(ctx, a, localapi.Meshes, callTime, localapi.None{})
	if err != nil {
		return err
	}
	views := make([]listView, 0, len(answer.Meshes))
	for _, m := range answer.Meshes {
		views = append(views, listView{Mesh: m, Local: true, Server: m.Status == statusOpen})
	}
	return a.print(views, func(s term.Stream) {
		if len(views) == 0 {
			s.Empty("no mesh joined")
			s.Hint("claudemesh up makes one on this machine, claudemesh join <link> joins another")
			return
		}
		for _, v := range views {
			writeMesh(s, v)
		}
		s.Line("%s", s.Paint(term.Dim, answer.ConfigPath))
	})
}

// statusOpen is the status of a mesh whose broker answers.
const statusOpen = "open"

func writeMesh(s term.Stream, v listView) {
	dot := s.Paint(term.Yellow, "●")
	if v.Server {
		dot = s.Paint(term.Green, "●")
	}
	role := v.Role
	if v.IsOwner {
		role = "owner"
	}
	s.Line("%s %s %s", dot, s.Paint(term.Bold, v.Slug), s.Paint(term.Dim, joinFacts(role, v.Status, v.BrokerURL, v.LastError)))
}
