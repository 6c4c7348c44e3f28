package inbox

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

const (
	alice  = mesh.Key("a11ce000a11ce000a11ce000a11ce000a11ce000a11ce000a11ce000a11ce000")
	me     = mesh.Key("0e00000000000000000000000000000000000000000000000000000000000000")
	first  = mesh.Key("5e55000000000000000000000000000000000000000000000000000000000001")
	second = mesh.Key("5e55000000000000000000000000000000000000000000000000000000000002")
)

func open(t testing.TB) *Inbox {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "inbox.db"), time.Now)
}

// openAt opens a file and closes it with the test.
func openAt(t testing.TB, path string, now mesh.Clock) *Inbox {
	t.Helper()
	b, err := Open(context.Background(), optionsAt(path, now))
	if err != nil {
		t.Fatalf("open inbox: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close inbox: %v", err)
		}
	})
	return b
}

func optionsAt(path string, now mesh.Clock) Options {
	return Options{Path: path, Now: now, Log: slog.New(slog.DiscardHandler)}
}

// draft is a direct message of alice to the first session.
func draft(id mesh.ClientID) Draft {
	body := "body of " + string(id)
	return Draft{
		MeshID: "meshA", Mesh: "a", ClientID: id, BrokerID: mesh.ID("broker-" + id), Body: &body,
		From: Author{Key: alice, Member: alice, Name: "alice"}, To: first, Kind: Session,
	}
}

// put stores a draft that must be new.
func put(t testing.TB, b *Inbox, d Draft) Row {
	t.Helper()
	r, v, err := b.Put(context.Background(), d)
	if err != nil || v != New {
		t.Fatalf("put %s: verdict %d, %v; want new", d.ClientID, v, err)
	}
	return r
}
