package daemon

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/upkeep"
)

// cheap encrypts as the product does, for less.
var cheap = custodian{seal.BackupCost{Passes: 1, MemoryKiB: 64, Lanes: 1}}.keeper()

// newSite is a user's folder in which a daemon has run.
func newSite(t *testing.T) upkeep.Site {
	t.Helper()
	at := upkeep.Site{Home: paths.At(t.TempDir()), Now: time.Now}
	d, err := Open(context.Background(), Options{Home: at.Home, Settings: config.DefaultDaemon(), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{at.Home.Config.File(): `{"version":1,"meshes":[]}`, filepath.Join(at.Home.Config.Keys(), "m1.owner.json"): `{"key":"one"}`} {
		write(t, path, text)
	}
	return at
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestBackupComesBack(t *testing.T) {
	t.Parallel()
	for _, phrase := range []string{"", "a long passphrase"} {
		at := newSite(t)
		file := filepath.Join(t.TempDir(), "backup.cmb")
		made, err := cheap.Backup(t.Context(), at, upkeep.Order{File: file, Passphrase: phrase})
		if err != nil || len(made.Holds) != 5 || made.Encrypted != (phrase != "") {
			t.Fatalf("got %+v, %v, want five files", made, err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("got %v, %v, want a private file", info, err)
		}
		if clear := strings.Contains(read(t, file), `{"key":"one"}`); clear != (phrase == "") {
			t.Errorf("with %q: got the key in clear: %t", phrase, clear)
		}
		if left, err := fs.Glob(os.DirFS(at.Home.Daemon.Dir), ".stage*"); err != nil || left != nil {
			t.Errorf("got %q, %v, want nothing left", left, err)
		}
		write(t, at.Home.Config.File(), `{"version":1,"meshes":[],"later":true}`)
		if phrase != "" {
			if _, err := cheap.Restore(t.Context(), at, upkeep.Order{File: file, Passphrase: phrase + "r"}); !mesh.IsCode(err, mesh.BadPassphrase) {
				t.Errorf("another passphrase: got %v, want %s", err, mesh.BadPassphrase)
			}
		}
		done, err := cheap.Restore(t.Context(), at, upkeep.Order{File: file, Passphrase: phrase})
		if err != nil || len(done.Restored) != 4 || len(done.Aside) != 4 { // the key is the same
			t.Fatalf("got %+v, %v, want config and three databases, and the old ones", done, err)
		}
		if got := read(t, at.Home.Config.File()); strings.Contains(got, "later") {
			t.Errorf("got %s, want the old one", got)
		}
		aside, err := fs.Glob(os.DirFS(at.Home.Config.Dir), "config.json.before-restore-*")
		if err != nil || len(aside) != 1 || !strings.Contains(read(t, filepath.Join(at.Home.Config.Dir, aside[0])), "later") {
			t.Errorf("got %q, %v, want the newer one kept", aside, err)
		}
		if found, err := cheap.Check(t.Context(), at); err != nil || len(found) != 3 {
			t.Errorf("got %+v, %v, want three databases", found, err)
		}
	}
}

func TestRestoreOfWhatIsNoBackup(t *testing.T) {
	t.Parallel()
	at := newSite(t)
	file := filepath.Join(t.TempDir(), "backup.cmb")
	if _, err := cheap.Backup(t.Context(), at, upkeep.Order{File: file}); err != nil {
		t.Fatal(err)
	}
	if _, err := cheap.Backup(t.Context(), at, upkeep.Order{File: file}); !mesh.IsCode(err, mesh.FileExists) {
		t.Errorf("again: got %v, want %s", err, mesh.FileExists)
	}
	whole := []byte(read(t, file))
	torn := bytes.Clone(whole)
	mark := bytes.Index(torn, []byte("SQLite format 3")) // of the first database
	copy(torn[mark+4096:], bytes.Repeat([]byte{0xa5}, 4096))
	before := read(t, at.Home.Config.File())
	for name, c := range map[string]struct {
		data []byte
		want mesh.Code
	}{
		"a text": {[]byte("text"), mesh.BadRequest}, "nothing": {nil, mesh.BadRequest}, "half of it": {whole[:len(whole)/2], mesh.BadRequest},
		"torn": {torn, mesh.StoreCorrupt},
	} {
		write(t, file, string(c.data))
		if _, err := cheap.Restore(t.Context(), at, upkeep.Order{File: file}); !mesh.IsCode(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	if _, err := cheap.Restore(t.Context(), at, upkeep.Order{File: file + "x"}); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("no file: got %v, want %s", err, mesh.NotFound)
	}
	if left, err := fs.Glob(os.DirFS(at.Home.Config.Dir), "*before-restore*"); err != nil || left != nil || read(t, at.Home.Config.File()) != before {
		t.Errorf("got %q, %v, want everything as it was", left, err)
	}
}

// No file is moved under a daemon.
func TestUpkeepRespectsTheLock(t *testing.T) {
	t.Parallel()
	at := newSite(t)
	file := filepath.Join(t.TempDir(), "backup.cmb")
	d, err := Open(context.Background(), Options{Home: at.Home, Settings: config.DefaultDaemon(), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }() // it did nothing
	if _, err := cheap.Backup(t.Context(), at, upkeep.Order{File: file}); err != nil {
		t.Errorf("backup: %v", err)
	}
	if _, err := cheap.Check(t.Context(), at); err != nil {
		t.Errorf("check: %v", err)
	}
	if _, err := cheap.Restore(t.Context(), at, upkeep.Order{File: file}); !mesh.IsCode(err, mesh.AlreadyRunning) {
		t.Errorf("restore: got %v, want %s", err, mesh.AlreadyRunning)
	}
	if _, err := cheap.Repair(t.Context(), at); !mesh.IsCode(err, mesh.AlreadyRunning) {
		t.Errorf("repair: got %v, want %s", err, mesh.AlreadyRunning)
	}
}

// rootOf is the number of the page at which a table begins.
func rootOf(t *testing.T, path, table string) (page int) {
	t.Helper()
	opt, _, err := localdb.Stored()
	opt.Now = time.Now
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), path, opt)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Read(t.Context(), func(tx *sqlite.Tx) error {
		return tx.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = $1", table).Scan(&page)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return page
}

func TestRepair(t *testing.T) {
	t.Parallel()
	at := newSite(t)
	if done, err := cheap.Repair(t.Context(), at); err != nil || len(done) != 0 {
		t.Errorf("of sound files: got %+v, %v, want nothing done", done, err)
	}
	db, err := localdb.Open(t.Context(), at.Home.Daemon.DB(), time.Now, slog.New(slog.DiscardHandler))
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	data := []byte(read(t, at.Home.Daemon.DB()))
	from := (rootOf(t, at.Home.Daemon.DB(), "wish") - 1) * 4096
	copy(data[from:from+4096], bytes.Repeat([]byte{0xa5}, 4096))
	write(t, at.Home.Daemon.DB(), string(data))
	write(t, at.Home.Daemon.Inbox(), strings.Repeat("no database ", 1000))
	found, err := cheap.Check(t.Context(), at)
	if err != nil || len(found) != 3 || len(found[0].Faults) == 0 || len(found[1].Faults) == 0 || len(found[2].Faults) > 0 {
		t.Errorf("got %+v, %v, want two of three damaged", found, err)
	}
	done, err := cheap.Repair(t.Context(), at)
	if err != nil || len(done) != 2 || len(done[0].Tables) == 0 || len(done[1].Tables) != 0 {
		t.Fatalf("got %+v, %v, want one saved, and one lost", done, err)
	}
	for _, r := range done {
		if !there(r.Aside) {
			t.Errorf("%s is not kept", r.File)
		}
	}
	if there(at.Home.Daemon.Inbox()) {
		t.Error("a file that could not be read stands where it stood")
	}
	d, err := Open(context.Background(), Options{Home: at.Home, Settings: config.DefaultDaemon(), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("start after the repair: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
