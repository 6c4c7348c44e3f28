package inbox

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// putHeld puts many messages for the first session at once, whose ids begin with h.
func putHeld(t *testing.T, b *Inbox, count int) {
	t.Helper()
	err := b.db.Write(context.Background(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec(`WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < $1)
			INSERT INTO inbox (id, client_message_id, mesh, sender_pubkey, sender_name, body, received_at, recipient_pubkey, recipient_kind, mesh_id)
			SELECT 'h' || x, 'h' || x, 'a', $2, 'alice', 'held', 1, $3, 'session', 'meshA' FROM n`, count, string(alice), string(first))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func notHeld(r Row) bool { return r.ClientID[0] != 'h' }

// However much waits that may not be shown, what is newer and may be is found behind it.
func TestClaimBehindMuchThatIsHeld(t *testing.T) {
	t.Parallel()
	b := open(t)
	putHeld(t, b, 4*stretch+1)
	put(t, b, draft("new"))
	s := Surface{ID: "s", Scope: Only(first)}
	var got []Claimed
	for range 1000 { // on a slow machine it is not found at the first look
		if got = append(got, claim(t, b, s, notHeld)...); len(got) > 0 || !OfferingsOf(b).Unfinished(s) {
			break
		}
	}
	if diff := cmp.Diff([]mesh.ClientID{"new"}, claimedIDs(got)); diff != "" {
		t.Errorf("behind what is held (-want +got):\n%s", diff)
	}
	if got[0].Body == nil || *got[0].Body != "body of new" {
		t.Errorf("its text is %v", got[0].Body)
	}
}

// A look that has no more time goes on at the next one where it ended. At the end it begins again with what was refused.
func TestLookGoesOn(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	b := openAt(t, filepath.Join(t.TempDir(), "inbox.db"), func() time.Time { now = now.Add(lookTime); return now })
	putHeld(t, b, 2*stretch)
	put(t, b, draft("one"))
	put(t, b, draft("two"))
	s := Surface{ID: "s", Scope: Only(first)}
	o, ctx := OfferingsOf(b), context.Background()
	look := func(limit int, goesOn bool, want ...mesh.ClientID) {
		t.Helper()
		got, err := b.Claim(ctx, s, limit, notHeld)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]mesh.ClientID{}, want...), claimedIDs(got)); diff != "" {
			t.Errorf("look (-want +got):\n%s", diff)
		}
		if is := o.Unfinished(s); is != goesOn {
			t.Errorf("it goes on: %v, want %v", is, goesOn)
		}
	}
	look(1, true)
	look(1, true)
	waiting, err := o.Waiting(ctx, s, 10, notHeld)
	if err != nil || len(waiting) != 2 || waiting[0].ClientID != "one" || waiting[0].Body != nil {
		t.Errorf("%d rows wait, %v; want two without their texts", len(waiting), err)
	}
	for !o.Unfinished(s) { // it was at the end, and begins again
		look(1, true)
	}
	look(1, true)
	look(1, true, "one")
	look(1, false, "two")
	look(1, true)
	o.Afresh()
	all := claim(t, b, s, nil) // what is let through comes from the oldest on
	if len(all) != 100 || all[0].ClientID != "h1" || all[99].ClientID != "h100" {
		t.Errorf("%d rows from %s on, want 100 from h1 on", len(all), all[0].ClientID)
	}
	if got := claim(t, b, s, nil); len(got) != 100 || got[0].ClientID != "h101" || o.Unfinished(s) {
		t.Errorf("then %d from %s on, want 100 from h101 on", len(got), got[0].ClientID)
	}
}
