package launch

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/cli/prompt"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/install"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// unasked are arguments with which Claude Code needs no terminal.
var unasked = []string{"-p", "--print", "-h", "--help", "-v", "--version"}

// alone reports whether the program runs without anybody at a terminal.
func (o *options) alone() bool {
	return slices.ContainsFunc(o.passed, func(arg string) bool { return slices.Contains(unasked, arg) })
}

// run starts the program. What is missing is asked for on a terminal, and named elsewhere.
func run(ctx context.Context, a *shell.App, p Parts, o options) error {
	if err := shell.Outside(a, "a session is launched"); err != nil {
		return err
	}
	tty := human(a, o)
	if !a.Out.TTY && !o.alone() {
		return mesh.Errorf(mesh.BadRequest, "a session needs a terminal, and the output is none; -- -p 'prompt' runs without")
	}
	places, err := shell.Places(a)
	if err != nil {
		return err
	}
	program, missing := findClaude(a, places)
	if missing != nil && o.join == "" && tty == nil {
		return missing
	}
	meshes, err := joined(ctx, a, p, &o, tty)
	if err != nil {
		return err
	}
	if missing != nil { // the mesh is joined, which is half of what was wanted
		return missing
	}
	if err := o.settle(a, meshes, tty != nil || a.Out.TTY && a.Flags.Quiet); err != nil {
		return err
	}
	if tty != nil {
		if err := o.ask(ctx, a, tty, meshes); err != nil {
			return err
		}
		remember(a, o)
	}
	argv, err := o.argv(a, program, places)
	if err != nil {
		return err
	}
	if err := o.admit(ctx, a); err != nil {
		return err
	}
	a.Notice("info launching claude%s", o.describe())
	return a.Sys.Services.Exec(program, argv, o.environ(a.Sys.Environ))
}

// human is the terminal on which questions are asked; nil where there is none, or where none are wanted.
func human(a *shell.App, o options) *prompt.Terminal {
	if a.Flags.Yes || a.Flags.Quiet || a.Flags.JSON.On || o.alone() || a.Env.Term == "dumb" || !a.Out.TTY {
		return nil
	}
	t, ok := prompt.Open(a.Sys.Stdin, a.Err)
	if !ok {
		return nil
	}
	return t
}

// joined gives the meshes that the session can be in, after joining the one of --join; where none is joined a human at a
// terminal is asked into one.
func joined(ctx context.Context, a *shell.App, p Parts, o *options, tty *prompt.Terminal) ([]localapi.Mesh, error) {
	if o.join != "" {
		m, err := join(ctx, a, o.join)
		o.mesh = m.Slug
		return []localapi.Mesh{m}, err
	}
	answer, err := shell.Call(ctx, a, localapi.Meshes, shell.CallTime, localapi.None{})
	if err != nil || len(answer.Meshes) > 0 {
		return answer.Meshes, err
	}
	if tty == nil {
		return nil, mesh.Errorf(mesh.NothingJoined, "no mesh is joined: --join <link> joins one, and `claudemesh up` makes one on this machine")
	}
	if err := welcome(ctx, a, p, tty); err != nil {
		return nil, err
	}
	answer, err = shell.Call(ctx, a, localapi.Meshes, shell.CallTime, localapi.None{})
	return answer.Meshes, err
}

// join joins the mesh of a link, and says so.
func join(ctx context.Context, a *shell.App, link string) (localapi.Mesh, error) {
	answer, err := shell.Call(ctx, a, localapi.MeshJoin, shell.CallTime, localapi.MeshJoinRequest{Link: link})
	if err != nil {
		return localapi.Mesh{}, err
	}
	if answer.Unpinned {
		a.Warn("the link did not name the owner: compare the fingerprint %s with theirs", answer.Mesh.OwnerPrint)
	}
	if !answer.AlreadyJoined {
		a.Notice("info joined %s, owner %s", answer.Mesh.Slug, answer.Mesh.OwnerPrint)
	}
	return answer.Mesh, nil
}

// settle checks the mesh that is named. Where nobody can be asked which of several is meant, and nobody has said that nothing is
// to be asked, none is guessed (cli 7.5).
func (o *options) settle(a *shell.App, meshes []localapi.Mesh, asked bool) error {
	slugs := shell.Slugs(meshes)
	switch {
	case o.mesh != "" && !slices.Contains(slugs, o.mesh):
		return mesh.Errorf(mesh.MeshNotAttached, "no mesh %q is joined", o.mesh).With(mesh.Details{Attached: slugs})
	case o.mesh == "" && len(slugs) > 1 && !asked && !a.Flags.Yes:
		return mesh.Errorf(mesh.MeshRequired, "--mesh is missing: it names one of several, and --yes means all of them").With(mesh.Details{Attached: slugs})
	}
	return nil
}

// admit tells the daemon who may reach the session that this process becomes, also while it acts alone. Each word has to mean
// somebody: a typo would leave the session to wait for nobody.
func (o *options) admit(ctx context.Context, a *shell.App) error {
	if len(o.acceptFrom) == 0 {
		return nil
	}
	_, err := shell.Call(ctx, a, localapi.SessionLaunch, shell.CallTime, localapi.LaunchRequest{AcceptFrom: o.acceptFrom, Mesh: o.mesh})
	return err
}

// findClaude looks where CLAUDE_BIN says, on PATH, and where its installers put it.
func findClaude(a *shell.App, p install.Places) (string, error) {
	if named := a.Env.Claude.Program; named != "" {
		if !filepath.IsAbs(named) || !p.Runnable(named) {
			return "", mesh.Errorf(mesh.HostMissing, "CLAUDE_BIN names %s, which is no absolute path of a program", named)
		}
		return named, nil
	}
	usual := []string{filepath.Join(p.Home, ".local", "bin", "claude"), "/usr/local/bin/claude", filepath.Join(p.Home, ".claude", "bin", "claude")}
	i := slices.IndexFunc(usual, p.Runnable)
	if found := p.Find("claude"); found != "" {
		return found, nil
	}
	if i < 0 {
		return "", mesh.Errorf(mesh.HostMissing, "claude is not on PATH, nor where its installers put it")
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
