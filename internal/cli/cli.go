// Package cli is the verbs: each parses, makes one typed call to the daemon, and prints. root.go is the table of contents.
package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/projection"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// System is what a run of the program is given from outside.
type System struct {
	Args       []string // without the program's name
	Stdin      io.Reader
	Stdout     io.Writer
	Stderr     io.Writer
	Lookup     func(string) (string, bool) // environment
	Environ    []string
	Executable string
	WorkDir    string
	Now        mesh.Clock
	Services   Services
}

// Services are the long-running parts, handed in so that verbs do not link them.
type Services struct {
	Daemon func(ctx context.Context, s Service) error
	Broker func(ctx context.Context, s Service) error
	MCP    func(ctx context.Context, s Service) error
	Demo   func(ctx context.Context, s Service) error
	// InProcess opens the daemon's handler in this process, under the daemon's lock (design A8).
	InProcess func(ctx context.Context, s Service) (localapi.Doer, io.Closer, error)
}

// Service is what a part is started with.
type Service struct {
	Home     paths.Home
	Settings config.Sources // file, environment, flags
	Env      config.Env
	Stdin    io.Reader
	Stdout   io.Writer
	Log      io.Writer
	Now      mesh.Clock
	WorkDir  string
	// Executable is this program, for an MCP server that has to start the daemon.
	Executable string
	Environ    []string
}

// app is one run: what verbs share.
type app struct {
	sys    System
	env    config.Env
	home   paths.Home
	out    term.Stream
	err    term.Stream
	global globals

	client localapi.Doer // made by the first call
	closer io.Closer
}

// globals are the flags of every verb (cli 3).
type globals struct {
	json     projection.Fields
	quiet    bool
	verbose  bool
	strict   bool
	noDaemon bool
	yes      bool
}

// Run runs one verb and returns its exit status.
func Run(ctx context.Context, sys System) mesh.Exit {
	if asksVersion(sys.Args) {
		if _, err := io.WriteString(sys.Stdout, versionLine()); err != nil {
			return mesh.ExitIO
		}
		return mesh.ExitOK
	}
	a := newApp(sys)
	return a.finish(ctx, a.run(ctx))
}

func newApp(sys System) *app {
	a := &app{sys: sys, env: config.ReadEnv(sys.Lookup)}
	a.out = term.NewStream(sys.Stdout, a.env.NoColor)
	a.err = term.NewStream(sys.Stderr, a.env.NoColor)
	return a
}

func (a *app) run(ctx context.Context) error {
	root, err := newTree(a)
	if err != nil {
		return err
	}
	if err = root.ExecuteContext(ctx); err == nil {
		a.noticeVersion(ctx)
	}
	if a.closer == nil {
		return err
	}
	if closeErr := a.closer.Close(); err == nil && closeErr != nil {
		return fmt.Errorf("close the way to the daemon: %w", closeErr)
	}
	return err
}

// begin runs before every verb, but neither before help nor when its words are wrong.
func (a *app) begin(*cobra.Command, []string) error {
	home, err := paths.Find(a.sys.Lookup)
	a.home = home
	if home.Notice != "" && a.err.TTY {
		a.notice("warn %s", home.Notice)
	}
	return err
}

// notice writes one line about the machinery, in the form that the seed fixed, where it can disturb nobody
// (daemon 16.5).
func (a *app) notice(format string, args ...any) {
	if !a.global.quiet && !a.global.json.On {
		a.err.Plain("[claudemesh] %s", term.Clean(fmt.Sprintf(format, args...)))
	}
}

// warn tells the user something that the answer does not say.
func (a *app) warn(format string, args ...any) {
	if !a.global.quiet {
		a.err.Warn(fmt.Sprintf(format, args...))
	}
}

// service is what a long-running part is started with. flags are the settings given on the command line; file is where
// its other settings stand.
func (a *app) service(file string, flags map[string]string) Service {
	return Service{
		Home: a.home, Env: a.env, Now: a.sys.Now, WorkDir: a.sys.WorkDir,
		Stdin: a.sys.Stdin, Stdout: a.sys.Stdout, Log: a.sys.Stderr,
		Settings:   config.Sources{File: file, Env: a.sys.Lookup, Flags: flags},
		Executable: a.sys.Executable, Environ: a.sys.Environ,
	}
}

// daemonService is the daemon, or what talks to it.
func (a *app) daemonService(flags map[string]string) Service {
	return a.service(a.home.Config.Settings(), flags)
}

// exitError ends a verb with a status after it has printed everything itself.
type exitError mesh.Exit

// Error says nothing: everything was said.
func (exitError) Error() string { return "" }
