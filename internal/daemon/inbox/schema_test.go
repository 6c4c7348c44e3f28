package inbox

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// leftTable is the table of the first TypeScript daemon.
const leftTable = `CREATE TABLE inbox (
	id TEXT PRIMARY KEY, client_message_id TEXT NOT NULL UNIQUE, broker_message_id TEXT, mesh TEXT NOT NULL, topic TEXT,
	sender_pubkey TEXT NOT NULL, sender_name TEXT NOT NULL, body TEXT, meta TEXT, received_at INTEGER NOT NULL, reply_to_id TEXT)`

// leave makes a file as a TypeScript daemon leaves it.
func leave(t *testing.T, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "inbox.db")
	db, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		t.Fatalf("make file: %v", err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Errorf("close file: %v", err)
		}
	}()
	err = db.Write(context.Background(), func(tx *sqlite.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("fill file: %v", err)
	}
	return path
}

func TestOpenFileOfFirstDaemon(t *testing.T) {
	t.Parallel()
	insert := `INSERT INTO inbox (id, client_message_id, mesh, sender_pubkey, sender_name, body, received_at, topic) VALUES `
	path := leave(t, leftTable, `CREATE INDEX inbox_received ON inbox (received_at)`,
		insert+`('r2', 'later', 'a', 'k', 'n', NULL, 2000, NULL)`,
		insert+`('r1', 'earlier', 'a', 'k', 'n', 'text', 1000, '#ops')`)
	b := openAt(t, path, time.Now)
	rows, err := b.After(context.Background(), Only(first), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]mesh.ClientID{"earlier", "later"}, ids(rows)); diff != "" {
		t.Fatalf("rows by time of arrival (-want +got):\n%s", diff)
	}
	if r := rows[0]; r.Seq != 1 || *r.Body != "text" || r.Topic != "#ops" || r.ReceivedAt.UnixMilli() != 1000 || r.Priority != mesh.Next || r.Undecryptable {
		t.Errorf("first row: %+v", r)
	}
	if r := rows[1]; r.Seq != 2 || r.Body != nil || !r.Undecryptable || r.Recipient != "" {
		t.Errorf("second row: %+v", r)
	}
	if r := put(t, b, draft("earlier")); r.Seq != 3 {
		t.Errorf("a new message of an old id has seq %d, want 3", r.Seq)
	}
}

func TestOpenFileWithRecipients(t *testing.T) {
	t.Parallel()
	path := leave(t, leftTable,
		"ALTER TABLE inbox ADD COLUMN seen_at INTEGER", "ALTER TABLE inbox ADD COLUMN recipient_pubkey TEXT", "ALTER TABLE inbox ADD COLUMN recipient_kind TEXT",
		`INSERT INTO inbox (id, client_message_id, mesh, sender_pubkey, sender_name, body, received_at, seen_at, recipient_pubkey, recipient_kind)
			VALUES ('r1', 'one', 'a', 'k', 'n', 'text', 1000, 1500, '`+string(first)+`', 'session')`)
	b := openAt(t, path, time.Now)
	r, err := b.Find(context.Background(), Only(first), "r1")
	if err != nil || r.Recipient != first || r.RecipientKind != Session || r.SeenAt.UnixMilli() != 1500 {
		t.Errorf("row %+v, %v", r, err)
	}
	if _, err := b.Find(context.Background(), Only(second), "r1"); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("another session finds it: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path string
		want mesh.Code
	}{
		"newer schema":  {leave(t, leftTable, "PRAGMA user_version = 99"), mesh.StoreNewer},
		"other program": {leave(t, "CREATE TABLE groceries (x)"), mesh.StoreCorrupt},
		"a folder":      {t.TempDir(), mesh.StoreCorrupt},
	} {
		before := read(t, c.path)
		if _, err := Open(context.Background(), optionsAt(c.path, time.Now)); !mesh.IsCode(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if !bytes.Equal(before, read(t, c.path)) {
			t.Errorf("%s: the file was touched", name)
		}
		if aside, err := filepath.Glob(c.path + ".corrupt-*"); err != nil || len(aside) != 0 {
			t.Errorf("%s was moved aside: %v, %v", name, aside, err)
		}
	}
}

// read gives the content of a file; nothing for a folder.
func read(t *testing.T, path string) []byte {
	t.Helper()
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A damaged inbox must not keep messages from coming: it is moved aside, whole, and said so.
func TestOpenDamagedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "inbox.db")
	b, err := Open(context.Background(), optionsAt(path, time.Now))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []mesh.ClientID{"one", "two"} {
		put(t, b, draft(id))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damagedData := bytes.Clone(data)
	for i := 4096; i < len(data); i++ { // all but the first page
		damagedData[i] = 0xA5
	}
	if err := os.WriteFile(path, damagedData, 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	opt := optionsAt(path, func() time.Time { return time.UnixMilli(1_700_000_000_000) })
	opt.Log = slog.New(slog.NewTextHandler(&log, nil))
	b, err = Open(context.Background(), opt)
	if err != nil {
		t.Fatalf("open the damaged inbox: %v", err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	aside, err := os.ReadFile(path + ".corrupt-20231114T221320.000Z")
	if err != nil || !bytes.Equal(aside, damagedData) {
		t.Errorf("the damaged file was not kept as it was: %v", err)
	}
	if !strings.Contains(log.String(), "inbox was damaged, a new one is begun") {
		t.Errorf("the log says %q", log.String())
	}
	if r := put(t, b, draft("one")); r.Seq != 1 {
		t.Errorf("the new inbox begins with seq %d", r.Seq)
	}
}

func TestOpenGarbage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "inbox.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, openAt(t, path, time.Now), draft("one"))
	aside, err := filepath.Glob(path + ".corrupt-*")
	if err != nil || len(aside) != 1 {
		t.Errorf("files aside are %v, %v; want the old one", aside, err)
	}
}
