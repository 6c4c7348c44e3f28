package machine

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/upkeep"
)

func newDaemonCheck(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Read the daemon's databases and say what is wrong",
		Long: "Read the whole of outbox, inbox and what the daemon learned of meshes and peers, also while it runs: their structure, and what " +
			"must hold in them. Nothing is changed. The exit status is 10 when something is wrong.",
		Example: "claudemesh daemon check",
		Args:    a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stores, err := a.Sys.Services.DaemonKeeper.Check(cmd.Context(), upkeep.Site{Home: a.Home, Now: a.Sys.Now})
			if err != nil {
				return err
			}
			return printChecked(a, stores, "claudemesh daemon down, then claudemesh daemon repair, saves what can be read")
		},
	}
}

// passphraseFlag adds the flag that names the file of a passphrase.
func passphraseFlag(cmd *cobra.Command, file *string) *cobra.Command {
	cmd.Flags().StringVar(file, "passphrase-file", "", "`file` with the passphrase of an encrypted backup; - reads it from standard input")
	return cmd
}

func newDaemonBackup(a *shell.App) *cobra.Command {
	var secret string
	return passphraseFlag(&cobra.Command{
		Use:   "backup [<file>]",
		Short: "Put meshes, keys and messages of this user into one file",
		Long: "Put what the daemon keeps into one file: joined meshes, settings, all keys, outbox, inbox, and what it learned of peers. The " +
			"daemon may run. Nobody else can read the file; with --passphrase-file it is encrypted, and nobody can without the passphrase, " +
			"which has at least 12 characters. Who has the file and can read it is you, in every mesh.",
		Example: "claudemesh daemon backup --passphrase-file pass.txt\nclaudemesh daemon backup /media/stick",
		Args:    atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := shell.Outside(a, "a backup is made"); err != nil {
				return err
			}
			phrase, err := passphrase(a, secret)
			if err != nil {
				return err
			}
			if phrase != "" && utf8.RuneCountInString(phrase) < minPassphrase {
				return shell.Usage(cmd, "the passphrase has less than %d characters", minPassphrase)
			}
			return runDaemonBackup(cmd.Context(), a, upkeep.Order{File: target(a, args, datedName(a, "claudemesh-backup", ".cmb")), Passphrase: phrase})
		},
	}, &secret)
}

// minPassphrase is how many characters a passphrase has at least (cli 24).
const minPassphrase = 12

// maxPassphrase bounds what is read of a file that may be anything.
const maxPassphrase = 4096

// passphrase reads the first line of a file, or of standard input; empty without a file.
func passphrase(a *shell.App, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	in := a.Sys.Stdin
	if file != "-" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(a.Sys.WorkDir, file)
		}
		f, err := os.Open(file)
		if err != nil {
			return "", mesh.Errorf(mesh.BadRequest, "read the passphrase: %w", err)
		}
		defer func() { _ = f.Close() }() // nothing was written
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxPassphrase))
	if err != nil {
		return "", mesh.Errorf(mesh.IOError, "read the passphrase: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", mesh.Errorf(mesh.BadRequest, "the passphrase is empty")
	}
	return line, nil
}

func runDaemonBackup(ctx context.Context, a *shell.App, to upkeep.Order) error {
	made, err := a.Sys.Services.DaemonKeeper.Backup(ctx, upkeep.Site{Home: a.Home, Now: a.Sys.Now}, to)
	if err != nil {
		return err
	}
	if !made.Encrypted {
		a.Warn("it holds your keys and is not encrypted: --passphrase-file does that")
	}
	return printBackup(a, made)
}

