// Package launch is the verb that starts Claude Code as a session with a name, a role and groups on the mesh, and the hooks
// by which the session is heard of.
package launch

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// options are what the words and flags say, whichever verb they were given to, and what was asked for on the terminal.
type options struct {
	mesh, join       string
	name, role, mode string
	groups           []string
	acceptFrom       []string
	systemPrompt     string
	resume           string
	continued        bool
	passed           []string // behind --, for the program alone
}

// Parts are what launch does with the verbs of other nouns.
type Parts struct {
	// SetUp makes this machine's broker and a first mesh, and says so (machine.SetUp).
	SetUp Step
}

// New is the verb launch, also called connect.
func New(a *shell.App, p Parts) *cobra.Command {
	cmd := command(a, p, "launch [mesh] [-- argument...]")
	cmd.Aliases = []string{"connect"}
	cmd.Annotations = map[string]string{shell.AlsoKey: "workspace launch"}
	return cmd
}

// NewUnder is launch under the noun workspace (cli 14).
func NewUnder(a *shell.App, p Parts) *cobra.Command {
	cmd := shell.CopyOf("launch", command(a, p, "launch [mesh] [-- argument...]"))
	cmd.Aliases = []string{"connect", "open"}
	return cmd
}

// NewBare is the noun workspace, which launches where no verb stands behind it.
func NewBare(a *shell.App, p Parts) *cobra.Command {
	cmd := command(a, p, "workspace [-- argument...]")
	cmd.Short = "See and change the meshes that you are in; alone it launches"
	cmd.Long = "The verbs about meshes under one noun; they are the same as those without it. With no verb behind it, it starts Claude Code as a " +
		"session on the mesh, and takes what `claudemesh launch` takes."
	cmd.Example = "claudemesh workspace --name api --role reviewer\nclaudemesh workspace list"
	cmd.Annotations = map[string]string{shell.SelfKey: "workspace"}
	launches := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if dash := cmd.ArgsLenAtDash(); len(args) > 0 && dash != 0 {
			return shell.Unknown(cmd, args[0], shell.SubNames(cmd))
		}
		return launches(cmd, args)
	}
	cmd.ValidArgsFunction = nil
	return cmd
}

// command makes a verb that launches: the same flags wherever it stands (cli 13.1).
func command(a *shell.App, p Parts, use string) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   use,
		Short: "Start Claude Code as a session on the mesh",
		Long: "Start Claude Code in this terminal as a session with a name, a role and groups that others see. It is in every joined mesh, or in the one " +
			"named. On a terminal it asks for what no flag says, with what was used last as its presets; --yes and --quiet ask nothing. " +
			"Claude Code takes the place of this process: its exit status, its signals and its terminal are its own, and nothing is left behind. Where " +
			"`claudemesh install` has not told Claude Code of our MCP server, this one session is told.\n\n" +
			"What follows -- is for Claude Code, as it stands. No flag of its permissions is ever added: a session that is to act without asking is " +
			"started with -- --permission-mode …, and messages of others are then held for you, but for those of whom --accept-from names.\n\n" +
			"`claudemesh` without a verb does the same on a terminal, and `claudemesh <link>` joins the link's mesh first. " +
			"This is for a human in a terminal: a host session is refused. For a script, -- -p 'prompt' runs without a terminal.",
		Example: "claudemesh launch --name api --role reviewer --groups backend:lead,ops\n" +
			"claudemesh launch team --message-mode inbox -- --model opus\n" +
			"claudemesh launch --join 'https://…/i/CODE#OWNER'\n" +
			"claudemesh launch --accept-from @self,ben -- --permission-mode dontAsk\n" +
			"claudemesh launch --continue",
		Args: func(cmd *cobra.Command, args []string) error { return o.take(cmd, args) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), a, p, o)
		},
		ValidArgsFunction: a.CompleteMeshes,
	}
	f := cmd.Flags()
	f.StringVar(&o.mesh, "mesh", "", "be in this mesh alone")
	f.StringVar(&o.join, "join", "", "join the mesh of this link first, and be in it alone")
	f.StringVar(&o.name, "name", "", "what others call the session; default: what Claude Code calls it, else its folder")
	f.StringVar(&o.role, "role", "", "what the session does, free text")
	f.StringSliceVar(&o.groups, "groups", nil, "groups to be in, each with a role behind a colon if it has one")
	f.StringVar(&o.mode, "message-mode", "", "push shows messages, inbox announces them, off does neither (default push)")
	f.StringSliceVar(&o.acceptFrom, "accept-from", nil, "`peers` who reach the session also while it acts alone; @self: your other sessions on this machine")
	f.StringVar(&o.systemPrompt, "system-prompt", "", "for Claude Code: in place of its own system prompt")
	f.StringVarP(&o.resume, "resume", "r", "", "for Claude Code: go on with this `session`")
	f.BoolVarP(&o.continued, "continue", "c", false, "for Claude Code: go on with the last session of this folder")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	shell.Offer(cmd, "accept-from", a.CompletePeers)
	shell.OfferWords(cmd, "message-mode", localapi.Modes()...)
	return cmd
}

// take reads the words before -- and behind it; the word before it is as good as --mesh, and beats it.
func (o *options) take(cmd *cobra.Command, args []string) error {
	words := args
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		words, o.passed = args[:dash], args[dash:]
	}
	if len(words) > 1 {
		return shell.Usage(cmd, "%q is one word too many; what Claude Code is to get stands behind --", words[1])
	}
	if len(words) == 1 {
		o.mesh = words[0]
	}
	return nil
}

// check refuses what can be seen to be wrong before anything is started.
func (o *options) check(cmd *cobra.Command) error {
	if o.name != "" {
		if err := mesh.CheckName(o.name); err != nil {
			return err
		}
	}
	if _, err := localapi.ParseGroups(o.groups); err != nil {
		return err
	}
	switch {
	case o.mode != "" && !slices.Contains(localapi.Modes(), o.mode):
		return shell.Usage(cmd, "a message mode is push, inbox or off, not %q", o.mode)
	case cmd.Flags().Changed("accept-from") && len(o.acceptFrom) == 0:
		return shell.Usage(cmd, "--accept-from names nobody")
	case o.join != "" && o.mesh != "":
		return shell.Usage(cmd, "--join names a mesh already, so there is no room for %q", o.mesh)
	}
	return checkRole(o.role)
}

func checkRole(role string) error {
	if strings.ContainsFunc(role, func(r rune) bool { return r < ' ' }) {
		return mesh.Errorf(mesh.BadRequest, "a role stands on one line")
	}
	return nil
}

// describe says what others will see.
func (o *options) describe() string {
	var b strings.Builder
	for _, fact := range [][2]string{{" as ", o.name}, {", ", o.role}, {" in ", strings.Join(o.groups, ", ")}, {" on ", cmp.Or(o.mesh, everyMesh)}} {
		if fact[1] != "" {
			b.WriteString(fact[0] + fact[1])
		}
	}
	return b.String()
}

const everyMesh = "every joined mesh"
