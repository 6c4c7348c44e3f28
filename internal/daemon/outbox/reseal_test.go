package outbox

import (
	"context"
	"maps"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// A message that a session queued must not wait for a session that never comes back (daemon 18.4).
func TestResealTakesOverRowsOfEndedSessions(t *testing.T) {
	t.Parallel()
	o := open(t)
	const living = mesh.Key("1111111111111111111111111111111111111111111111111111111111111111")
	for id, sender := range map[mesh.ClientID]mesh.Key{"member": "", "ended": sess, "living": living} {
		d := draft(id, bob, "body of "+string(id))
		d.Sender = sender
		accept(t, o, d)
	}
	plain := draft("plain", "*", "to all")
	plain.Sender, plain.Recipient = sess, ""
	accept(t, o, plain)
	sealed := map[string]mesh.Key{}
	n, err := o.Reseal(context.Background(), meshA, func(k mesh.Key) bool { return k == sess },
		func(recipient mesh.Key, body []byte) (string, string, error) {
			sealed[string(body)] = recipient
			return "new nonce", "new box", nil
		})
	if err != nil || n != 2 {
		t.Fatalf("Reseal: got %d rows, %v, want the 2 of the ended session", n, err)
	}
	if len(sealed) != 1 || sealed["body of ended"] != bob {
		t.Errorf("sealed anew: got %v, want the body of the ended session's box, for bob", sealed)
	}
	for id, want := range map[mesh.ClientID]mesh.Key{"member": "", "ended": "", "living": living, "plain": ""} {
		if got := row(t, o, id).Sender; got != want {
			t.Errorf("sender of %s: got %q, want %q", id, got, want)
		}
	}
	for id, want := range map[mesh.ClientID]string{"ended": "new nonce", "plain": "n-plain", "living": "n-living"} {
		if got := nonceOf(t, o, id); got != want {
			t.Errorf("nonce of %s: got %q, want %q", id, got, want)
		}
	}
}

// What waits of a session is counted and found until it is the member's.
func TestWaitingOfASession(t *testing.T) {
	t.Parallel()
	o, ctx := open(t), context.Background()
	for id, sender := range map[mesh.ClientID]mesh.Key{"member": "", "one": sess, "two": sess} {
		d := draft(id, bob, "body")
		d.Sender = sender
		accept(t, o, d)
	}
	for _, want := range []map[mesh.Key]int{{sess: 2}, {}} {
		got, err := o.Waiting(ctx, meshA)
		if !maps.Equal(got, want) || err != nil {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
		_, err = o.Reseal(ctx, meshA, func(mesh.Key) bool { return true }, func(mesh.Key, []byte) (string, string, error) { return "n", "c", nil })
		if err != nil {
			t.Fatal(err)
		}
	}
}

func nonceOf(t *testing.T, o *Outbox, id mesh.ClientID) string {
	t.Helper()
	var nonce string
	err := o.db.Read(context.Background(), func(tx *sqlite.Tx) error {
		return tx.QueryRow("SELECT nonce FROM outbox WHERE client_message_id = $1", id).Scan(&nonce)
	})
	if err != nil {
		t.Fatal(err)
	}
	return nonce
}
