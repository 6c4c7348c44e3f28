package cli

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

func newCreate(a *app) *cobra.Command {
	var req localapi.MeshCreateRequest
	var tokenFile string
	cmd := &cobra.Command{
		Use: "create <name>", Aliases: []string{"new"},
		Short: "Make a mesh; its owner's key stays on this device",
		Long: "Make a mesh on a broker and join it. Its owner's key is made on this device and never leaves it. Who may make meshes " +
			"is up to the broker: most want a create token.",
		Example: "claudemesh create \"backend team\"\n" +
			"claudemesh create team --broker wss://mesh.example.com/ws --token-file token",
		Args: exactly("the name"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			req.Name = args[0]
			if req.Token, err = readToken(a.sys.Stdin, tokenFile); err != nil {
				return err
			}
			return runCreate(cmd.Context(), a, req)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&req.Slug, "slug", "", "short `name`: a-z, 0-9 and -; made of the name when it is left out")
	fl.StringVar(&req.DisplayName, "name", "", "your `name` in the mesh; default <user>@<host>")
	fl.StringVar(&req.BrokerURL, "broker", "", "the broker's `url`; default: the setting broker_url")
	fl.StringVar(&tokenFile, "token-file", "", "`file` with the broker's create token, or - for standard input")
	return cmd
}

// createView is the JSON of create.
type createView struct {
	header
	Slug string  `json:"slug"`
	ID   mesh.ID `json:"id"`
}

func runCreate(ctx context.Context, a *app, req localapi.MeshCreateRequest) error {
	answer, err := call(ctx, a, localapi.MeshCreate, callTime, req)
	if err != nil {
		return err
	}
	return a.print(createView{newHeader(), answer.Mesh.Slug, answer.Mesh.MeshID}, func(s term.Stream) { writeCreated(s, answer.Mesh) })
}

func writeCreated(s term.Stream, m localapi.Mesh) {
	s.OK("made the mesh "+m.Slug, "you own it")
	s.Pairs([2]string{"id", string(m.MeshID)}, [2]string{"broker", m.BrokerURL})
	s.Hint("claudemesh share --mesh " + m.Slug + " makes an invite link")
}

// readToken reads a create token from where no process list shows it.
func readToken(stdin io.Reader, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", mesh.Errorf(mesh.IOError, "read the token: %w", err)
		}
		defer func() { _ = f.Close() }() // only read
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, paths.MaxSecretBytes))
	if err != nil {
		return "", mesh.Errorf(mesh.IOError, "read the token: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", mesh.Errorf(mesh.BadRequest, "the token is empty")
	}
	return token, nil
}

func newJoin(a *app) *cobra.Command {
	var req localapi.MeshJoinRequest
	cmd := &cobra.Command{
		Use: "join <link>", Aliases: []string{"add"},
		Short: "Join a mesh by an invite link",
		Long: "Join a mesh by an invite link, as `claudemesh share` prints it. Keep all of it, and quote it: what stands behind the # " +
			"proves the owner.",
		Example: "claudemesh join 'https://mesh.example.com/i/7dQm4xZt9BcA#q0Zr2v8mT5Wc1yN4kLxU3g'",
		Args:    exactly("the link"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Link = args[0]
			return runJoin(cmd.Context(), a, req)
		},
	}
	cmd.Flags().StringVar(&req.DisplayName, "name", "", "your `name` in the mesh; default <user>@<host>")
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
	BrokerURL        string   `json:"broker_url"`
	AlreadyJoined    bool     `json:"already_joined"`
	OwnerFingerprint string   `json:"owner_fingerprint"`
	OwnerChecked     bool     `json:"owner_checked" jsonschema:"the link named the owner, and it was the one"`
}

func runJoin(ctx context.Context, a *app, req localapi.MeshJoinRequest) error {
	answer, err := call(ctx, a, localapi.MeshJoin, callTime, req)
	if err != nil {
		return err
	}
	m := answer.Mesh
	v := joinView{
		header: newHeader(), Slug: m.Slug, ID: m.MeshID, MemberID: m.MemberID, Pubkey: m.Pubkey, Role: m.Role, BrokerURL: m.BrokerURL,
		AlreadyJoined: answer.AlreadyJoined, OwnerFingerprint: m.OwnerPrint, OwnerChecked: !answer.Unpinned,
	}
	if !v.OwnerChecked {
		a.warn("the link did not name the owner: compare the fingerprint with theirs")
	}
	return a.print(v, func(s term.Stream) { writeJoined(s, v) })
}

