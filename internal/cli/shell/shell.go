// Package shell is what verbs share: the run, the way to the daemon, printing, the words of a command line, and errors with
// their exit status.
//
// A verb is a constructor that takes the run and gives a command. It parses, makes one typed call (Call) and prints the
// answer, as JSON or for people (App.Print).
package shell

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/projection"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/upkeep"
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
	Admin      string // policy file of the machine's administrator
	Now        mesh.Clock
	Services   Services
	// CompletionTime is how long a shell may wait for words to complete; 0 is the usual time.
	CompletionTime time.Duration
}

// Services are the long-running parts, handed in so that verbs do not link them.
type Services struct {
	Daemon func(ctx context.Context, s Service) error
	Broker func(ctx context.Context, s Service) error
	MCP    func(ctx context.Context, s Service) error
	Demo   func(ctx context.Context, s Service) error
	// InProcess opens the daemon's handler in this process, under the daemon's lock (design A8).
	InProcess func(ctx context.Context, s Service) (localapi.Doer, io.Closer, error)
	// Exec puts a program in the place of this process; where the system cannot do that it runs it, and ends as it does.
	// It returns only when the program could not be started.
	Exec func(path string, argv, environ []string) error
	// Manage gives the system's service manager one command.
	Manage func(ctx context.Context, command, environ []string) error
	// BrokerKeeper and DaemonKeeper look after stored data.
	BrokerKeeper, DaemonKeeper upkeep.Keeper
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
	// Manager has a service manager start the daemon, where it does (local.Starter).
	Manager func(ctx context.Context) (bool, error)
}

// App is one run of the program. It serves one verb, and is not to be shared.
type App struct {
	Sys   System
	Env   config.Env
	Home  paths.Home  // known once the verb runs
	Out   term.Stream // answers; Print writes them in one piece
	Err   term.Stream // everything else
	Flags Flags

	Answers bool // standard input is a terminal

	agreed bool          // the user said yes at the question of a policy
	client localapi.Doer // made by the first call
	closer io.Closer

	completing time.Time // since when a shell waits for words
}

// Flags are those of every verb (cli 3).
type Flags struct {
	JSON     projection.Fields
	Quiet    bool
	Verbose  bool
	Strict   bool
	NoDaemon bool
	Yes      bool
	Mode     string // --approval-mode
	Policy   string // --policy
}

// New makes a run.
func New(sys System) *App {
	a := &App{Sys: sys, Env: config.ReadEnv(sys.Lookup)}
	_, a.Answers = term.Reads(sys.Stdin)
	a.Out = term.NewStream(sys.Stdout, a.Env.NoColor)
	a.Err = term.NewStream(sys.Stderr, a.Env.NoColor)
	return a
}

// Now is the time.
func (a *App) Now() time.Time { return a.Sys.Now() }

// Execute runs the verb that the arguments of root name, and closes the way to the daemon.
func (a *App) Execute(ctx context.Context, root *cobra.Command) error {
	err := root.ExecuteContext(ctx)
	if err == nil {
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

// Begin runs before every verb, but neither before help nor when its words are wrong.
func (a *App) Begin(cmd *cobra.Command, _ []string) error {
	home, err := paths.Find(a.Sys.Lookup)
	a.Home = home
	if home.Notice != "" && a.Err.TTY {
		a.Notice("warn %s", home.Notice)
	}
	if err != nil {
		return err
	}
	return guard(cmd, a)
}

// Notice writes one line about the machinery, in the form that the seed fixed, where it can disturb nobody
// (daemon 16.5).
func (a *App) Notice(format string, args ...any) {
	if !a.Flags.Quiet && !a.Flags.JSON.On {
		a.Err.Plain("[claudemesh] %s", term.Clean(fmt.Sprintf(format, args...)))
	}
}

// Warn tells the user something that the answer does not say.
func (a *App) Warn(format string, args ...any) {
	if !a.Flags.Quiet {
		a.Err.Warn(fmt.Sprintf(format, args...))
	}
}

// Service is what a long-running part is started with. flags are the settings given on the command line; file is where
// its other settings stand.
func (a *App) Service(file string, flags map[string]string) Service {
	return Service{
		Home: a.Home, Env: a.Env, Now: a.Sys.Now, WorkDir: a.Sys.WorkDir,
		Stdin: a.Sys.Stdin, Stdout: a.Sys.Stdout, Log: a.Sys.Stderr,
		Settings:   config.Sources{File: file, Env: a.Sys.Lookup, Flags: flags},
		Executable: a.Sys.Executable, Environ: a.Sys.Environ,
		Manager: func(ctx context.Context) (bool, error) { return startUnit(ctx, a) },
	}
}

// DaemonService is the daemon, or what talks to it.
func (a *App) DaemonService(flags map[string]string) Service {
	return a.Service(a.Home.Config.Settings(), flags)
}
