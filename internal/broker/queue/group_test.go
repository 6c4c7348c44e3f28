package queue

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

func (p *peer) join(group string) {
	p.w.t.Helper()
	if _, err := p.w.q.JoinGroup(context.Background(), p.conn.ID, protocol.Group{Name: group}); err != nil {
		p.w.t.Fatalf("join %s: %v", group, err)
	}
	p.w.settle()
}

func (p *peer) leave(group string) {
	p.w.t.Helper()
	if _, err := p.w.q.LeaveGroup(context.Background(), p.conn.ID, group); err != nil {
		p.w.t.Fatalf("leave %s: %v", group, err)
	}
	p.w.settle()
}

func TestJoiningAndLeavingCountsFromNowOn(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann, bob := w.attach("m", "ann", "ann1"), w.attach("m", "bob", "bob1")
		ann.send("@dev", "before")
		bob.join("dev/ui")
		ann.send("@dev", "reached from above")
		ann.send("@dev/ui", "reached")
		ann.send("@dev/uix", "another group")
		ann.send("@de", "part of a name")
		bob.leave("dev/ui")
		ann.send("@dev", "after")
		wantTexts(t, "bob", bob, "reached from above", "reached")
	})
}

// Lessons 2.1.2: groups and broadcasts reach who is offline.
func TestLesson212GroupsReachOfflineMembers(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob", "cid", "dan")
		ann := w.attach("m", "ann", "ann1")
		bob := w.attach("m", "bob", "bob1", groups("dev"))
		bob.join("ops")
		bob.leave("dev")
		bob.detach()
		w.attach("m", "cid", "cid1", groups("ops/night")).detach()
		w.pass(29 * 24 * time.Hour)
		if a := ann.send("@ops", "still known"); a.Recipients != 2 {
			t.Errorf("got %d recipients, want bob and cid", a.Recipients)
		}
		ann.send("@dev", "bob has left")
		w.pass(2 * 24 * time.Hour)
		if a := ann.send("@ops", "forgotten"); a.Recipients != 0 {
			t.Errorf("got %d recipients after 31 days, want none", a.Recipients)
		}
		if a := ann.send("*", "everyone"); a.Recipients != 3 {
			t.Errorf("got %d recipients of *, want bob, cid and dan", a.Recipients)
		}
		wantTexts(t, "bob", w.attach("m", "bob", "bob2"), "still known", "everyone")
		wantTexts(t, "cid", w.attach("m", "cid", "cid2"), "still known", "everyone")
		wantTexts(t, "dan", w.attach("m", "dan", "dan1"), "everyone")
	})
}

// A session takes only its own places along: those of its siblings stay, until it leaves for its member.
func TestGroupsAreRememberedBySession(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann := w.attach("m", "ann", "ann1")
		w.attach("m", "bob", "bob1", groups("dev", "ops")).detach()
		bob2 := w.attach("m", "bob", "bob2", groups("ops"))
		w.attach("m", "bob", "bob1", groups("web")).detach() // it came back with others
		if a := ann.send("@dev", "nobody"); a.Recipients != 0 {
			t.Errorf("got %d recipients of a group that its only session came back without", a.Recipients)
		}
		bob2.detach()
		if a := ann.send("@ops", "bob2's"); a.Recipients != 1 {
			t.Errorf("got %d recipients, want bob for bob2", a.Recipients)
		}
		bob2 = w.attach("m", "bob", "bob2", groups("ops", "web"))
		bob2.leave("web")
		bob2.detach()
		if a := ann.send("@web", "left"); a.Recipients != 0 {
			t.Errorf("got %d recipients of a group that bob left, want none", a.Recipients)
		}
	})
}

// A sibling that is connected keeps its place when another session of its member leaves.
func TestLeavingTakesNoSiblingAlong(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann := w.attach("m", "ann", "ann1")
		bob1, bob2 := w.attach("m", "bob", "bob1", groups("dev")), w.attach("m", "bob", "bob2", groups("dev"))
		bob1.leave("dev")
		ann.send("@dev", "to the sibling")
		bob2.detach()
		ann.send("@dev", "to the member")
		wantTexts(t, "who left", bob1, "to the member") // the member's mailbox is served by whom it has
		wantTexts(t, "the sibling", bob2, "to the sibling")
	})
}

// What a connection noted of its groups counts although its own group commit is not over yet.
func TestAMessageSeesTheGroupsBeforeIt(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob")
		ann := w.attach("m", "ann", "ann1")
		bob := w.newPeer("m", "bob", "bob1", groups("dev"))
		release := w.hold()
		bob.attach()
		w.q.Detach(bob.conn.ID, false)
		acks := ann.start(request("@dev", "caught"))
		release()
		if a := <-acks; a.Recipients != 1 {
			t.Errorf("got %d recipients, want bob, who had just been there", a.Recipients)
		}
	})
}

func TestGroupsHaveABound(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann")
		ann := w.attach("m", "ann", "ann1")
		for i := range MaxGroups {
			ann.join(string(rune('a'+i/26)) + string(rune('a'+i%26)))
		}
		ann.join("ab") // again is no other
		_, err := w.q.JoinGroup(context.Background(), ann.conn.ID, protocol.Group{Name: "zz"})
		if !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("one group too many: got %v", err)
		}
		ann.detach()
		if _, err := w.q.LeaveGroup(context.Background(), ann.conn.ID, "aa"); err == nil {
			t.Error("a connection that has ended left a group")
		}
	})
}

func TestGroupsOfAConnectionAreListed(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann")
		ann := w.attach("m", "ann", "ann1", groups("dev"))
		before := w.conns("m")[0].Groups
		ann.join("ops")
		got, err := w.q.JoinGroup(context.Background(), ann.conn.ID, protocol.Group{Name: "dev", Role: "lead"})
		want := []protocol.Group{{Name: "dev", Role: "lead"}, {Name: "ops"}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil || !slices.Equal(w.conns("m")[0].Groups, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if !slices.Equal(before, []protocol.Group{{Name: "dev"}}) {
			t.Errorf("a list that was read changed to %v", before)
		}
	})
}
