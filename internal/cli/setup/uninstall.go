package setup

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/install"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// StopWork stops what runs of claudemesh on this machine, or says why it cannot.
type StopWork func(ctx context.Context, a *shell.App) error

// NewUninstall takes out what install put in; unit has the system no longer start the daemon, and stop stops it.
func NewUninstall(a *shell.App, unit UnitWork, stop StopWork) *cobra.Command {
	var f flags
	var noService, purge bool
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Take out what install put into other programs' files",
		Long: "Take out what `claudemesh install` put into the files of other programs. A file that nobody else has changed since is again what it was, " +
			"byte for byte; from others our part alone goes. The system no longer starts the daemon, and one that it started ends; with --client the service " +
			"stays. Meshes, keys and messages stay: `claudemesh leave` is for those.\n\n--purge removes them too: daemon and broker of this machine stop, and " +
			"~/.claudemesh goes with every key, also those by which you own meshes; nothing brings them back but a file of `claudemesh daemon backup`. Brokers " +
			"elsewhere keep you as a member until somebody takes you out; `claudemesh leave` before it does that.\n\n" +
			"This is for a human in a terminal: a host session is refused.",
		Example: "claudemesh uninstall\nclaudemesh uninstall --client cursor\nclaudemesh uninstall --purge",
		Args:    a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !noService && len(f.clients) == 0 {
				f.unit = unit
			}
			if purge {
				if f.unit == nil {
					return shell.Usage(cmd, "--purge removes everything: leave out --client and --no-service")
				}
				if err := mayPurge(cmd, a, f.dry); err != nil {
					return err
				}
				f.purge = func() error { return runPurge(cmd.Context(), a, stop, f.dry) }
			}
			return run(cmd.Context(), a, f, everyone, (*install.Installer).Uninstall)
		},
	}
	cmd.Flags().BoolVar(&noService, "no-service", false, "leave the service as it is")
	cmd.Flags().BoolVar(&purge, "purge", false, "remove meshes, keys and messages of this user, too")
	return withFlags(cmd, &f, "these programs only: ")
}

// mayPurge refuses what would remove another folder than ours, or what sessions use, and asks.
func mayPurge(cmd *cobra.Command, a *shell.App, dry bool) error {
	root := a.Home.Root
	if info, err := os.Lstat(root); root == "" || err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return shell.Usage(cmd, "--purge removes a folder, and %q is none: remove what it leads to yourself", root)
	}
	for _, dir := range []string{a.Home.Config.Dir, a.Home.Daemon.Dir, a.Home.Broker.Dir} {
		if dir != root && !strings.HasPrefix(dir, root+string(filepath.Separator)) {
			return shell.Usage(cmd, "--purge removes %s alone, and a variable names %s: unset it", root, dir)
		}
	}
	if dry {
		return nil
	}
	if err := shell.Outside(a, "what this user has in meshes is removed"); err != nil {
		return err
	}
	var names []string
	if known, err := shell.Ask(cmd.Context(), a, localapi.Sessions, shell.ProbeTime, localapi.None{}); err == nil { // else nothing runs
		for _, s := range known.Sessions {
			names = append(names, s.DisplayName)
		}
	}
	if len(names) > 0 {
		return mesh.Errorf(mesh.AlreadyRunning, "sessions are on the mesh, and would be back: end %s first", strings.Join(names, ", "))
	}
	return shell.Confirm(cmd, a, "this removes "+root+": nobody can be this user in its meshes again, or own those that were made here")
}

// runPurge stops everything and removes the folder, and what url-handler wrote.
func runPurge(ctx context.Context, a *shell.App, stop StopWork, dry bool) error {
	if dry {
		return nil
	}
	if err := stop(ctx, a); err != nil {
		return err
	}
	if _, err := forgetScheme(ctx, a); err != nil {
		return err
	}
	if err := os.RemoveAll(a.Home.Root); err != nil {
		return mesh.Errorf(mesh.IOError, "remove %s: %w", a.Home.Root, err)
	}
	return nil
}

func showPurged(out term.Stream, v installedView) {
	if v.DryRun {
		out.OK("meshes, keys and messages would be removed", v.Purged)
		return
	}
	out.OK("meshes, keys and messages removed", v.Purged)
	out.Hint("the program itself is " + v.Program)
}
