package outbox

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// The table of the first TypeScript daemon, and what two of its later releases added.
const (
	leftTable = `CREATE TABLE outbox (
		id TEXT PRIMARY KEY, client_message_id TEXT NOT NULL UNIQUE, request_fingerprint BLOB NOT NULL, payload BLOB NOT NULL,
		enqueued_at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, next_attempt_at INTEGER NOT NULL, status TEXT NOT NULL,
		last_error TEXT, delivered_at INTEGER, broker_message_id TEXT, aborted_at INTEGER, aborted_by TEXT, superseded_by TEXT)`
	leftIndex = `CREATE INDEX outbox_status ON outbox (status, next_attempt_at)`
)

var routing = []string{"mesh", "target_spec", "nonce", "ciphertext", "priority"}

// leave makes a file as a TypeScript daemon leaves it.
func leave(t *testing.T, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "outbox.db")
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
	path := leave(t, leftTable, leftIndex,
		`INSERT INTO outbox (id, client_message_id, request_fingerprint, payload, enqueued_at, next_attempt_at, status) VALUES
			('r1', 'waits', zeroblob(32), CAST('secret' AS BLOB), 1000, 1000, 'pending'),
			('r2', 'flies', zeroblob(32), x'00', 1001, 1001, 'inflight')`,
		`INSERT INTO outbox (id, client_message_id, request_fingerprint, payload, enqueued_at, next_attempt_at, status, delivered_at, broker_message_id)
			VALUES ('r3', 'sent', zeroblob(32), x'0102', 1002, 1002, 'done', 1003, 'bm-1')`)
	o := openAt(t, path, nil)
	for _, id := range []mesh.ClientID{"waits", "flies"} {
		if r := row(t, o, id); r.Status != Dead || r.LastError != string(mesh.LegacyUnroutable) {
			t.Errorf("%s without routing is %s %q, want dead %s", id, r.Status, r.LastError, mesh.LegacyUnroutable)
		}
	}
	if r := row(t, o, "waits"); r.BodyBytes != 6 || r.EnqueuedAt.UnixMilli() != 1000 {
		t.Errorf("got %d bytes of %s, want 6 of 1000 ms", r.BodyBytes, r.EnqueuedAt)
	}
	if r := row(t, o, "sent"); r.Status != Done || r.BrokerID != "bm-1" || r.AcceptedAt.UnixMilli() != 1003 {
		t.Errorf("the row that was sent is %+v", r)
	}
	accept(t, o, draft("new", bob, "hello"))
	if err := blank(context.Background(), o); err != nil {
		t.Fatalf("blank: %v", err)
	}
	if n := bodyBytes(t, o, "sent"); n != 0 {
		t.Errorf("the old body still has %d bytes", n)
	}
}