func newDaemonRestore(a *shell.App) *cobra.Command {
	var secret string
	return passphraseFlag(&cobra.Command{
		Use:   "restore <file>",
		Short: "Put a backup in the place of what the daemon keeps",
		Long: "Put a backup in the place of joined meshes, settings, keys, outbox and inbox. The daemon must not run. The backup is checked first; " +
			"what stood there stays beside it under another name. It asks before, unless --yes is given or nothing is there.\n\n" +
			"What had not left when the backup was made is not sent by itself: `claudemesh daemon outbox list --failed` shows it, and `claudemesh " +
			"daemon outbox requeue` sends it; a broker that had it drops it. Keys belong to one machine: stop the daemon of the machine " +
			"that made the backup before you start this one.",
		Example: "claudemesh daemon restore mine.cmb --passphrase-file pass.txt",
		Args:    shell.Exactly("the backup"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := shell.Outside(a, "a backup is restored"); err != nil {
				return err
			}
			from := upkeep.Order{File: target(a, args, "")}
			if secret == "" && isSealed(from.File) {
				return shell.Usage(cmd, "the backup is encrypted: --passphrase-file is wanted")
			}
			var err error
			if from.Passphrase, err = passphrase(a, secret); err != nil {
				return err
			}
			if _, err := os.Stat(a.Home.Config.File()); err == nil {
				if err := shell.Confirm(cmd, a, "this takes the place of meshes, keys and messages in "+a.Home.Config.Dir); err != nil {
					return err
				}
			}
			return runDaemonRestore(cmd.Context(), a, from)
		},
	}, &secret)
}

// isSealed reports whether a file is an encrypted backup.
func isSealed(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false // who reads it says what is wrong
	}
	defer func() { _ = f.Close() }() // nothing was written
	begin := make([]byte, 4)
	_, err = io.ReadFull(f, begin)
	sealed, _ := seal.SealedBackup(begin)
	return err == nil && sealed
}

func runDaemonRestore(ctx context.Context, a *shell.App, from upkeep.Order) error {
	done, err := a.Sys.Services.DaemonKeeper.Restore(ctx, upkeep.Site{Home: a.Home, Now: a.Sys.Now}, from)
	if err != nil {
		return err
	}
	forgetFailure(a)
	hints := []string{"claudemesh daemon up starts the daemon; no other machine may go on with these keys"}
	if done.Review > 0 {
		hints = append([]string{shell.Count(done.Review, "message", "messages") + " had not left: claudemesh daemon outbox list --failed"}, hints...)
	}
	return printRestored(a, done, hints...)
}

// repairedView is the JSON of daemon repair.
type repairedView struct {
	shell.Header
	OK       bool              `json:"ok"`
	Repaired []upkeep.Repaired `json:"repaired"`
}

func newDaemonRepair(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use:   "repair",
		Short: "Save what can be read of damaged databases of the daemon",
		Long: "Make new databases of what can be read of the daemon's damaged ones, row by row, and keep the damaged ones aside. Sound ones are not " +
			"touched. The daemon must not run. What it has put aside itself, such as inbox.db.corrupt-…, is repaired once it has its old name again.",
		Example: "claudemesh daemon repair",
		Args:    a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := shell.Outside(a, "databases are repaired"); err != nil {
				return err
			}
			done, err := a.Sys.Services.DaemonKeeper.Repair(cmd.Context(), upkeep.Site{Home: a.Home, Now: a.Sys.Now})
			if err != nil {
				return err
			}
			forgetFailure(a)
			v := repairedView{shell.NewHeader(), true, done}
			return a.Print(v, func(s term.Stream) { writeRepaired(s, done) })
		},
	}
}

func writeRepaired(s term.Stream, done []upkeep.Repaired) {
	if len(done) == 0 {
		s.OK("nothing is damaged", "")
	}
	for _, r := range done {
		rows, holes := int64(0), int64(0)
		for _, t := range r.Tables {
			rows, holes = rows+t.Rows, holes+t.Holes
		}
		switch {
		case len(r.Tables) == 0:
			s.Warn("nothing of " + r.File + " could be read: the next start makes a new one")
		case holes == 0:
			s.OK(r.File+" is whole again", shell.Count(int(rows), "row", "rows"))
		default:
			s.Warn(r.File + " is repaired as far as it goes: " + shell.Count(int(rows), "row", "rows") + " saved, " + shell.Count(int(holes), "place", "places") + " lost")
		}
		s.Line("%s", s.Paint(term.Dim, "what was there is now "+r.Aside))
	}
}
