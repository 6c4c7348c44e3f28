package doctor

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/install"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// lookProgram compares this program with the one that PATH finds.
func lookProgram(_ context.Context, p *patient) finding {
	mine := p.app.Sys.Executable
	version := "v" + strings.TrimPrefix(buildinfo.Version(), "v")
	found := p.places.Find("claudemesh")
	switch {
	case !filepath.IsAbs(mine):
		return fail("its path is not known", "start it by its path")
	case found == "":
		return warn(shell.Facts(version, mine+" is not on PATH"), "put its folder on PATH, so that sessions find it in their shell")
	case !same(found, mine):
		return warn(shell.Facts(version, "PATH finds another one, "+found), "keep one of them")
	}
	return fine(shell.Facts(version, mine))
}

// lookRelease looks at what `claudemesh upgrade` heard last; it asks nobody.
func lookRelease(_ context.Context, p *patient) finding {
	var heard struct {
		Version string `json:"version"`
	}
	data, err := os.ReadFile(p.app.Home.Daemon.Upgrade())
	switch {
	case err != nil || wire.Decode(data, &heard) != nil:
		return fine("none is known; `claudemesh upgrade` asks")
	case buildinfo.Older(buildinfo.Version(), heard.Version):
		return warn(heard.Version, "`claudemesh upgrade` says how to get it")
	}
	return fine("none, of those that are known")
}

// same reports whether two paths lead to one file.
func same(a, b string) bool {
	one, err := os.Stat(a)
	other, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(one, other)
}

// lookEnvironment finds variables that name folders which are not there, and sockets that no system opens.
func lookEnvironment(_ context.Context, p *patient) finding {
	if notice := string(p.app.Home.Notice); notice != "" {
		return warn(notice, "unset CLAUDEMESH_CONFIG_DIR, or make the folder")
	}
	if err := shell.CheckSocket(p.app); err != nil {
		return fail(refusal(err), "set CLAUDEMESH_DAEMON_DIR to a shorter path")
	}
	return fine(p.app.Home.Config.Dir)
}

// versionTime is how long a host may take to say its version.
const versionTime = 5 * time.Second

// lookClaude finds Claude Code as launch does, and asks it for its version.
func lookClaude(ctx context.Context, p *patient) finding {
	path := p.app.Env.Claude.Program
	if path == "" {
		path = p.places.Find("claude")
	}
	if path == "" {
		switch others := slices.ContainsFunc(p.clients, func(c install.Client) bool { return c.ID != "claude" }); {
		case others:
			return warn("it is not on PATH; other agents are in use", "install Claude Code, or name it in CLAUDE_BIN")
		case len(p.clients) > 0:
			return warn("it is not on PATH, and its settings are here", "put its folder on PATH, or name it in CLAUDE_BIN")
		}
		return fail("it is not on PATH, and no other agent that claudemesh knows is in use", "install Claude Code, or name it in CLAUDE_BIN")
	}
	ctx, cancel := context.WithTimeout(ctx, versionTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = p.app.Sys.Environ
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return warn(path+" does not say its version", "run it by hand")
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return fine(shell.Facts(strings.TrimSpace(line), path))
}

// mcpServer is the part without which a session is not on the mesh. The others may be left out.
const mcpServer = "mcp server"

// lookParts looks for one kind of what install tells the agents in use.
func lookParts(what string) func(context.Context, *patient) finding {
	return func(_ context.Context, p *patient) finding {
		if p.unread != nil {
			return fail(refusal(p.unread), "mend the file, then run `claudemesh install`")
		}
		var well, missing, old []string
		for _, s := range p.steps {
			if s.What != what {
				continue
			}
			switch name := nameOf(p, s.Client); {
			case s.Action == install.Added && plugged(p, s):
				well = append(well, name+" by its plugin")
			case s.Action == install.Added:
				missing = append(missing, name)
			case s.Action == install.Updated, s.Action == install.Removed:
				old = append(old, name)
			default:
				well = append(well, name)
			}
		}
		for _, list := range []*[]string{&well, &missing, &old} {
			slices.Sort(*list)
			*list = slices.Compact(*list)
		}
		switch {
		case len(old) > 0:
			return fail("out of date: "+strings.Join(old, ", "), "`claudemesh install`, or --fix")
		case len(missing) > 0 && len(well) == 0 && what == mcpServer:
			return fail("not told: "+strings.Join(missing, ", "), "`claudemesh install`")
		case len(missing) > 0:
			return warn(shell.Facts(strings.Join(well, ", "), "not told: "+strings.Join(missing, ", ")), "`claudemesh install`")
		case len(well) == 0:
			return fine("there is no agent to tell")
		}
		return fine(strings.Join(well, ", "))
	}
}

// plugged reports whether the plugin has what a step would put in.
func plugged(p *patient, s install.Step) bool { return p.plugged && s.Client == "claude" }

// lookPlugin finds what is there twice, by the plugin and by install.
func lookPlugin(_ context.Context, p *patient) finding {
	twice := func(s install.Step) bool { return plugged(p, s) && s.Action != install.Added }
	switch {
	case slices.ContainsFunc(p.steps, twice):
		return warn("it stands beside what `claudemesh install` wrote: hooks run twice", "`claudemesh uninstall --client claude`, or `claude plugin uninstall "+install.PluginID+"`")
	case p.places.Find("claudemesh") == "":
		return fail("it starts claudemesh, which is not on PATH", "put the folder of "+p.app.Sys.Executable+" on PATH")
	}
	return fine(install.PluginID)
}

func nameOf(p *patient, id string) string {
	i := slices.IndexFunc(p.clients, func(c install.Client) bool { return c.ID == id })
	return p.clients[i].Name
}

// mendParts brings up to date what stands in the files of agents. Who was not told at all stays so.
func mendParts(ctx context.Context, p *patient) error {
	old := slices.DeleteFunc(slices.Clone(p.clients), func(c install.Client) bool {
		return !slices.ContainsFunc(p.steps, func(s install.Step) bool { return s.Client == c.ID && s.Action == install.Updated })
	})
	if len(old) == 0 {
		return nil
	}
	_, err := p.in.Install(ctx, old, false)
	return err
}

// serverTime is how long an MCP server may take to say hello.
const serverTime = 5 * time.Second

// lookServer starts the MCP server as a host does, and reads its hello. A server that is not told `initialized` registers
// no session.
func lookServer(ctx context.Context, p *patient) finding {
	ctx, cancel := context.WithTimeout(ctx, serverTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.app.Sys.Executable, "mcp")
	cmd.Env, cmd.WaitDelay = p.app.Sys.Environ, time.Second
	cmd.Stdin = strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"doctor","version":"1"}}}` + "\n")
	out, err := cmd.Output()
	var answer struct {
		Result struct {
			ProtocolVersion string `json:"protocolVersion"`
			Capabilities    struct {
				Experimental map[string]wire.RawMessage `json:"experimental"`
			} `json:"capabilities"`
		} `json:"result"`
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	switch decodeErr := wire.Decode(line, &answer); {
	case err != nil || decodeErr != nil:
		return fail("it did not say hello", "`claudemesh mcp` writes "+p.app.Home.Daemon.MCPLog())
	case answer.Result.Capabilities.Experimental["claude/channel"] == nil:
		return fail("it offers no channel", "another program answers in its place: look at "+p.app.Sys.Executable)
	}
	return fine("revision " + answer.Result.ProtocolVersion + ", with a channel")
}