func TestOpenFileWithRouting(t *testing.T) {
	t.Parallel()
	statements := []string{leftTable}
	for _, c := range append(routing, "sender_session_pubkey") {
		statements = append(statements, "ALTER TABLE outbox ADD COLUMN "+c+" TEXT")
	}
	insert := `INSERT INTO outbox (id, client_message_id, request_fingerprint, payload, enqueued_at, next_attempt_at, status,
		mesh, target_spec, nonce, ciphertext, priority, sender_session_pubkey) VALUES `
	path := leave(t, append(statements,
		insert+`('r1', 'direct', zeroblob(32), x'00', 1000, 1000, 'inflight', 'a', '`+bob+`', 'nonce-1', 'box', NULL, '`+string(sess)+`')`,
		insert+`('r2', 'all', zeroblob(32), x'00', 1001, 1001, 'pending', 'a', '*', 'nonce-2', 'text', 'now', NULL)`,
		insert+`('r4', 'unsealed', zeroblob(32), x'00', 1003, 1003, 'pending', 'a', '*', NULL, 'text', 'now', NULL)`,
		insert+`('r3', 'homeless', zeroblob(31), x'00', 1002, 1002, 'pending', NULL, '*', 'nonce-3', 'text', 'now', NULL)`)...)
	o := openAt(t, path, nil)
	if r := row(t, o, "direct"); r.Status != Pending || r.Recipient != bob || r.Sender != sess || r.Priority != mesh.Next || r.MeshID != "" {
		t.Errorf("direct message: %+v", r)
	}
	if r := row(t, o, "all"); r.Status != Pending || r.Encrypted() || r.Priority != mesh.Now {
		t.Errorf("message to all: %+v", r)
	}
	for _, id := range []mesh.ClientID{"homeless", "unsealed"} {
		if r := row(t, o, id); r.Status != Dead || r.LastError != string(mesh.LegacyUnroutable) {
			t.Errorf("%s message is %s %q, want dead %s", id, r.Status, r.LastError, mesh.LegacyUnroutable)
		}
	}
	if got, err := o.Reflected(context.Background(), "nonce-1", carol); !got || err != nil {
		t.Errorf("a box of the old daemon that came back to another key: reflected %t, %v; want true", got, err)
	}
	if _, err := o.Accept(context.Background(), draft("homeless", bob, "x")); !mesh.IsCode(err, mesh.Reused) {
		t.Errorf("an id with a fingerprint of 31 bytes: got %v, want %s", err, mesh.Reused)
	}
	if err := adoptMesh(context.Background(), o, meshA, "a"); err != nil {
		t.Fatal(err)
	}
	if n, err := o.Pending(context.Background(), meshA); n != 2 || err != nil {
		t.Errorf("%d rows wait for the adopted mesh, %v; want 2", n, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	file := func(data string) string {
		path := filepath.Join(t.TempDir(), "outbox.db")
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		path string
		want mesh.Code
	}{
		"newer schema":   {leave(t, leftTable, "PRAGMA user_version = 99"), mesh.StoreNewer},
		"other program":  {leave(t, "CREATE TABLE groceries (x)"), mesh.StoreCorrupt},
		"other outbox":   {leave(t, "CREATE TABLE outbox (id TEXT PRIMARY KEY, body TEXT)"), mesh.StoreCorrupt},
		"no database":    {file(strings.Repeat("not a database ", 100)), mesh.StoreCorrupt},
		"a folder":       {t.TempDir(), mesh.StoreCorrupt},
		"no such folder": {filepath.Join(t.TempDir(), "none", "outbox.db"), mesh.Internal},
	} {
		before := snapshot(t, c.path)
		_, err := Open(context.Background(), Options{Path: c.path, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if !mesh.IsCode(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if after := snapshot(t, c.path); after != before {
			t.Errorf("%s: the file was touched", name)
		}
	}
	openAt(t, file(""), nil) // zero bytes are an empty database
}

// snapshot is the content of a file; nothing for what is none.
func snapshot(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(data)
}

func bodyBytes(t *testing.T, o *Outbox, id mesh.ClientID) (n int) {
	t.Helper()
	err := o.db.Read(context.Background(), func(tx *sqlite.Tx) error {
		return tx.QueryRow("SELECT length(payload) + coalesce(length(ciphertext), 0) FROM outbox WHERE client_message_id = $1", id).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRecoveryFreesRows(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	o, err := Open(context.Background(), Options{Path: path, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, o, draft("one", bob, "hello"))
	force(t, o, "one", Row{Status: Inflight})
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	o = openAt(t, path, nil)
	if r := row(t, o, "one"); r.Status != Pending || r.Attempts != 0 {
		t.Errorf("after the crash the row is %s with %d attempts, want pending with none", r.Status, r.Attempts)
	}
	if got := o.open.Load(); got != 1 {
		t.Errorf("%d rows are counted as waiting, want 1", got)
	}
}

func TestBlankKeepsTheRow(t *testing.T) {
	t.Parallel()
	now := time.Now()
	o := openAt(t, filepath.Join(t.TempDir(), "outbox.db"), func() time.Time { return now })
	for _, id := range []mesh.ClientID{"old", "young", "dead"} {
		accept(t, o, draft(id, bob, "hello"))
	}
	force(t, o, "old", Row{Status: Done, BrokerID: "bm-1"})
	force(t, o, "young", Row{Status: Done, BrokerID: "bm-2"})
	force(t, o, "dead", Row{Status: Dead, LastError: "refused"})
	err := o.db.Write(context.Background(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec("UPDATE outbox SET delivered_at = $1 - CASE client_message_id WHEN 'old' THEN 604800001 ELSE 604799999 END WHERE status = 'done'", now.UnixMilli())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := blank(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if n := bodyBytes(t, o, "old"); n != 0 {
		t.Errorf("a body of more than 7 days has %d bytes, want none", n)
	}
	for _, id := range []mesh.ClientID{"young", "dead"} {
		if n := bodyBytes(t, o, id); n == 0 {
			t.Errorf("the body of the %s row is gone", id)
		}
	}
	if out := accept(t, o, draft("old", bob, "hello")); !out.Duplicate || out.BrokerID != "bm-1" {
		t.Errorf("a retry of a blanked row: got %+v, want the duplicate of bm-1", out)
	}
	if r := row(t, o, "old"); r.BodyBytes != 5 {
		t.Errorf("the blanked row tells of %d bytes, want 5", r.BodyBytes)
	}
}
