package doctor

import (
	"context"
	"slices"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/install"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// patient is what the checks look at, found once.
type patient struct {
	app     *shell.App
	places  install.Places
	clients []install.Client // in use
	in      *install.Installer
	steps   []install.Step // what an installation would do
	unread  error          // why that is not known
	plugged bool           // Claude Code has the plugin
	unit    Unit
	lives   bool // the daemon holds its lock
	health  localapi.HealthAnswer
	silent  error // why the daemon did not answer
}

func newPatient(ctx context.Context, a *shell.App, skill map[string]string, unit Unit) (*patient, error) {
	places, err := shell.Places(a)
	if err != nil {
		return nil, err
	}
	p := &patient{app: a, places: places, unit: unit, lives: a.Starter().Lives()}
	p.clients = slices.DeleteFunc(install.Clients(), func(c install.Client) bool { return !c.InUse(places) })
	p.in = &install.Installer{
		Places: places, Program: shell.Program(a), State: a.Home.Config.Install(), Skip: []string{install.StatusLine}, Skill: skill,
	}
	p.plugged = places.Plugged()
	p.steps, p.unread = p.in.Look(p.clients)
	p.health, p.silent = shell.Ask(ctx, a, localapi.Health, shell.ProbeTime, localapi.None{})
	return p, nil
}

// checks are all of them, in the order in which they are shown. What needs a running daemon is left out without one: that it
// does not run is said once.
func checks(p *patient) []check {
	all := []check{
		{id: "binary", name: "program", look: lookProgram},
		{id: "up-to-date", name: "newer release", look: lookRelease},
		{id: "environment", name: "environment", look: lookEnvironment},
		{id: "claude-binary", name: "Claude Code", look: lookClaude},
		{id: "mcp-registered", name: "MCP server of the agents", look: lookParts(mcpServer), mend: mendParts},
		{id: "hooks-registered", name: "hooks of Claude Code", look: lookParts(install.Hooks), mend: mendParts},
		{id: "skill-installed", name: "skill of Claude Code", look: lookParts(install.Skill), mend: mendParts},
		{id: "mcp-server", name: "MCP server answers", look: lookServer},
		{id: "config", name: "joined meshes", look: lookConfig},
		{id: "keypairs-valid", name: "keys", look: lookKeys},
		{id: "files-private", name: "files are private", look: lookModes, mend: mendModes},
		{id: "machine", name: "this machine", look: lookMachine},
		{id: "service", name: "service", look: lookService, mend: mendService},
		{id: "daemon", name: "daemon", look: lookDaemon, mend: mendDaemon},
	}
	if p.plugged {
		all = append(all, check{id: "plugin", name: "plugin of Claude Code", look: lookPlugin})
	}
	if p.silent != nil {
		return all
	}
	all = append(all, check{id: "daemon-version", name: "version of the daemon", look: lookVersion, mend: mendVersion}, check{id: "session", name: "this session", look: lookSession})
	for _, m := range p.health.Meshes {
		all = append(all, check{id: "broker:" + m.Mesh, name: "broker of " + m.Mesh, look: lookBroker(m)})
	}
	return append(all, check{id: "dead-letters", name: "messages that failed", look: lookDead})
}

// refusal is what an error says to people.
func refusal(err error) string { return mesh.PublicText(err) }
