package outbox

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

const (
	meshA = mesh.ID("meshA")
	bob   = "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0"
	carol = "ca01ca01ca01ca01ca01ca01ca01ca01ca01ca01ca01ca01ca01ca01ca01ca01"
	sess  = mesh.Key("5e555e555e555e555e555e555e555e555e555e555e555e555e555e555e555e55")
)

// open makes an outbox in a fresh folder with the real clock.
func open(t testing.TB) *Outbox {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "outbox.db"), nil)
}

// openAt opens a file, with the real clock when now is nil, and closes it with the test.
func openAt(t testing.TB, path string, now mesh.Clock) *Outbox {
	t.Helper()
	if now == nil {
		now = time.Now
	}
	o, err := Open(context.Background(), Options{Path: path, Now: now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("open outbox: %v", err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Errorf("close outbox: %v", err)
		}
	})
	return o
}

// draft is a sealed message to a key.
func draft(id mesh.ClientID, target, body string) Draft {
	fp, err := seal.Request{To: seal.ParseDestination(target), Body: body}.Fingerprint()
	if err != nil {
		panic(err)
	}
	return Draft{
		ClientID: id, Fingerprint: fp, MeshID: meshA, Mesh: "a", TargetSpec: target, TargetName: "bob",
		Recipient: mesh.Key(target), Nonce: "n-" + string(id), Ciphertext: "c-" + body, Priority: mesh.Next, Body: []byte(body),
	}
}

func accept(t testing.TB, o *Outbox, d Draft) Outcome {
	t.Helper()
	out, err := o.Accept(context.Background(), d)
	if err != nil {
		t.Fatalf("accept %s: %v", d.ClientID, err)
	}
	return out
}

// row reads a row by its client id.
func row(t testing.TB, o *Outbox, id mesh.ClientID) Row {
	t.Helper()
	m, err := findMessage(context.Background(), o.db, id)
	if err != nil {
		t.Fatalf("find %s: %v", id, err)
	}
	return m.Row
}

// setMailboxes notes how many copies the broker made.
func setMailboxes(t testing.TB, o *Outbox, id mesh.ClientID, n int) {
	t.Helper()
	err := o.db.Write(context.Background(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec("UPDATE outbox SET mailboxes = $2 WHERE client_message_id = $1", id, n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
