// Package cli is the verbs: each parses, makes one typed call to the daemon, and prints. root.go is the table of contents.
package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/local"
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

	client localapi.Doer
	closer io.Closer
}

// globals are the flags of every verb (cli 3).
type globals struct {
	json     string
	mesh     string
	quiet    bool
	verbose  bool
	strict   bool
	noDaemon bool
	yes      bool
}

// Run runs one verb and returns its exit status.
func Run(ctx context.Context, sys System) mesh.Exit {
	a := &app{sys: sys, env: config.ReadEnv(sys.Lookup)}
	a.out = term.NewStream(sys.Stdout, a.env.NoColor)
	a.err = term.NewStream(sys.Stderr, a.env.NoColor)
	root := newRoot(a)
	root.SetArgs(sys.Args)
	err := a.locate()
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if a.closer != nil {
		err = errors.Join(err, a.closer.Close())
	}
	return a.finish(ctx, err)
}

// locate finds the folders of this user.
func (a *app) locate() error {
	home, err := paths.Find(a.sys.Lookup)
	a.home = home
	return err
}

// finish prints what went wrong, in the form asked for, and gives the exit status.
func (a *app) finish(ctx context.Context, err error) mesh.Exit {
	var quiet exitError
	switch {
	case err == nil:
		return mesh.ExitOK
	case errors.As(err, &quiet):
		return mesh.Exit(quiet)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return mesh.ExitCancelled
	}
	code := mesh.CodeOf(err)
	text := mesh.PublicText(err)
	if code == mesh.Internal && (a.global.verbose || a.env.Debug) {
		text = err.Error()
	}
	if a.global.json != "" {
		a.printError(code, text, err)
	} else {
		writeError(a.err, text, err)
	}
	return code.Exit()
}

// exitError ends a verb with a status after it has printed everything itself.
type exitError mesh.Exit

func (exitError) Error() string { return "" }

// service is what a long-running part is started with; flags are the settings given on the command line.
func (a *app) service(flags map[string]string) Service {
	return Service{
		Home: a.home, Env: a.env, Now: a.sys.Now, WorkDir: a.sys.WorkDir,
		Stdin: a.sys.Stdin, Stdout: a.sys.Stdout, Log: a.sys.Stderr,
		Settings:   config.Sources{File: a.home.Config.Settings(), Env: a.sys.Lookup, Flags: flags},
		Executable: a.sys.Executable, Environ: a.sys.Environ,
	}
}

// daemon gives the way to the daemon, starting it when it is down (design A8).
func (a *app) daemon(ctx context.Context) (localapi.Doer, error) {
	if a.client != nil {
		return a.client, nil
	}
	if a.noDaemon() {
		doer, closer, err := a.sys.Services.InProcess(ctx, a.service(nil))
		if err != nil {
			return nil, err
		}
		a.client, a.closer = doer, closer
		return doer, nil
	}
	if err := paths.CheckSocket(a.home.Daemon.Socket()); err != nil {
		return nil, err
	}
	c := local.New(a.home.Daemon.Socket(), a.sys.Now)
	c.Token = a.sessionToken
	a.client, a.closer = &starting{app: a, Client: c}, c
	return a.client, nil
}

func (a *app) noDaemon() bool { return a.global.noDaemon || a.env.NoDaemon }
func (a *app) strict() bool   { return a.global.strict || a.env.StrictDaemon }

// sessionToken is the token of the host session around this verb, if it is registered (design C6).
func (a *app) sessionToken() string {
	id := a.env.Claude.SessionID
	if id == "" {
		return ""
	}
	token, _, err := paths.ReadSecret(a.home.Daemon.SessionToken(id))
	if err != nil {
		return "" // not registered: the daemon knows by the process tree that it is inside a session
	}
	return strings.TrimSpace(string(token))
}

func (a *app) starter() *local.Starter {
	return &local.Starter{
		Daemon: a.home.Daemon, Executable: a.sys.Executable, Environ: a.sys.Environ,
		Forbidden: a.env.NoAutospawn, Now: a.sys.Now,
	}
}

// starting is a client that starts the daemon when nobody listens, once.
type starting struct {
	*local.Client
	app   *app
	tried bool
}

// Do carries a request (localapi.Doer).
func (s *starting) Do(ctx context.Context, r localapi.Request) (localapi.Response, error) {
	resp, err := s.Client.Do(ctx, r)
	if !mesh.IsCode(err, mesh.DaemonDown) || s.tried || s.app.strict() {
		return resp, err
	}
	s.tried = true
	took, err := s.app.starter().Start(ctx)
	if err != nil {
		return resp, err
	}
	if !s.app.global.quiet && s.app.global.json == "" {
		s.app.err.Plain("[claudemesh] info daemon restarted automatically (took %dms)", took.Milliseconds())
	}
	return s.Client.Do(ctx, r)
}

// call makes a typed call to the daemon within the given time.
func call[Req, Resp any](ctx context.Context, a *app, c localapi.Call[Req, Resp], limit time.Duration, req Req) (Resp, error) {
	var none Resp
	d, err := a.daemon(ctx)
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.Do(ctx, d, req)
}

// callTime is how long an ordinary verb waits; the first one may start the daemon.
const callTime = 20 * time.Second

// usage is an error about the words of a command line.
func usage(cmd *cobra.Command, format string, args ...any) error {
	err := mesh.Errorf(mesh.Usage, format, args...)
	return mesh.Errorf(mesh.Usage, "%w\n  usage: %s", err, cmd.UseLine())
}
