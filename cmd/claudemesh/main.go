// Command claudemesh is all of claudemesh: verbs, daemon, MCP server and broker.
package main

import (
	"os"
	"runtime"
	"time"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

func main() { os.Exit(int(run())) }

func run() mesh.Exit {
	interrupt := newSignals()
	defer interrupt.stop()
	executable, err := os.Executable()
	if err != nil {
		executable = os.Args[0]
	}
	dir, err := os.Getwd()
	if err != nil {
		dir = "/" // a folder that was removed is no reason to fail: few verbs care
	}
	return cli.Run(interrupt.ctx, shell.System{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Lookup: os.LookupEnv, Environ: os.Environ(),
		Executable: executable, WorkDir: dir, Admin: paths.AdminPolicy(runtime.GOOS), Now: time.Now, Services: services(interrupt.begin),
	})
}
