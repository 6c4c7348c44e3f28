package install

import (
	"bytes"
	"strings"

	"github.com/claudemesh/claudemesh/internal/splice"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// The parts, as they are shown. Every program has an MCP server.
const (
	mcpServer  = "mcp server"
	Skill      = "skill"       // what its sessions read about us
	Hooks      = "hooks"       // by which its sessions tell what they do
	StatusLine = "status line" // what its terminal shows of the mesh
)

// entryName is what the entry is called among a program's MCP servers.
const entryName = "claudemesh"

// part is one thing that stands in one file of a program.
type part struct {
	what  string // as it is shown
	path  string
	skip  bool // it is not put in now
	gone  bool // it was one of an earlier version
	whole bool // it is the file
	// follows: where it is in, it is kept as this version has it, though nobody asked for it.
	follows bool
	// foreign reports whether something of somebody else stands in its place, which then stays; nil: nothing can.
	foreign func(text []byte) bool
	set     func(text []byte) ([]byte, error)
	// unset takes it out, and those of the containers around it that are empty then and are among made.
	unset func(text []byte, made []string) ([]byte, error)
	in    func(text []byte) bool // reports whether it is there, whatever it says
	// around are the containers that it stands in, outermost first, in a JSON file.
	around []string
}

// server is how most programs write down an MCP server.
type server struct {
	Type    string   `json:"type,omitzero"`
	Command string   `json:"command"`
	Args    []string `json:"args"`
	Tools   []string `json:"tools,omitzero"`
}

// Config is what Claude Code takes for --mcp-config: our server, as install would put it into its file.
func Config(program string) (string, error) {
	text, err := wire.Encode(map[string]map[string]server{"mcpServers": {entryName: {Type: "stdio", Command: program, Args: mcpArgs}}})
	return string(text), err
}

// openCodeServer is how OpenCode does.
type openCodeServer struct {
	Type    string   `json:"type"`
	Command []string `json:"command"`
	Enabled bool     `json:"enabled"`
}

// jsonPart is a member of a JSON file.
func jsonPart(path string, entry any, member ...string) part {
	container := member[:len(member)-1]
	return part{
		what: mcpServer, path: path, around: containers(container),
		set: func(text []byte) ([]byte, error) {
			value, err := wire.Encode(entry)
			if err != nil {
				return nil, err
			}
			return splice.SetJSON(text, string(value), member...)
		},
		unset: func(text []byte, made []string) ([]byte, error) {
			text, err := splice.DeleteJSON(text, member...)
			if err != nil {
				return nil, err
			}
			return prune(text, made)
		},
		in: func(text []byte) bool {
			_, ok, err := splice.JSON(text, member...)
			return ok && err == nil
		},
	}
}

// hasJSON reports whether a text has a container.
func hasJSON(text []byte, container string) bool {
	_, ok, err := splice.JSON(text, strings.Split(container, separator)...)
	return ok && err == nil
}

// separator stands between the names of a container's path.
const separator = "/"

// containers are the paths of the containers on the way to the last one.
func containers(path []string) (all []string) {
	for i := range path {
		all = append(all, strings.Join(path[:i+1], separator))
	}
	return all
}

// prune takes out what of made is empty, the innermost first.
func prune(text []byte, made []string) ([]byte, error) {
	for i := len(made) - 1; i >= 0; i-- {
		path := strings.Split(made[i], separator)
		value, ok, err := splice.JSON(text, path...)
		if err != nil {
			return nil, err
		}
		if ok && (bytes.Equal(value, []byte("{}")) || bytes.Equal(value, []byte("[]"))) {
			if text, err = splice.DeleteJSON(text, path...); err != nil {
				return nil, err
			}
		}
	}
	return text, nil
}

// tomlPart is a table of a TOML file.
func tomlPart(path, program string, table ...string) part {
	return part{
		what: mcpServer, path: path,
		set: func(text []byte) ([]byte, error) {
			command, err := wire.Encode(program) // JSON's way of quoting is one of TOML's
			if err != nil {
				return nil, err
			}
			return splice.SetTOML(text, "command = "+string(command)+"\nargs = [\"mcp\"]\n", table...)
		},
		unset: func(text []byte, _ []string) ([]byte, error) { return splice.DeleteTOML(text, table...) },
		in: func(text []byte) bool {
			left, err := splice.DeleteTOML(text, table...)
			return err == nil && len(left) < len(text)
		},
	}
}

// filePart is a file that is ours alone.
func filePart(what, path, text string) part {
	return part{
		what: what, path: path, whole: true,
		set:   func([]byte) ([]byte, error) { return []byte(text), nil },
		unset: func([]byte, []string) ([]byte, error) { return nil, nil },
		in:    func(old []byte) bool { return len(old) > 0 },
	}
}
