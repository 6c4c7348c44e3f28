package install

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Places are the folders in which programs keep their settings.
type Places struct {
	Home   string // the user's
	Claude string // CLAUDE_CONFIG_DIR, or empty
	Config string // XDG_CONFIG_HOME, on Windows APPDATA, or empty
	System string // runtime.GOOS
	Path   string // PATH, or empty
}

// config is where programs of this system keep their settings.
func (p Places) config() string {
	switch {
	case p.System == "darwin":
		return filepath.Join(p.Home, "Library", "Application Support")
	case p.Config != "":
		return p.Config
	case p.System == "windows":
		return filepath.Join(p.Home, "AppData", "Roaming")
	}
	return filepath.Join(p.Home, ".config")
}

// claude is Claude Code's folder.
func (p Places) claude() string {
	if p.Claude != "" {
		return p.Claude
	}
	return filepath.Join(p.Home, ".claude")
}

// skillFolder is where Claude Code finds the bundled skill (host 7).
func (p Places) skillFolder() string { return filepath.Join(p.claude(), "skills", entryName) }

// claudeFile is where Claude Code keeps the MCP servers of a user (host 6).
func (p Places) claudeFile() string {
	if p.Claude != "" {
		return filepath.Join(p.Claude, ".claude.json")
	}
	return filepath.Join(p.Home, ".claude.json")
}

// Client is a program whose sessions can be on the mesh.
type Client struct {
	ID   string // as --client names it
	Name string // as its makers write it

	program string                     // what it is called on PATH; empty where that tells nothing
	signs   func(Places) []string      // files and folders, of which one is there where it is in use
	parts   func(in *Installer) []part // what it is told
}

// Clients are all that we know, in the order in which they are shown.
func Clients() []Client {
	return []Client{
		{"claude", "Claude Code", "claude", func(p Places) []string { return []string{p.claudeFile(), p.claude()} }, claudeParts},
		{"codex", "Codex CLI", "codex", home(".codex"), codexParts},
		{"gemini", "Gemini CLI", "gemini", home(".gemini"), geminiParts},
		{"opencode", "OpenCode", "opencode", func(p Places) []string { return []string{p.openCode()} }, openCodeParts},
		{"cursor", "Cursor", "cursor", home(".cursor"), cursorParts},
		{"vscode", "VS Code", "code", func(p Places) []string { return []string{filepath.Dir(p.vsCode())} }, vsCodeParts},
		{"copilot", "Copilot CLI", "copilot", home(".copilot"), copilotParts},
	}
}

func home(folder string) func(Places) []string {
	return func(p Places) []string { return []string{filepath.Join(p.Home, folder)} }
}

// all are the parts of a program, and those that it does not have any more.
func (c Client) all(in *Installer, outdated []string) []part {
	parts := c.parts(in)
	for _, path := range outdated {
		if c.ID == "claude" && !slices.ContainsFunc(parts, func(p part) bool { return p.path == path }) {
			old := filePart(Skill, path, "")
			old.gone = true
			parts = append(parts, old)
		}
	}
	return parts
}

// InUse reports whether a program seems to be in use here.
func (c Client) InUse(p Places) bool {
	if c.program != "" && p.Find(c.program) != "" {
		return true
	}
	return slices.ContainsFunc(c.signs(p), func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	})
}

// mcpArgs are what our program is called with as an MCP server.
var mcpArgs = []string{"mcp"}

// Find is where a program lies on PATH; empty when it does not.
func (p Places) Find(program string) string {
	names := []string{program}
	if p.System == "windows" {
		names = []string{program + ".exe", program + ".cmd"}
	}
	for _, folder := range filepath.SplitList(p.Path) {
		for _, name := range names {
			if path := filepath.Join(folder, name); filepath.IsAbs(path) && p.Runnable(path) {
				return path
			}
		}
	}
	return ""
}

// Runnable reports whether a file can be started.
func (p Places) Runnable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && (p.System == "windows" || info.Mode()&0o111 != 0)
}

// Told reports whether a program knows of an MCP server of our name, wherever it came from.
func (c Client) Told(p Places) bool {
	for _, part := range c.parts(&Installer{Places: p}) {
		text, err := os.ReadFile(part.path)
		if err == nil && part.what == mcpServer && part.in(text) {
			return true
		}
	}
	return c.ID == "claude" && p.Plugged() && p.Find(pluginProgram) != ""
}

func claudeParts(in *Installer) []part {
	p, program := in.Places, in.Program
	parts := []part{jsonPart(p.claudeFile(), server{Type: "stdio", Command: program, Args: mcpArgs}, "mcpServers", entryName)}
	settings := filepath.Join(p.claude(), "settings.json")
	parts = append(parts, hooksPart(settings, program), statusPart(settings, program))
	for _, name := range slices.Sorted(maps.Keys(in.Skill)) {
		parts = append(parts, filePart(Skill, filepath.Join(p.skillFolder(), name), in.Skill[name]))
	}
	return parts
}

func codexParts(in *Installer) []part {
	p, program := in.Places, in.Program
	return []part{tomlPart(filepath.Join(p.Home, ".codex", "config.toml"), program, "mcp_servers", entryName)}
}

func geminiParts(in *Installer) []part {
	p, program := in.Places, in.Program
	return []part{jsonPart(filepath.Join(p.Home, ".gemini", "settings.json"), server{Command: program, Args: mcpArgs}, "mcpServers", entryName)}
}

func cursorParts(in *Installer) []part {
	p, program := in.Places, in.Program
	return []part{jsonPart(filepath.Join(p.Home, ".cursor", "mcp.json"), server{Command: program, Args: mcpArgs}, "mcpServers", entryName)}
}

func vsCodeParts(in *Installer) []part {
	p, program := in.Places, in.Program
	return []part{jsonPart(p.vsCode(), server{Type: "stdio", Command: program, Args: mcpArgs}, "servers", entryName)}
}

func copilotParts(in *Installer) []part {
	p, program := in.Places, in.Program
	return []part{jsonPart(filepath.Join(p.Home, ".copilot", "mcp-config.json"),
		server{Type: "local", Command: program, Args: mcpArgs, Tools: []string{"*"}}, "mcpServers", entryName)}
}

func (p Places) vsCode() string { return filepath.Join(p.config(), "Code", "User", "mcp.json") }

// openCode is its folder, which is the same on every system.
func (p Places) openCode() string {
	if p.Config != "" && p.System != "windows" {
		return filepath.Join(p.Config, "opencode")
	}
	return filepath.Join(p.Home, ".config", "opencode")
}

func openCodeParts(in *Installer) []part {
	p, program := in.Places, in.Program
	path := filepath.Join(p.openCode(), "opencode.json")
	if with := path + "c"; exists(with) && !exists(path) { // it reads both, and this one may have comments
		path = with
	}
	return []part{jsonPart(path, openCodeServer{Type: "local", Command: []string{program, "mcp"}, Enabled: true}, "mcp", entryName)}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