func writeJoined(s term.Stream, v joinView) {
	if v.AlreadyJoined {
		s.OK("you are in "+v.Slug+" already", "nothing was used up")
	} else {
		s.OK("joined "+v.Slug, "as "+v.Role)
	}
	s.Pairs([2]string{"your key", v.Pubkey.Short()}, [2]string{"fingerprint", v.OwnerFingerprint}, [2]string{"broker", v.BrokerURL})
	s.Hint("claudemesh peers --mesh " + v.Slug + " shows who is there")
}

func newLeave(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "leave <mesh>",
		Short: "Leave a mesh on this device",
		Long: "Leave a mesh: the broker ends this device's membership, and this device forgets the mesh. Without the broker's " +
			"confirmation, or as the owner, it needs --yes; the owner's key is kept.",
		Example: "claudemesh leave team",
		Args:    exactly("the mesh"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLeave(cmd.Context(), a, localapi.MeshLeaveRequest{Slug: args[0], Force: a.global.yes})
		},
		ValidArgsFunction: completeMeshes(a),
	}
}

// leaveView is the JSON of leave.
type leaveView struct {
	header
	OK bool `json:"ok"`
	localapi.MeshLeaveAnswer
}

func runLeave(ctx context.Context, a *app, req localapi.MeshLeaveRequest) error {
	answer, err := call(ctx, a, localapi.MeshLeave, callTime, req)
	if err != nil {
		return err
	}
	if !answer.BrokerTold {
		a.warn("the broker was not told: it keeps the membership until the owner ends it")
	}
	if answer.DroppedOutbox > 0 {
		a.warn("%s given up before leaving this machine", count(answer.DroppedOutbox, "message was", "messages were"))
	}
	return a.print(leaveView{newHeader(), true, answer}, func(s term.Stream) { writeLeft(s, answer) })
}

func writeLeft(s term.Stream, v localapi.MeshLeaveAnswer) {
	s.OK("left "+v.Slug, "")
	s.Pairs([2]string{"owner's key, kept", v.OwnerKeyKept})
}

func newList(a *app) *cobra.Command {
	var slug string
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"},
		Short:   "List the joined meshes",
		Long:    "List the joined meshes and whether their brokers answer.",
		Example: "claudemesh list --json=slug,status",
		Args:    noArgs(a),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runList(cmd.Context(), a, slug) },
	}
	cmd.Flags().StringVar(&slug, "mesh", "", "this mesh only, by its short `name`")
	offer(cmd, "mesh", completeMeshes(a))
	return cmd
}

// listView is one element of the JSON of list.
type listView struct {
	localapi.Mesh
	Local  bool `json:"local"`
	Server bool `json:"server" jsonschema:"the broker answers"`
}

func runList(ctx context.Context, a *app, slug string) error {
	answer, err := call(ctx, a, localapi.Meshes, callTime, localapi.None{})
	if err != nil {
		return err
	}
	views := make([]listView, 0, len(answer.Meshes))
	for _, m := range answer.Meshes {
		if slug == "" || m.Slug == slug {
			views = append(views, listView{Mesh: m, Local: true, Server: m.Status == statusOpen})
		}
	}
	if slug != "" && len(views) == 0 {
		return mesh.Errorf(mesh.MeshNotAttached, "%s is not joined", slug).With(mesh.Details{Attached: slugs(answer.Meshes)})
	}
	return a.print(views, func(s term.Stream) { writeMeshes(s, views, answer.ConfigPath, a.sys.Now()) })
}

// statusOpen is the status of a mesh whose broker answers.
const statusOpen = "open"

func writeMeshes(s term.Stream, views []listView, configPath string, now time.Time) {
	if len(views) == 0 {
		writeNothingJoined(s)
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
		s.Line("%s %s%s  %s", dot, s.Paint(term.Bold, v.Slug), pad, s.Paint(term.Dim, joinFacts(
			roleWord(v.Role, v.IsOwner), v.Status, waiting(v.Pending), prefixed("joined ", ago(now, v.JoinedAt)))))
		s.Line("    %s", s.Paint(term.Dim, joinFacts(v.BrokerURL, prefixed("fingerprint ", v.OwnerPrint))))
		if v.LastError != "" {
			s.Line("    %s", s.Paint(term.Yellow, v.LastError))
		}
	}
	s.Line("%s", s.Paint(term.Dim, "kept in "+configPath))
}

// waiting counts what is still to be sent.
func waiting(n int) string {
	if n == 0 {
		return ""
	}
	return count(n, "message", "messages") + " to send"
}

func writeNothingJoined(s term.Stream) {
	s.Empty("no mesh joined")
	s.Hint("claudemesh up makes one on this machine, claudemesh join <link> joins another")
}

func slugs(meshes []localapi.Mesh) []string {
	all := make([]string, 0, len(meshes))
	for _, m := range meshes {
		all = append(all, m.Slug)
	}
	slices.Sort(all)
	return all
}
