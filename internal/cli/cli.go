// Package cli is the program's command line: the table of contents of its verbs, help, and the pages about them. The verbs
// are in its sub-packages, one per noun.
package cli

import (
	"context"
	"io"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Run runs one verb and returns its exit status.
func Run(ctx context.Context, sys shell.System) mesh.Exit {
	if asksVersion(sys.Args) {
		if _, err := io.WriteString(sys.Stdout, versionLine()); err != nil {
			return mesh.ExitIO
		}
		return mesh.ExitOK
	}
	return run(ctx, shell.New(sys))
}

func run(ctx context.Context, a *shell.App) mesh.Exit {
	root, err := newTree(a)
	if err == nil {
		err = a.Execute(ctx, root)
	}
	return a.Finish(ctx, err)
}
