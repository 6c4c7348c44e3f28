package membership

import (
	"bufio"
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// NewRename renames a mesh for everybody.
func NewRename(a *shell.App) *cobra.Command {
	var req localapi.MeshUpdateRequest
	cmd := &cobra.Command{
		Use:   "rename <mesh> [<new-slug>]",
		Short: "Rename a mesh for everybody",
		Long: "Rename a mesh that was made on this device. Its members' daemons learn of it at once, or when they connect again. The second " +
			"word is its new short name; --name changes the name for people.",
		Example: "claudemesh rename team backend\n" +
			"claudemesh rename team --name \"Backend Team\"",
		Annotations: map[string]string{shell.AlsoKey: "workspace rename"},
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 || len(args) > 2:
				return shell.Usage(cmd, "the mesh and its new short name are wanted")
			case len(args) == 1 && req.Name == "":
				return shell.Usage(cmd, "a new short name is wanted, or --name")
			case len(args) == 2:
				req.NewSlug = args[1]
			}
			req.Slug = args[0]
			return nil
		},
		RunE:              func(cmd *cobra.Command, _ []string) error { return runRename(cmd.Context(), a, req) },
		ValidArgsFunction: a.CompleteMeshes,
	}
	cmd.Flags().StringVar(&req.Name, "name", "", "new `name` for people")
	return cmd
}

// renameView is the JSON of rename.
type renameView struct {
	shell.Header
	Slug string  `json:"slug"`
	Name string  `json:"name"`
	ID   mesh.ID `json:"id"`
}

func runRename(ctx context.Context, a *shell.App, req localapi.MeshUpdateRequest) error {
	if req.NewSlug != "" {
		if _, err := mesh.ParseSlug(req.NewSlug); err != nil {
			return err
		}
	}
	answer, err := shell.Call(ctx, a, localapi.MeshUpdate, shell.CallTime, req)
	if err != nil {
		return err
	}
	m := answer.Mesh
	return a.Print(renameView{shell.NewHeader(), m.Slug, m.Name, m.MeshID}, func(s term.Stream) {
		s.OK(req.Slug+" is now "+m.Slug, m.Name)
	})
}

// NewDelete leaves a mesh, or ends it for everybody.
func NewDelete(a *shell.App) *cobra.Command {
	var everywhere bool
	cmd := &cobra.Command{
		Use: "delete <mesh>", Aliases: []string{"rm"},
		Short: "Forget a mesh on this device, or end it for everybody",
		Long: "Forget a mesh on this device, as `claudemesh leave` does. With --everywhere its owner ends it for everybody: its members are " +
			"disconnected, what was not delivered is lost, and nothing brings it back. That asks for the name of the mesh, unless --yes is given.",
		Example: "claudemesh delete team\n" +
			"claudemesh delete team --everywhere",
		Annotations: map[string]string{shell.AlsoKey: "workspace delete"},
		Args:        shell.Exactly("the mesh"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := localapi.MeshLeaveRequest{Slug: args[0], Force: a.Flags.Yes, Everywhere: everywhere}
			if everywhere && !a.Flags.Yes {
				if err := confirm(cmd, a, args[0]); err != nil {
					return err
				}
			}
			return runLeave(cmd.Context(), a, req)
		},
		ValidArgsFunction: a.CompleteMeshes,
	}
	cmd.Flags().BoolVar(&everywhere, "everywhere", false, "as the owner: end the mesh for everybody")
	return cmd
}

// maxConfirmBytes bounds what is read of an answer.
const maxConfirmBytes = 1024

// confirm has the user type a word before what cannot be undone. Where nobody can, --yes is wanted.
func confirm(cmd *cobra.Command, a *shell.App, word string) error {
	if !a.Err.TTY {
		return shell.Usage(cmd, "this ends %s for everybody: add --yes", word)
	}
	a.Err.Warn("this ends " + word + " for all its members, and nothing brings it back")
	_, _ = io.WriteString(a.Err, "  type "+word+" to go on: ") // the answer decides
	line, err := bufio.NewReader(io.LimitReader(a.Sys.Stdin, maxConfirmBytes)).ReadString('\n')
	if err != nil && line == "" || strings.TrimSpace(line) != word {
		return mesh.Errorf(mesh.Cancelled, "%s was not ended", word)
	}
	return nil
}

func newMemberRole(a *shell.App) *cobra.Command {
	var req localapi.MemberUpdateRequest
	cmd := &cobra.Command{
		Use:   "role <member> <admin|member>",
		Short: "Make a member an admin, or an admin a member",
		Long: "Change the role of a member, in a mesh that was made on this device. The member is named by its key, by 16 or more of its first " +
			"characters, or by a name that nobody else has. Admins see the invites and may close connections; the mesh stays its owner's.",
		Example: "claudemesh member role ben@laptop admin",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return shell.Usage(cmd, "the member and its role are wanted")
			}
			if req.Member, req.Role = args[0], args[1]; req.Role != "admin" && req.Role != "member" {
				return shell.Usage(cmd, "a role is admin or member, not %q", req.Role)
			}
			return nil
		},
		RunE:              func(cmd *cobra.Command, _ []string) error { return runMemberRole(cmd.Context(), a, req) },
		ValidArgsFunction: a.CompletePeers,
	}
	cmd.Flags().StringVar(&req.Slug, "mesh", "", "the mesh, by its short `name`; needed when several are joined")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// memberView is the JSON of member role.
type memberView struct {
	shell.Header
	localapi.MemberAnswer
}

func runMemberRole(ctx context.Context, a *shell.App, req localapi.MemberUpdateRequest) (err error) {
	if req.Slug, err = a.OneMesh(ctx, req.Slug); err != nil {
		return err
	}
	answer, err := shell.Call(ctx, a, localapi.MemberUpdate, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(memberView{shell.NewHeader(), answer}, func(s term.Stream) {
		s.OK(answer.Name+" is "+map[string]string{"admin": "an admin", "member": "a member"}[answer.Role]+" of "+answer.Mesh, answer.Pubkey.Short())
	})
}
