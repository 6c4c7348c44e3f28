//go:build unix

package e2e

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"modernc.org/sqlite"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// newerSchema is one that no version of the program has.
const newerSchema = "PRAGMA user_version = 4000"

// A file that a newer version wrote is refused by its name, with what to do, and stays as it was: who goes back to the newer
// version has lost nothing.
func TestStoresOfANewerVersionAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.pair()
	anna.must("send", string(ben.key()), "before", "--wait")
	for _, c := range []struct {
		of   *home
		file string
		up   []string
		log  string
		stop func()
	}{
		{ben, ben.paths.Daemon.Outbox(), []string{"daemon", "up"}, ben.paths.Daemon.Log(), func() { ben.must("daemon", "down") }},
		{ben, ben.paths.Daemon.Inbox(), []string{"daemon", "up"}, ben.paths.Daemon.Log(), func() { ben.must("daemon", "down") }},
		{ben, ben.paths.Daemon.DB(), []string{"daemon", "up"}, ben.paths.Daemon.Log(), func() { ben.must("daemon", "down") }},
		{anna, anna.paths.Broker.DB(), []string{"up"}, anna.paths.Broker.Log(), func() { anna.must("down") }},
	} {
		c.stop()
		was := version(t, c.file)
		change(t, c.file, newerSchema)
		before := read(t, c.file)
		r := c.of.run(c.up...)
		said := r.err + string(read(t, c.log))
		if r.exit == mesh.ExitOK || !strings.Contains(said, c.file) || !strings.Contains(said, string(mesh.StoreNewer)) && !strings.Contains(said, "newer version") {
			t.Errorf("%s: status %d; want a refusal that names the file and the newer version:\n%s", c.file, r.exit, said)
		}
		if !bytes.Equal(before, read(t, c.file)) {
			t.Errorf("%s was changed", c.file)
		}
		change(t, c.file, was)
		_ = os.Remove(c.of.paths.Daemon.SpawnFailure()) // or the next minute brings no daemon
		c.of.must(c.up...)
	}
	anna.must("send", string(ben.key()), "after", "--wait")
	if diff := cmp.Diff([]string{"before", "after"}, ben.texts()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// version gives the statement that makes a file what it is.
func version(t *testing.T, file string) (statement string) {
	t.Helper()
	open(t, file, func(db *sql.DB) error {
		return db.QueryRow("SELECT 'PRAGMA user_version = ' || user_version FROM pragma_user_version").Scan(&statement)
	})
	return statement
}

// change runs a statement on a file that nobody has open.
func change(t *testing.T, file, statement string) {
	t.Helper()
	open(t, file, func(db *sql.DB) error { _, err := db.Exec(statement); return err })
}

func open(t *testing.T, file string, use func(*sql.DB) error) {
	t.Helper()
	connector, err := sqlite.NewConnector(file)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	if err := errors.Join(use(db), db.Close()); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
