package store

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// filled is what a broker of the first schema left: two members, one of them with a session and in a group, an invite, a
// message that was delivered, with its receipt, and one that waits for the member and for the session.
const filled = `
INSERT INTO mesh VALUES ('m1', 'team', 'Team', '%[1]s', 'root', 1000, 0);
INSERT INTO member VALUES (1, 'ada', 'm1', '%[2]s', 'ada', 'admin', 1000, 2000, 0, 1), (2, 'ben', 'm1', '%[3]s', 'ben', 'member', 1000, 2000, 0, 0);
INSERT INTO invite VALUES ('i1', 'm1', 2, 'hash', 'member', 5, 2, 9000000000000, 'signature', 'ada', 1000, 0);
INSERT INTO session VALUES (7, 'm1', '%[4]s', 2, 1, 'ben-1', 1000, 2000);
INSERT INTO member_group VALUES (2, 'ops/night', 2000);
INSERT INTO message VALUES
	(11, 'first', 1, 'c1', x'00', 1500, 1, 0, 'ada', 1, '', 1, '', 't1', 1, x'01', x''),
	(12, 'second', 1, 'c2', x'00', 1600, 2, 0, 'ada', 4, '*', 0, '', 't2', 1, x'02', x'0203');
INSERT INTO delivery VALUES (11, 2, 0, 1, 0, 9, 1, 1700, 1, 1), (12, 2, 0, 1, 1, 2, 0, 0, 0, 0), (12, 2, 7, 1, 1, 2, 0, 0, 0, 0);`

// openFirst makes a file of the first schema, fills it, and opens it as it is now.
func openFirst(t *testing.T) *sqlite.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "broker.db")
	first, err := fs.ReadFile(migrations, "migrations/0001_first.sql")
	if err != nil {
		t.Fatal(err)
	}
	old, err := sqlite.Open(t.Context(), path, sqlite.Options{Migrations: fstest.MapFS{"0001_first.sql": {Data: first}}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(filled, key("own"), key("ada"), key("ben"), key("ben-1"))
	for statement := range strings.SplitSeq(strings.TrimSuffix(text, ";"), ";\n") {
		must(t, old, func(tx *sqlite.Tx) error {
			_, err := tx.Exec(statement)
			return err
		})
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), path, time.Now, nil)
	if err != nil {
		t.Fatalf("open a file of the first schema: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// A file of the first schema is brought up to date with all that it has, and goes on to work.
func TestOpenAFilledFileOfTheFirstSchema(t *testing.T) {
	t.Parallel()
	db := openFirst(t)
	ben, ofSession := Box{Member: 2}, Box{Member: 2, Session: 7}
	must(t, db, func(tx *sqlite.Tx) error {
		members, err := ListMembers(tx, "m1")
		if err != nil || len(members) != 2 || members[1].Key != key("ben") || members[0].Role != RoleAdmin || members[1].LastSeen.UnixMilli() != 2000 {
			t.Errorf("members: got %+v, %v", members, err)
		}
		sessions, err := ListSessions(tx, "m1", time.Time{})
		if err != nil || len(sessions) != 1 || sessions[0].Key != key("ben-1") || !sessions[0].Proved || sessions[0].Vouch != "" {
			t.Errorf("sessions: got %+v, %v", sessions, err)
		}
		invites, err := ListInvites(tx, "m1")
		if err != nil || len(invites) != 1 || invites[0].ID != "i1" {
			t.Errorf("invites: got %+v, %v", invites, err)
		}
		group, err := ListGroupMembers(tx, "m1", "ops", time.UnixMilli(1))
		if err != nil || len(group) != 1 || group[0].ID != "ben" {
			t.Errorf("the group: got %+v, %v, want ben, who was in ops/night", group, err)
		}
		receipts, err := ListReceipts(tx, 1, 0, 9)
		want := []Receipt{{Seq: 1, Message: "first", ClientID: "c1", Recipient: key("ben"), Outcome: Delivered, At: time.UnixMilli(1700).UTC()}}
		if diff := cmp.Diff(want, receipts); diff != "" || err != nil {
			t.Errorf("receipts: %v (-want +got):\n%s", err, diff)
		}
		if n, err := CountWaiting(tx); n != 2 || err != nil {
			t.Errorf("got %d waiting, %v, want 2", n, err)
		}
		return nil
	})
	deliverOld(t, db, ben, ofSession)
	writeAnew(t, db, ben, ofSession)
}

// deliverOld ends what waited before.
func deliverOld(t *testing.T, db *sqlite.DB, boxes ...Box) {
	t.Helper()
	must(t, db, func(tx *sqlite.Tx) error {
		for i, box := range boxes {
			copies, err := ListPermitted(tx, box, Page{Limit: 9})
			if err != nil || len(copies) != 1 || copies[0].ID != "second" || copies[0].SenderKey != key("ada") || string(copies[0].Ciphertext) != "\x02\x03" || copies[0].Auth != nil {
				t.Errorf("%+v: got %+v, %v, want the second message without a proof", box, copies, err)
			}
			done, err := FinishDelivery(tx, Final{Message: 12, To: box, Outcome: Delivered, Receipt: int64(2 + i), Run: 2, At: noon})
			if err != nil || !done {
				t.Errorf("%+v: got %t, %v, want it delivered", box, done, err)
			}
		}
		receipts, err := ListReceipts(tx, 1, 1, 9)
		if err != nil || len(receipts) != 2 || receipts[1].Recipient != key("ben-1") {
			t.Errorf("got %+v, %v, want two more receipts", receipts, err)
		}
		return nil
	})
}

// writeAnew does what later schemas brought: proofs, roles in groups, messages to many, grants, bans.
func writeAnew(t *testing.T, db *sqlite.DB, ben, ofSession Box) {
	t.Helper()
	must(t, db, func(tx *sqlite.Tx) error {
		m := Message{
			N: 13, ID: "third", Sender: 1, ClientID: "c3", Fingerprint: []byte{}, CreatedAt: noon, Recipients: 2, Kind: ToEveryone, Target: "*",
			Priority: mesh.Next, Nonce: []byte{3}, Ciphertext: []byte{4}, Auth: []byte("{}"),
		}
		if ok, err := AddMessage(tx, &m); err != nil || !ok {
			t.Errorf("add a message: got %t, %v", ok, err)
		}
		if err := AddDeliveries(tx, Delivery{Message: 13, Sender: 1, Bytes: 1}, []Box{ben, ofSession}); err != nil {
			return err
		}
		if copies, err := ListWaiting(tx, ofSession, Page{Limit: 9}); err != nil || len(copies) != 1 || string(copies[0].Auth) != "{}" {
			t.Errorf("got %+v, %v, want the third message with its proof", copies, err)
		}
		if _, found, err := FindAccepted(tx, 1, "c1"); !found || err != nil {
			t.Errorf("the id of the first message: got %t, %v, want it known", found, err)
		}
		if err := SetGroups(tx, ofSession, []GroupSeat{{Name: "ops", Role: "lead"}}, noon); err != nil {
			return err
		}
		if err := SaveGrants(tx, 2, mesh.Grants{key("ada"): 0}, nil); err != nil {
			return err
		}
		if copies, err := ListPermitted(tx, ofSession, Page{Limit: 9}); err != nil || len(copies) != 0 {
			t.Errorf("got %+v, %v, want nothing of who is blocked", copies, err)
		}
		added, err := AddBan(tx, Ban{Member: Member{N: 2, ID: "ben", Mesh: "m1"}, By: key("own"), At: noon})
		if err != nil || !added {
			t.Errorf("ban: got %t, %v", added, err)
		}
		return nil
	})
}
