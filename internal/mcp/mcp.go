// Package mcp is the MCP server that a host program starts for each session: it registers the session with the daemon
// and puts arriving messages into it, by the host's inbox socket or as channel notifications (design E1).
package mcp

import (
	"context"
	"io"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Options say what the server works with. All fields are required.
type Options struct {
	Daemon     paths.Daemon
	Env        config.Env
	Stdin      io.Reader
	Stdout     io.Writer // nothing else in the process may write to it
	WorkDir    string
	Executable string   // this program, to start the daemon
	Environ    []string // for the daemon
	Now        mesh.Clock
}

// Run serves until stdin or ctx ends, or the process that started this one is gone, and returns nil then. A daemon
// that is down is no error: it is started and asked again for as long as the session lives.
func Run(ctx context.Context, opt Options) error { panic("mcp: in the making") }
