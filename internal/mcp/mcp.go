// Package mcp is the MCP server that a host program starts for each session: it registers the session with the daemon
// and puts arriving messages into it, by the host's inbox socket or as channel notifications (design E1).
package mcp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Options say what the server works with. All but Manager and Tools are required.
type Options struct {
	Daemon     paths.Daemon
	Env        config.Env
	Stdin      io.Reader
	Stdout     io.Writer // nothing else in the process may write to it
	WorkDir    string
	Executable string                                  // this program, to start the daemon
	Manager    func(ctx context.Context) (bool, error) // has a service manager start it, where it does; may be nil
	Environ    []string                                // for the daemon, which is told nothing of the session in it
	Tools      bool                                    // offer tools, to a host without a shell
	Approvals  bool                                    // permissions may be asked for elsewhere (config.Daemon.ApprovalRelay)
	Now        mesh.Clock
}

// stopTime is how long what is under way may take to end.
const stopTime = 3 * time.Second

// Run serves until stdin or ctx ends, or the process that started this one is gone, and returns nil then. A daemon
// that is down is no error: it is started and asked again for as long as the session lives. A read of stdin, or a
// write to a host that does not read, may stay behind: the process is to end.
func Run(ctx context.Context, opt Options) error {
	file := &logFile{path: opt.Daemon.MCPLog()}
	defer func() { _ = file.Close() }() // every line is written already
	log := slog.New(slog.NewJSONHandler(file, nil)).With(slog.Int(logkey.PID, os.Getpid()))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan info, 1)
	s, d := newServer(opt.Stdout, log), newDoor()
	var tools []tool
	if opt.Tools {
		tools = messageTools(opt.Now)
	}
	serveTools(s, d, tools, log)
	skills := &shelf{server: s, door: d, log: log}
	skills.serve()
	experimental := map[string]empty{"claude/channel": {}}
	if opt.Approvals {
		experimental[permissionCapability] = empty{}
		servePermissions(s, d, log)
	}
	greet(s, introduction(opt.Tools), experimental, func(program info) {
		select {
		case ready <- program:
		default: // a host that says it twice
		}
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if program, ok := greeted(ctx, ready); ok {
			log.Info("mcp server initialized", slog.String(logkey.Version, buildinfo.Version()), slog.String(logkey.Host, host.Line(program.Name)))
			newSession(opt, program, s, log).run(ctx, d, skills)
		}
	}()
	go endWithParent(ctx, cancel, log) // ends with ctx
	err := s.serve(ctx, opt.Stdin)
	stopped := ctx.Err() != nil
	cancel()
	select {
	case <-ended:
	case <-time.After(stopTime):
		log.Warn("the host does not read; the rest is left in the inbox")
	}
	log.Info("mcp server ended", slog.Bool(logkey.Signal, stopped), slog.Any(logkey.Err, err))
	if stopped && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// endWithParent cancels when the process that started this one is gone: a host that was killed leaves stdin open where
// another process has the other end.
func endWithParent(ctx context.Context, cancel context.CancelFunc, log *slog.Logger) {
	parent, err := host.Find(os.Getppid())
	if err != nil {
		log.Warn("the host is not watched", slog.Any(logkey.Err, err)) // the end of stdin is left
		return
	}
	if host.Exited(ctx, parent.PID, parent.Start) == nil {
		log.Info("the host is gone", slog.Int(logkey.PID, parent.PID))
		cancel()
	}
}

// greeted waits until the host is ready to be shown what comes.
func greeted(ctx context.Context, ready <-chan info) (program info, ok bool) {
	select {
	case program = <-ready:
		return program, true
	case <-ctx.Done():
		return program, false
	}
}
