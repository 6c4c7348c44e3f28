package queue

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// again connects a session that was connected before.
func (p *peer) again() {
	p.w.next++
	p.conn.ID = p.w.next
	p.mu.Lock()
	p.closed = "" // it is a connection of its own
	p.mu.Unlock()
	p.attach()
	p.w.settle()
}

// kept is what the store has of a session: when it was last seen, from the beginning of the test, and its groups.
func (p *peer) kept(began time.Time) (seen time.Duration, groups []string) {
	p.w.t.Helper()
	p.w.write(func(tx *sqlite.Tx) error {
		s, err := store.FindSession(tx, p.conn.Mesh, p.conn.SessionKey)
		if err != nil {
			return err
		}
		seen = s.LastSeen.Sub(began.Truncate(time.Millisecond)).Round(time.Second)
		rows, err := tx.Query(`SELECT name FROM group_seat WHERE session = $1 ORDER BY name`, s.N)
		if err != nil {
			return err
		}
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			groups = append(groups, name)
		}
		return rows.Err()
	})
	return seen, groups
}

func TestASessionThatComesBackIsNotStored(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		began := time.Now()
		w.mesh("m", "ann")
		ann := w.attach("m", "ann", "ann1", groups("dev"))
		want := func(what string, seen time.Duration, groups ...string) {
			t.Helper()
			gotSeen, gotGroups := ann.kept(began)
			if d := cmp.Diff(groups, gotGroups); gotSeen != seen || d != "" {
				t.Errorf("%s: got seen after %v, want %v; groups (-want +got):\n%s", what, gotSeen, seen, d)
			}
		}
		w.pass(3 * time.Second)
		ann.detach()
		w.pass(2 * time.Second)
		ann.again()
		w.pass(2 * partedFor)
		want("came back as it was", 0, "dev")
		ann.again()
		want("was replaced", 0, "dev")

		ann.detach()
		ann.conn.Groups = []protocol.Group{{Name: "ops"}}
		ann.again()
		w.settle()
		want("came back with another group", 25*time.Second, "ops")

		w.pass(time.Second)
		ann.detach()
		want("may come back", 25*time.Second, "ops")
		w.pass(2 * partedFor)
		w.settle()
		want("did not come back", 26*time.Second, "ops")

		ann.again()
		w.pass(time.Second)
		w.q.Detach(ann.conn.ID, true)
		w.settle()
		want("said goodbye", 47*time.Second, "ops")

		ann.again()
		w.pass(time.Second)
		ann.detach()
		w.restart()
		want("the broker stopped", 48*time.Second, "ops")
	})
}

// A connection of a member without a session shares its mailbox with others: each is stored.
func TestAMemberThatComesBackIsStored(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann")
		one := w.attach("m", "ann", "", groups("dev"))
		one.detach()
		if n := len(w.q.loop.parted.of); n != 0 {
			t.Errorf("%d connections without a session may come back, want none", n)
		}
		two := w.attach("m", "ann", "", groups("ops"))
		two.detach()
		one.again()
		if n := w.count(`SELECT count(*) FROM group_seat WHERE name = 'dev'`); n != 1 {
			t.Errorf("got %d seats in the group, want the member's", n)
		}
	})
}

// TestFarewellComesBeforeTheEnd holds that a connection is closed after it was detached: closed before, it would be cut at
// the next push, as one that means to come back.
func TestFarewellComesBeforeTheEnd(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		var there []bool
		for range 2 {
			ann.send(string(key("bob1")), "one more")
			w.q.Farewell(bob.conn.ID, func() {
				there = append(there, w.q.dir.online(hub.Mailbox{Member: bob.conn.Member, Session: bob.conn.SessionKey}))
			})
			w.settle()
		}
		if !slices.Equal(there, []bool{false, false}) {
			t.Errorf("at its end the connection is known: %v, want it forgotten both times", there)
		}
	})
}
