package roster

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/broker/presence"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

func (w *world) listMembers(t *testing.T, caller mesh.ID, req protocol.MembersRequest) protocol.MembersAnswer {
	t.Helper()
	answer, err := w.roster.Members(t.Context(), &session.Session{Mesh: "m", Member: caller}, req)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect()
	err := w.roster.DB.Write(t.Context(), func(tx *sqlite.Tx) error {
		for _, id := range []mesh.ID{"alice", "bob"} {
			if err := store.SeeMember(tx, id, start); err != nil {
				return err
			}
		}
		return store.SetRole(tx, "bob", store.RoleAdmin)
	})
	if err != nil {
		t.Fatal(err)
	}
	joined := mesh.FormatTime(start)
	alice := protocol.Member{MemberID: "alice", Pubkey: key(1), DisplayName: "alice", Role: "member", JoinedAt: joined, LastSeenAt: joined, Online: true, Sessions: 1, Status: mesh.Idle}
	bob := protocol.Member{MemberID: "bob", Pubkey: key(2), DisplayName: "bob", Role: "admin", JoinedAt: joined, LastSeenAt: joined}
	carol := protocol.Member{MemberID: "carol", Pubkey: key(3), DisplayName: "carol", Role: "member", JoinedAt: joined}
	check := func(what string, got protocol.MembersAnswer, next string, want ...protocol.Member) {
		t.Helper()
		if diff := cmp.Diff(protocol.MembersAnswer{Members: want, Next: next}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("all", w.listMembers(t, "alice", protocol.MembersRequest{}), "", alice, bob, carol)
	first := w.listMembers(t, "alice", protocol.MembersRequest{Limit: 2})
	check("a page", first, first.Next, alice, bob)
	check("the next page", w.listMembers(t, "alice", protocol.MembersRequest{After: first.Next}), "", carol)
	if _, err := w.roster.Members(t.Context(), &session.Session{Mesh: "m", Member: "alice"}, protocol.MembersRequest{After: "x"}); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("a next of another: got %v, want bad_request", err)
	}
	w.told = map[mesh.ConnID]presence.Peer{3: {Hidden: true}, 7: {Hidden: true}}
	alice.LastSeenAt, alice.Online, alice.Sessions, alice.Status = "", false, 0, ""
	check("who hides is away, and not since a moment ago", w.listMembers(t, "carol", protocol.MembersRequest{}), "", alice, bob, carol)
	w.told, w.grants = nil, map[mesh.ID]mesh.Grants{"alice": {key(3): 0}, "bob": {key(3): 0}}
	bob.LastSeenAt = ""
	got, err := w.roster.Members(t.Context(), &session.Session{Mesh: "m", Member: "carol", MemberKey: key(3)}, protocol.MembersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	check("who blocks is away", got, "", alice, bob, carol)
	w.conns = slices.Clone(w.conns)[1:]
	w.grants = nil
	if got := w.listMembers(t, "carol", protocol.MembersRequest{Limit: 1}).Members[0]; got.Status != mesh.Working || got.Sessions != 1 {
		t.Errorf("without a daemon: got %+v, want the session's status", got)
	}
}
