// Package launch is the verb that starts Claude Code as a session with a name, a role and groups on the mesh.
package launch

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/install"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// options are what the words and flags say, whichever verb they were given to.
type options struct {
	mesh, join       string
	name, role, mode string
	groups           []string
	systemPrompt     string
	resume           string
	continued        bool
	passed           []string // behind --, for the program alone
}

// New is the verb launch, also called connect.
func New(a *shell.App) *cobra.Command {
	cmd := Command(a, "launch [mesh] [-- argument...]")
	cmd.Aliases = []string{"connect"}
	return cmd
}

// Command makes a verb that launches.
func Command(a *shell.App, use string) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   use,
		Short: "Start Claude Code as a session on the mesh",
		Long: "Start Claude Code in this terminal as a session with a name, a role and groups that others see. It is in every joined mesh, or in the one " +
			"named. Nothing stays behind when it ends: its exit status, its signals and its terminal are its own, and no file is written. Where " +
			"`claudemesh install` has not told Claude Code of our MCP server, this one session is told.\n\n" +
			"What follows -- is for Claude Code, as it stands. No flag of its permissions is ever added: a session that is to act without asking is " +
			"started with -- --permission-mode …, and messages of others are then held for you.\n\n" +
			"This is for a human in a terminal: a host session is refused. For a script, -- -p 'prompt' runs without a terminal.",
		Example: "claudemesh launch --name api --role reviewer --groups backend:lead,ops\n" +
			"claudemesh launch team --message-mode inbox -- --model opus\n" +
			"claudemesh launch --join 'https://…/i/CODE#OWNER'\n" +
			"claudemesh launch --continue",
		Args: func(cmd *cobra.Command, args []string) error {
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
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd); err != nil {
				return err
			}
			return run(cmd.Context(), a, o)
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
	f.StringVar(&o.systemPrompt, "system-prompt", "", "for Claude Code: in place of its own system prompt")
	f.StringVar(&o.resume, "resume", "", "for Claude Code: go on with this session")
	f.BoolVar(&o.continued, "continue", false, "for Claude Code: go on with the last session of this folder")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	shell.OfferWords(cmd, "message-mode", localapi.Modes()...)
	return cmd
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
	case o.join != "" && o.mesh != "":
		return shell.Usage(cmd, "--join names a mesh already, so there is no room for %q", o.mesh)
	case strings.ContainsFunc(o.role, func(r rune) bool { return r < ' ' }):
		return shell.Usage(cmd, "a role stands on one line")
	}
	return nil
}

// unasked are arguments with which Claude Code needs no terminal.
var unasked = []string{"-p", "--print", "-h", "--help", "-v", "--version"}

func run(ctx context.Context, a *shell.App, o options) error {
	if err := shell.Outside(a, "a session is launched"); err != nil {
		return err
	}
	if !a.Out.TTY && !slices.ContainsFunc(o.passed, func(arg string) bool { return slices.Contains(unasked, arg) }) {
		return mesh.Errorf(mesh.BadRequest, "a session needs a terminal, and the output is none; -- -p 'prompt' runs without")
	}
	places, err := shell.Places(a)
	if err != nil {
		return err
	}
	program, err := findClaude(a, places)
	if err != nil {
		return err
	}
	if o.mesh, err = settle(ctx, a, o); err != nil {
		return err
	}
	argv, err := o.argv(a, program, places)
	if err != nil {
		return err
	}
	a.Notice("info launching claude%s", o.describe())
	return a.Sys.Services.Exec(program, argv, o.environ(a.Sys.Environ))
}

// settle joins, and finds out which mesh the session is to be in alone; empty for all of them.
func settle(ctx context.Context, a *shell.App, o options) (string, error) {
	if o.join != "" {
		answer, err := shell.Call(ctx, a, localapi.MeshJoin, shell.CallTime, localapi.MeshJoinRequest{Link: o.join})
		if err != nil {
			return "", err
		}
		if answer.Unpinned {
			a.Warn("the link did not name the owner: compare the fingerprint %s with theirs", answer.Mesh.OwnerPrint)
		}
		return answer.Mesh.Slug, nil
	}
	answer, err := shell.Call(ctx, a, localapi.Meshes, shell.CallTime, localapi.None{})
	if err != nil {
		return "", err
	}
	var slugs []string
	for _, m := range answer.Meshes {
		slugs = append(slugs, m.Slug)
	}
	switch {
	case len(slugs) == 0:
		return "", mesh.Errorf(mesh.NothingJoined, "no mesh is joined: --join <link> joins one, and `claudemesh up` makes one on this machine")
	case o.mesh != "" && !slices.Contains(slugs, o.mesh):
		return "", mesh.Errorf(mesh.NotFound, "no mesh %q is joined; there is %s", o.mesh, strings.Join(slugs, ", "))
	}
	return o.mesh, nil
}

// findClaude looks where CLAUDE_BIN says, on PATH, and where its installers put it.
func findClaude(a *shell.App, p install.Places) (string, error) {
	if named := a.Env.Claude.Program; named != "" {
		if !filepath.IsAbs(named) || !p.Runnable(named) {
			return "", mesh.Errorf(mesh.NotFound, "CLAUDE_BIN names %s, which is no absolute path of a program", named)
		}
		return named, nil
	}
	usual := []string{filepath.Join(p.Home, ".local", "bin", "claude"), "/usr/local/bin/claude", filepath.Join(p.Home, ".claude", "bin", "claude")}
	i := slices.IndexFunc(usual, p.Runnable)
	if found := p.Find("claude"); found != "" {
		return found, nil
	}
	if i < 0 {
		return "", mesh.Errorf(mesh.NotFound, "claude is not on PATH; install Claude Code, or name it in CLAUDE_BIN")
	}
	return usual[i], nil
}

// argv is the command line of Claude Code.
func (o *options) argv(a *shell.App, program string, p install.Places) ([]string, error) {
	argv := []string{program}
	if !install.Clients()[0].Told(p) {
		config, err := install.Config(a.Sys.Executable)
		if err != nil {
			return nil, err
		}
		argv = append(argv, "--mcp-config", config)
	}
	if o.resume != "" {
		argv = append(argv, "--resume", o.resume)
	}
	if o.continued {
		argv = append(argv, "--continue")
	}
	if o.systemPrompt != "" {
		argv = append(argv, "--system-prompt", o.systemPrompt)
	}
	return append(argv, o.passed...), nil
}

// environ tells our MCP server in the session what the session is. What another launch around this one said does not
// count.
func (o *options) environ(environ []string) []string {
	said := [][2]string{
		{"CLAUDEMESH_DISPLAY_NAME", o.name}, {"CLAUDEMESH_ROLE", o.role}, {"CLAUDEMESH_GROUPS", strings.Join(o.groups, ",")},
		{"CLAUDEMESH_MESSAGE_MODE", o.mode}, {"CLAUDEMESH_SESSION_MESH", o.mesh},
	}
	environ = slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.ContainsFunc(said, func(s [2]string) bool { return s[0] == name && (s[1] != "" || name != said[0][0]) })
	})
	for _, s := range said {
		if s[1] != "" {
			environ = append(environ, s[0]+"="+s[1])
		}
	}
	return environ
}

// describe says what others will see.
func (o *options) describe() string {
	var b strings.Builder
	for _, fact := range [][2]string{{" as ", o.name}, {", ", o.role}, {" in ", strings.Join(o.groups, ", ")}, {" on ", cmp.Or(o.mesh, "every joined mesh")}} {
		if fact[1] != "" {
			b.WriteString(fact[0] + fact[1])
		}
	}
	return b.String()
}
