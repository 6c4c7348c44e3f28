// Package membership is the verbs by which this device gets into meshes and out of them, and lets others in.
package membership

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// NewCreate makes a mesh.
func NewCreate(a *shell.App) *cobra.Command {
	var req localapi.MeshCreateRequest
	var tokenFile string
	cmd := &cobra.Command{
		Use: "create <name>", Aliases: []string{"new"},
		Short: "Make a mesh; its owner's key stays on this device",
		Long: "Make a mesh on a broker and join it. Its owner's key is made on this device and never leaves it. Who may make meshes " +
			"is up to the broker: most want a create token.",
		Example: "claudemesh create \"backend team\"\n" +
			"claudemesh create team --broker wss://mesh.example.com/ws --token-file token",
		Annotations: map[string]string{shell.AlsoKey: "workspace create"},
		Args:        shell.Exactly("the name"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			req.Name = args[0]
			if req.Token, err = readToken(a.Sys.Stdin, tokenFile); err != nil {
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
	shell.Header
	Slug string  `json:"slug"`
	ID   mesh.ID `json:"id"`
}

func runCreate(ctx context.Context, a *shell.App, req localapi.MeshCreateRequest) error {
	answer, err := shell.Call(ctx, a, localapi.MeshCreate, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(createView{shell.NewHeader(), answer.Mesh.Slug, answer.Mesh.MeshID}, func(s term.Stream) { writeCreated(s, answer.Mesh) })
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

// NewJoin joins a mesh by a link.
func NewJoin(a *shell.App) *cobra.Command {
	var req localapi.MeshJoinRequest
	cmd := &cobra.Command{
		Use: "join <link>", Aliases: []string{"add"},
		Short: "Join a mesh by an invite link",
		Long: "Join a mesh by an invite link, as `claudemesh share` prints it. Keep all of it, and quote it: what stands behind the # " +
			"proves the owner. Links of the TypeScript system work, too. `claudemesh <link>`, without the word join, does the same.",
		Example:     "claudemesh join 'https://mesh.example.com/i/7dQm4xZt9BcA#q0Zr2v8mT5Wc1yN4kLxU3g'",
		Annotations: map[string]string{shell.AlsoKey: "workspace join"},
		Args:        shell.Exactly("the link"),
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
	shell.Header
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

func runJoin(ctx context.Context, a *shell.App, req localapi.MeshJoinRequest) error {
	answer, err := shell.Call(ctx, a, localapi.MeshJoin, shell.CallTime, req)
	if err != nil {
		return err
	}
	m := answer.Mesh
	v := joinView{
		Header: shell.NewHeader(), Slug: m.Slug, ID: m.MeshID, MemberID: m.MemberID, Pubkey: m.Pubkey, Role: m.Role, BrokerURL: m.BrokerURL,
		AlreadyJoined: answer.AlreadyJoined, OwnerFingerprint: m.OwnerPrint, OwnerChecked: !answer.Unpinned,
	}
	if !v.OwnerChecked {
		a.Warn("the link did not name the owner: compare the fingerprint with theirs")
	}
	return a.Print(v, func(s term.Stream) { writeJoined(s, v) })
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

// NewLeave leaves a mesh.
func NewLeave(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use:   "leave <mesh>",
		Short: "Leave a mesh on this device",
		Long: "Leave a mesh: the broker ends this device's membership, and this device forgets the mesh. Without the broker's " +
			"confirmation, or as the owner, it needs --yes; the owner's key is kept.",
		Example: "claudemesh leave team",
		Args:    shell.Exactly("the mesh"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLeave(cmd.Context(), a, localapi.MeshLeaveRequest{Slug: args[0], Force: a.Flags.Yes})
		},
		ValidArgsFunction: a.CompleteMeshes,
	}
}

// leaveView is the JSON of leave.
type leaveView struct {
	shell.Header
	OK bool `json:"ok"`
	localapi.MeshLeaveAnswer
}

func runLeave(ctx context.Context, a *shell.App, req localapi.MeshLeaveRequest) error {
	answer, err := shell.Call(ctx, a, localapi.MeshLeave, shell.CallTime, req)
	if err != nil {
		return err
	}
	if !answer.BrokerTold && !answer.Everywhere {
		a.Warn("the broker was not told: it keeps the membership until the owner ends it")
	}
	if answer.DroppedOutbox > 0 {
		a.Warn("%s given up before leaving this machine", shell.Count(answer.DroppedOutbox, "message was", "messages were"))
	}
	return a.Print(leaveView{shell.NewHeader(), true, answer}, func(s term.Stream) { writeLeft(s, answer) })
}

func writeLeft(s term.Stream, v localapi.MeshLeaveAnswer) {
	if v.Everywhere {
		s.OK("ended "+v.Slug+" for everybody", "")
	} else {
		s.OK("left "+v.Slug, "")
	}
	s.Pairs([2]string{"owner's key, kept", v.OwnerKeyKept})
}
