package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/upkeep"
)

// site is whose files a keeper looks after; dataDir is the broker's, or empty for this user's own.
func site(a *shell.App, dataDir string) (upkeep.Site, error) {
	at := upkeep.Site{Home: a.Home, Now: a.Sys.Now}
	if dataDir != "" {
		dir, err := filepath.Abs(dataDir)
		if err != nil {
			return at, mesh.Errorf(mesh.IOError, "make %s absolute: %w", dataDir, err)
		}
		at.Home.Broker = paths.Broker{Dir: dir}
	}
	return at, nil
}

// target is where a backup goes: a file, or one with the given name in a folder; without a word, in the working folder.
func target(a *shell.App, args []string, name string) string {
	file := strings.Join(args, "")
	if !filepath.IsAbs(file) {
		file = filepath.Join(a.Sys.WorkDir, file)
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		file = filepath.Join(file, name)
	}
	return file
}

// datedName is a name that sorts by time.
func datedName(a *shell.App, stem, suffix string) string {
	return stem + "-" + a.Now().UTC().Format("20060102T150405Z") + suffix
}

// atMost accepts up to one word.
func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return shell.Usage(cmd, "%q is one word too many", args[1])
	}
	return nil
}

// checkedView is the JSON of broker check and daemon check.
type checkedView struct {
	shell.Header
	OK     bool           `json:"ok"`
	Stores []upkeep.Store `json:"stores"`
}

// printChecked prints what a check found. What is wrong ends the verb with the status of a damaged store.
func printChecked(a *shell.App, stores []upkeep.Store, remedy string) error {
	v := checkedView{Header: shell.NewHeader(), OK: true, Stores: stores}
	for _, s := range stores {
		v.OK = v.OK && len(s.Faults) == 0
	}
	if err := a.Print(v, func(s term.Stream) { writeChecked(s, v, remedy) }); err != nil {
		return err
	}
	if !v.OK {
		return shell.Exit(mesh.StoreCorrupt.Exit())
	}
	return nil
}

func writeChecked(s term.Stream, v checkedView, remedy string) {
	for _, store := range v.Stores {
		if len(store.Faults) == 0 {
			s.OK(store.File+" is sound", size(store.Bytes))
			continue
		}
		s.Warn(store.File + " is not sound")
		for _, fault := range store.Faults {
			s.Block("    ", fault)
		}
	}
	if !v.OK {
		s.Hint(remedy)
	}
}

// size is a number of bytes for people.
func size(bytes int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB"}
	n, unit := float64(bytes), 0
	for n >= 1024 && unit < len(units)-1 {
		n, unit = n/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d bytes", bytes)
	}
	return fmt.Sprintf("%.1f %s", n, units[unit])
}

// backupView is the JSON of broker backup and daemon backup.
type backupView struct {
	shell.Header
	OK bool `json:"ok"`
	upkeep.Backup
}

func printBackup(a *shell.App, b upkeep.Backup, hints ...string) error {
	return a.Print(backupView{shell.NewHeader(), true, b}, func(s term.Stream) {
		s.OK("the backup is "+b.File, shell.Facts(size(b.Bytes), encryptedWord(b.Encrypted)))
		for _, hint := range hints {
			s.Hint(hint)
		}
	})
}

func encryptedWord(encrypted bool) string {
	if encrypted {
		return "encrypted"
	}
	return ""
}

// restoredView is the JSON of broker restore and daemon restore.
type restoredView struct {
	shell.Header
	OK bool `json:"ok"`
	upkeep.Restored
}

func printRestored(a *shell.App, r upkeep.Restored, hints ...string) error {
	return a.Print(restoredView{shell.NewHeader(), true, r}, func(s term.Stream) {
		what := strings.Join(r.Restored, ", ") + " is restored"
		if len(r.Restored) != 1 {
			what = shell.Count(len(r.Restored), "file", "files") + " restored"
		}
		s.OK(what, "from "+r.From)
		for _, aside := range r.Aside {
			s.Line("%s", s.Paint(term.Dim, "what was there is now "+aside))
		}
		for _, hint := range hints {
			s.Hint(hint)
		}
	})
}
