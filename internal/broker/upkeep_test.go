package broker

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/upkeep"
)

// storeAt makes a broker's folder with a database that statements were run on.
func storeAt(t *testing.T, statements ...string) upkeep.Site {
	t.Helper()
	at := upkeep.Site{Home: paths.Home{Broker: paths.Broker{Dir: t.TempDir()}}, Now: time.Now}
	db, err := store.Open(t.Context(), at.Home.Broker.DB(), time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Write(t.Context(), func(tx *sqlite.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return at
}

// Each thing that the broker keeps true is looked for.
func TestCheckFindsWhatNoTableForbids(t *testing.T) {
	t.Parallel()
	const (
		meshes  = "INSERT INTO mesh VALUES ('m1', 's1', 'n', 'k', 'r', 1, 0), ('m2', 's2', 'n', 'k', 'r', 1, 0)"
		members = "INSERT INTO member (n, id, mesh_id, peer_pubkey, display_name, role, joined_at) VALUES (1, 'a', 'm1', 'ka', 'a', 'admin', 1), (2, 'b', 'm2', 'kb', 'b', 'admin', 1)"
	)
	message := func(n, sender, text string) string {
		return "INSERT INTO message VALUES (" + n + ", 'id" + n + "', " + sender + ", NULL, x'', 1, 1, 0, 'a', 1, '', 1, '', '', 1, " + text + ", " + text + ", NULL)"
	}
	copyOf := func(message, member, session, sender, receipt string) string {
		return "INSERT INTO delivery (message, member, session, sender, urgent, bytes, receipt, run) VALUES (" + strings.Join([]string{message, member, session, sender, "0, 1", receipt, "0)"}, ", ")
	}
	for want, statements := range map[string][]string{
		"":                                {message("1", "1", "x'01'"), copyOf("1", "1", "0", "1", "1")},
		"1: copy without its message":     {copyOf("7", "1", "0", "1", "0")},
		"1: copy with another sender":     {message("1", "1", "x'01'"), copyOf("1", "1", "0", "2", "0")},
		"1: copy for nobody":              {message("1", "1", "x'01'"), copyOf("1", "9", "0", "1", "0")},
		"1: copy that waits for a sess":   {message("1", "1", "x'01'"), copyOf("1", "1", "5", "1", "0")},
		"1: copy that waits for a mess":   {message("1", "1", "x''"), copyOf("1", "1", "0", "1", "0")},
		"1: waiting copies without":       {"INSERT INTO spread VALUES (7, 1, 0, 1, x'')"},
		"1: waiting copies of a message":  {message("1", "1", "x''"), "INSERT INTO spread VALUES (1, 1, 0, 1, x'')"},
		"1: settled copies without":       {"INSERT INTO settled VALUES (7, 0, 1, 1, 1, 0, 0, 0, x'')"},
		"1: message without its sender":   {message("1", "9", "x'01'")},
		"1: number that two receipts":     {message("1", "1", "x'01'"), copyOf("1", "1", "0", "1", "4"), copyOf("1", "2", "0", "1", "4")},
		"1: session of a member of anoth": {"INSERT INTO session (mesh_id, pubkey, member, proved, display_name, first_seen, last_seen) VALUES ('m1', 'k', 2, 1, 'b', 1, 1)"},
		"1: presence of a member of anot": {"INSERT INTO presence VALUES ('m1', 'seat', 'b', 0, 1, 1, '{}')"},
	} {
		at := storeAt(t, append([]string{meshes, members}, statements...)...)
		found, err := Upkeep().Check(t.Context(), at)
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if got := strings.Join(found[0].Faults, "; "); want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Nothing is restored that is not a sound database of a broker, and what stood there stays as it is.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	at := storeAt(t)
	before, err := os.ReadFile(at.Home.Broker.DB())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	torn := bytes.Clone(before)
	copy(torn[len(torn)/2:], bytes.Repeat([]byte{0xa5}, 4096))
	broken := storeAt(t, "INSERT INTO spread VALUES (7, 1, 0, 1, x'')").Home.Broker.DB()
	other := filepath.Join(dir, "other.db")
	db, err := sqlite.Open(t.Context(), other, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Write(t.Context(), func(tx *sqlite.Tx) error { _, err := tx.Exec("CREATE TABLE theirs (n)"); return err })
	if err != nil || db.Close() != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file string
		code mesh.Code
	}{
		"no file": {filepath.Join(dir, "none"), mesh.NotFound}, "a text": {write("text", []byte(strings.Repeat("text ", 1000))), mesh.StoreCorrupt},
		"torn": {write("torn", torn), mesh.StoreCorrupt}, "broken": {broken, mesh.StoreCorrupt}, "of another program": {other, mesh.StoreCorrupt},
	} {
		if _, err := Upkeep().Restore(t.Context(), at, upkeep.Order{File: c.file}); !mesh.IsCode(err, c.code) {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
	if after, err := os.ReadFile(at.Home.Broker.DB()); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the database changed: %v", err)
	}
	left, err := fs.Glob(os.DirFS(at.Home.Broker.Dir), "broker.db*")
	if err != nil || len(left) > 3 {
		t.Errorf("got %q left, want the database alone", left)
	}
}

// A broker that is moved has no database to take the place of.
func TestRestoreIntoAnEmptyFolder(t *testing.T) {
	t.Parallel()
	from := storeAt(t, "INSERT INTO mesh VALUES ('m1', 's1', 'n', 'k', 'r', 1, 0)")
	file := filepath.Join(t.TempDir(), "backup.db")
	if _, err := Upkeep().Backup(t.Context(), from, upkeep.Order{File: file}); err != nil {
		t.Fatal(err)
	}
	if _, err := Upkeep().Backup(t.Context(), from, upkeep.Order{File: file}); !mesh.IsCode(err, mesh.FileExists) {
		t.Errorf("again: got %v, want %s", err, mesh.FileExists)
	}
	at := upkeep.Site{Home: paths.Home{Broker: paths.Broker{Dir: filepath.Join(t.TempDir(), "new")}}, Now: time.Now}
	if _, err := Upkeep().Check(t.Context(), at); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("check of nothing: got %v, want %s", err, mesh.NotFound)
	}
	if _, err := Upkeep().Backup(t.Context(), at, upkeep.Order{File: file + "2"}); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("backup of nothing: got %v, want %s", err, mesh.NotFound)
	}
	done, err := Upkeep().Restore(t.Context(), at, upkeep.Order{File: file})
	if err != nil || len(done.Aside) > 0 {
		t.Fatalf("got %+v, %v, want it restored with nothing aside", done, err)
	}
	db, err := store.Open(t.Context(), at.Home.Broker.DB(), time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // it was read only
	err = db.Read(t.Context(), func(tx *sqlite.Tx) error { _, err := store.FindMesh(tx, "m1"); return err })
	if err != nil {
		t.Errorf("the mesh of the backup: %v", err)
	}
}

// A part that hangs does not keep a broker that was told to stop.
func TestEndHasABound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if !within(time.Second, func() {}) {
			t.Error("got too late, want what ends at once in time")
		}
		hangs := make(chan struct{})
		began := time.Now()
		if within(time.Minute, func() { <-hangs }) || time.Since(began) != time.Minute {
			t.Errorf("waited %s for what hangs, want a minute", time.Since(began))
		}
		close(hangs)
	})
}
