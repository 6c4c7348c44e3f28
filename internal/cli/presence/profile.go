package presence

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// NewProfile shows what others see, and changes it.
func NewProfile(a *shell.App) *cobra.Command {
	var edit profileFlags
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "See and change what others see of you",
		Long: "See what others see of you in each mesh; with flags, change it. A flag with an empty text takes that part away. " + who +
			" A name, a role tag and a message mode are those of a session, in all its meshes, until its program ends; a member keeps the name " +
			"under which others know its key.\n\nWith one mesh the JSON is an object, with several an array of them.",
		Example: "claudemesh profile\n" +
			"claudemesh profile --title \"keeper of the ledger\" --capabilities go,sql\n" +
			"claudemesh profile --name api --role-tag reviewer --groups backend:lead,ops",
		Args:        a.NoArgs,
		Annotations: map[string]string{shell.SelfKey: "profile"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			req, changes, err := edit.request(cmd)
			if err != nil {
				return err
			}
			if changes {
				return runEdit(cmd.Context(), a, req)
			}
			return runProfile(cmd.Context(), a, localapi.ProfilesRequest{Mesh: edit.mesh})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&edit.avatar, "avatar", "", "a sign or `picture` address")
	fl.StringVar(&edit.title, "title", "", "what you are, in a few `words`")
	fl.StringVar(&edit.bio, "bio", "", "more of it, as `text`")
	fl.StringSliceVar(&edit.capabilities, "capabilities", nil, "what you can do, as `words` with commas between")
	fl.StringVar(&edit.name, "name", "", "`name` of this session; empty: as its program calls it")
	fl.StringVar(&edit.role, "role-tag", "", "what this session is for, in a `word` or two")
	fl.StringSliceVar(&edit.groups, "groups", nil, "all groups to be in, as `name[:role]` with commas between")
	fl.StringVar(&edit.mode, "message-mode", "", "how messages come to this session: `push|inbox|off`")
	fl.StringVar(&edit.mesh, "mesh", "", "in this mesh only, by its short `name`; otherwise in every one that you are in")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	shell.OfferWords(cmd, "message-mode", localapi.Modes()...)
	status := shell.Noun("status", "Say what you are doing", shell.CopyOf("status set", newStatusSet(a)))
	cmd.AddCommand(shell.CopyOf("summary", newSummary(a)), shell.CopyOf("visible", newVisible(a)), status)
	return cmd
}

// profileFlags are what can be changed.
type profileFlags struct {
	avatar, title, bio, mesh string
	name, role, mode         string
	capabilities, groups     []string
}

// request is what the flags that were given ask for; false where none was.
func (f *profileFlags) request(cmd *cobra.Command) (req localapi.ProfileRequest, changes bool, err error) {
	req.Mesh = f.mesh
	for _, field := range []struct {
		name string
		from *string
		to   **string
	}{
		{"avatar", &f.avatar, &req.Avatar}, {"title", &f.title, &req.Title}, {"bio", &f.bio, &req.Bio},
		{"name", &f.name, &req.Name}, {"role-tag", &f.role, &req.Role}, {"message-mode", &f.mode, &req.MessageMode},
	} {
		if cmd.Flags().Changed(field.name) {
			*field.to, changes = field.from, true
		}
	}
	if cmd.Flags().Changed("capabilities") {
		req.Capabilities, changes = append([]string{}, f.capabilities...), true
	}
	if cmd.Flags().Changed("groups") {
		if req.Groups, err = localapi.ParseGroups(f.groups); err != nil {
			return req, false, err
		}
		changes = true
	}
	if m := req.MessageMode; m != nil && !slices.Contains(localapi.Modes(), *m) {
		return req, false, shell.Usage(cmd, "a message mode is push, inbox or off, not %q", *m)
	}
	return req, changes, nil
}

// editView is the JSON of a change.
type editView struct {
	shell.Header
	localapi.ProfileAnswer
}

func runEdit(ctx context.Context, a *shell.App, req localapi.ProfileRequest) error {
	answer, err := set(ctx, a, req)
	if err != nil {
		return err
	}
	return a.Print(editView{shell.NewHeader(), answer}, func(s term.Stream) {
		s.OK("others see your "+strings.ReplaceAll(strings.Join(answer.Applied, ", "), "_", " "), where(answer))
	})
}

func runProfile(ctx context.Context, a *shell.App, req localapi.ProfilesRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Profiles, shell.CallTime, req)
	if err != nil {
		return err
	}
	return shell.Several(a, answer.Profiles, func(s term.Stream) {
		if len(answer.Profiles) == 0 {
			shell.NothingJoined(s)
		}
		for _, p := range answer.Profiles {
			writeProfile(s, p)
		}
	})
}

func writeProfile(s term.Stream, p localapi.ProfileOf) {
	s.Heading(p.Mesh, p.Connection)
	var groups []string
	for _, g := range p.Groups {
		groups = append(groups, "@"+g.Name+shell.Prefixed(":", g.Role))
	}
	visible := "yes"
	if !p.Visible {
		visible = "no: others do not see you"
	}
	s.Pairs(
		[2]string{"name", p.DisplayName},
		[2]string{"role", p.Role},
		[2]string{"groups", strings.Join(groups, ", ")},
		[2]string{"messages", p.MessageMode},
		[2]string{"access", p.Access},
		[2]string{"status", string(p.Status)},
		[2]string{"summary", p.Summary},
		[2]string{"visible", visible},
		[2]string{"avatar", p.Profile.Avatar},
		[2]string{"title", p.Profile.Title},
		[2]string{"bio", p.Profile.Bio},
		[2]string{"can do", strings.Join(p.Profile.Capabilities, ", ")},
		[2]string{"key", string(p.Pubkey)},
		[2]string{"member id", string(p.MemberID)},
	)
}
