package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/daemon"
	"github.com/claudemesh/claudemesh/internal/daemon/clone"
	"github.com/claudemesh/claudemesh/internal/demo"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mcp"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// services are the long-running parts, each started from what the command line gives, and told of signals from the first
// moment by listen.
func services(listen func()) shell.Services {
	lasting := func(run func(context.Context, shell.Service) error) func(context.Context, shell.Service) error {
		return func(ctx context.Context, s shell.Service) error {
			listen()
			return run(ctx, s)
		}
	}
	return shell.Services{Daemon: lasting(runDaemon), Broker: lasting(runBroker), MCP: lasting(runMCP), Demo: lasting(runDemo), InProcess: inProcess, Manage: manage, Exec: execute,
		BrokerKeeper: broker.Upkeep(), DaemonKeeper: daemon.Upkeep()}
}

func runDaemon(ctx context.Context, s shell.Service) error {
	opt, err := daemonOptions(s, s.Log)
	if err != nil {
		return err
	}
	return daemon.Run(ctx, opt)
}

func inProcess(ctx context.Context, s shell.Service) (localapi.Doer, io.Closer, error) {
	opt, err := daemonOptions(s, io.Discard)
	if err != nil {
		return nil, nil, err
	}
	doer, closer, err := daemon.InProcess(ctx, opt)
	if mesh.IsCode(err, mesh.AlreadyRunning) {
		err = mesh.Errorf(mesh.DaemonRunning, "a daemon runs, so the work cannot be done without it: %w", err)
	}
	return doer, closer, err
}

func daemonOptions(s shell.Service, log io.Writer) (daemon.Options, error) {
	settings, err := config.LoadDaemon(s.Settings)
	if err != nil {
		return daemon.Options{}, err
	}
	log = daemon.OpenLogFile(log, s.Home.Daemon.Log(), settings.LogFileBytes, settings.LogFiles)
	return daemon.Options{
		Home: s.Home, Settings: settings, User: userName(s.Env), Now: s.Now, Log: logger(log, settings.LogLevel), Machine: clone.Here,
	}, nil
}

// userName is what this user's members are called: <user>@<host> (design C5).
func userName(env config.Env) string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return env.Login() + "@" + host
}

// brokerGC lets a broker's heap, which is small and nearly all garbage, grow further between two collections: a fifth more
// accepts a second, for some memory (docs/benchmarks.md).
const brokerGC = 400

func runBroker(ctx context.Context, s shell.Service) error {
	in := s.Settings
	data := s.Home.Broker
	if dir, ok := in.Flags["data-dir"]; ok {
		data = paths.Broker{Dir: dir}
	}
	in.File = data.Settings()
	settings, err := config.LoadBroker(in)
	if err != nil {
		return err
	}
	_, set := os.LookupEnv("GOGC")
	ctx, stop := context.WithCancel(ctx)
	var resting sync.WaitGroup
	defer resting.Wait()
	defer stop()
	resting.Go(func() { tend(ctx, !set) })
	return broker.Run(ctx, broker.Options{Settings: settings, Data: data, Now: s.Now, Log: logger(s.Log, settings.LogLevel)})
}

func runMCP(ctx context.Context, s shell.Service) error {
	os.Stdout = os.Stderr                        // what is printed by mistake must not break the stream of frames
	settings, _ := config.LoadDaemon(s.Settings) // settings that cannot be read switch nothing on, and the daemon says so
	return mcp.Run(ctx, mcp.Options{
		Daemon: s.Home.Daemon, Env: s.Env, Stdin: s.Stdin, Stdout: s.Stdout, WorkDir: s.WorkDir,
		Executable: s.Executable, Environ: s.Environ, Manager: s.Manager, Now: s.Now, Tools: s.Settings.Flags["tools"] == "true",
		Approvals: settings.ApprovalRelay,
	})
}

// manageTime is how long a service manager may take for one command.
const manageTime = 20 * time.Second

// manage gives the service manager one command. What it says on failure is for people.
func manage(ctx context.Context, command, environ []string) error {
	ctx, cancel := context.WithTimeout(ctx, manageTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = environ
	if out, err := cmd.CombinedOutput(); err != nil {
		said := ""
		if text := strings.TrimSpace(string(out)); text != "" {
			said = ": " + text
		}
		return mesh.Errorf(mesh.IOError, "%s: %w%.300s", strings.Join(command, " "), err, said)
	}
	return nil
}

func runDemo(ctx context.Context, s shell.Service) error {
	return demo.Run(ctx, demo.Options{
		Executable: s.Executable, Environ: s.Environ, Out: s.Stdout, NoColour: s.Env.NoColor, Now: s.Now, Stage: s.Settings.Flags["stage"],
	})
}

func logger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}
