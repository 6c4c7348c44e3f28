package machine

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/upkeep"
)

// dataDirFlag adds the flag that names a broker's folder.
func dataDirFlag(cmd *cobra.Command, dir *string) *cobra.Command {
	cmd.Flags().StringVar(dir, "data-dir", "", "`folder` of the broker's database; default ~/.claudemesh/broker")
	return cmd
}

func newBrokerCheck(a *shell.App) *cobra.Command {
	var dir string
	return dataDirFlag(&cobra.Command{
		Use:   "check",
		Short: "Read the broker's database and say what is wrong",
		Long: "Read the whole database of this machine's broker, which may run meanwhile: its structure, rows without the row that they belong " +
			"to, and what the broker itself keeps true. Nothing is changed. The exit status is 10 when something is wrong.",
		Example: "claudemesh broker check",
		Args:    a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := site(a, dir)
			if err != nil {
				return err
			}
			stores, err := a.Sys.Services.BrokerKeeper.Check(cmd.Context(), at)
			if err != nil {
				return err
			}
			return printChecked(a, stores, "claudemesh broker restore <file> puts a backup in its place")
		},
	}, &dir)
}

func newBrokerBackup(a *shell.App) *cobra.Command {
	var dir string
	return dataDirFlag(&cobra.Command{
		Use:   "backup [<file>]",
		Short: "Copy the broker's database, also while it runs",
		Long: "Copy the database of this machine's broker into a new file for nobody else to read. The broker may run: the copy is one moment " +
			"of it, read back whole before it gets its name. Without a word it is named by the time, in this folder.\n\n" +
			"Create token, certificate and broker.json lie beside the database and change seldom: keep a copy of them, too. Without tls-key.pem " +
			"the invite links of a broker with its own certificate end.",
		Example: "claudemesh broker backup\nclaudemesh broker backup /var/backups/claudemesh",
		Args:    atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := outsideSite(a, dir, "a backup is made")
			if err != nil {
				return err
			}
			to := upkeep.Order{File: target(a, args, datedName(a, "claudemesh-broker", ".db"))}
			made, err := a.Sys.Services.BrokerKeeper.Backup(cmd.Context(), at, to)
			if err != nil {
				return err
			}
			return printBackup(a, made)
		},
	}, &dir)
}

func newBrokerRestore(a *shell.App) *cobra.Command {
	var dir string
	return dataDirFlag(&cobra.Command{
		Use:   "restore <file>",
		Short: "Put a backup in the place of the broker's database",
		Long: "Put a backup in the place of the database of this machine's broker, which must not run. The backup is checked first; what was " +
			"there stays beside it under another name. It asks before, unless --yes is given or there is no database.\n\n" +
			"What the broker took since the backup and had not delivered is lost: senders see it as accepted. What it had delivered comes again, " +
			"and recipients drop it. Members that joined since have to join again.",
		Example: "claudemesh broker restore claudemesh-broker-20260301T120000Z.db",
		Args:    shell.Exactly("the backup"),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := outsideSite(a, dir, "a backup is restored")
			if err != nil {
				return err
			}
			if _, err := os.Stat(at.Home.Broker.DB()); err == nil {
				if err := shell.Confirm(cmd, a, "this takes the place of "+at.Home.Broker.DB()); err != nil {
					return err
				}
			}
			return runBrokerRestore(cmd.Context(), a, at, target(a, args, ""))
		},
	}, &dir)
}

// outsideSite is site for what the human does outside of host sessions.
func outsideSite(a *shell.App, dir, what string) (upkeep.Site, error) {
	at, err := site(a, dir)
	if err == nil {
		err = shell.Outside(a, what)
	}
	return at, err
}

func runBrokerRestore(ctx context.Context, a *shell.App, at upkeep.Site, file string) error {
	done, err := a.Sys.Services.BrokerKeeper.Restore(ctx, at, upkeep.Order{File: file})
	if err != nil {
		return err
	}
	return printRestored(a, done, "claudemesh up, or claudemesh broker serve, starts it")
}
