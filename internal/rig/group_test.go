package rig

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// joinGroup puts whoever d is into a group; leaveGroup takes it out.
func (w *world) joinGroup(d localapi.Doer, group string) {
	w.T.Helper()
	answer, err := localapi.GroupJoin.Do(w.T.Context(), d, localapi.GroupRequest{Name: group})
	w.must(err)
	if answer.Group != group || len(answer.Meshes)+len(answer.Pending) != 1 {
		w.T.Fatalf("join %s: got %+v", group, answer)
	}
}

func (w *world) leaveGroup(d localapi.Doer, group string) {
	w.T.Helper()
	_, err := localapi.GroupLeave.Do(w.T.Context(), d, localapi.GroupRequest{Name: group})
	w.must(err)
}

// groupsOf are the groups that a session is in, by its own word.
func (w *world) groupsOf(s *Session) []string {
	w.T.Helper()
	me, err := localapi.SessionMe.Do(w.T.Context(), s, localapi.None{})
	w.must(err)
	names := []string{}
	for _, g := range me.Groups {
		names = append(names, g.Name)
	}
	return names
}

// wantMembers waits until the broker names these members of a group.
func (w *world) wantMembers(d localapi.Doer, group string, want ...string) {
	w.T.Helper()
	w.Until("who is in "+group, func() bool {
		answer, err := localapi.Groups.Do(w.T.Context(), d, localapi.GroupsRequest{})
		w.must(err)
		i := slices.IndexFunc(answer.Groups, func(g localapi.Group) bool { return g.Name == group })
		if i < 0 {
			return len(want) == 0
		}
		return slices.Equal(sorted(answer.Groups[i].Members), sorted(want))
	})
}

// Groups stay over a broken line, a restart of the daemon and the end of the session's process, when it is resumed.
func TestGroupsOutliveConnectionsAndProcesses(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		s := w.open(ben, "s")
		w.joinGroup(s, "ops/night")
		w.joinGroup(s, "dev")
		w.leaveGroup(s, "dev")
		w.Send(ada, "@ops", "while it is there")
		w.wantTexts(ben, "while it is there")

		ben.Stop() // without a daemon its member is meant
		w.Send(ada, "@ops/night", "while the daemon is away")
		ben.Start()
		w.wantSessionOpen(s)
		w.wantTexts(ben, "while it is there", "while the daemon is away")
		w.Send(ada, "@ops", "after the restart")
		w.wantTexts(ben, "while it is there", "while the daemon is away", "after the restart")

		w.close(s)
		s = w.open(ben, "s")
		if diff := cmp.Diff([]string{"ops/night"}, w.groupsOf(s)); diff != "" {
			t.Errorf("groups of the resumed session (-want +got):\n%s", diff)
		}
		w.wantMembers(ada, "dev")
		w.wantMembers(ada, "ops/night", "ben")
	})
}

// What changes while there is no connection counts with the next one.
func TestGroupsChangedWithoutAConnection(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		s := w.open(ben, "s")
		w.joinGroup(s, "old")
		w.joinGroup(ben, "home")
		w.wantMembers(ada, "home", "ben")
		w.broker.Stop()
		answer, err := localapi.GroupJoin.Do(t.Context(), s, localapi.GroupRequest{Name: "new", Role: "lead"})
		w.must(err)
		if diff := cmp.Diff([]string{"team"}, answer.Pending); diff != "" {
			t.Errorf("pending (-want +got):\n%s", diff)
		}
		w.leaveGroup(s, "old")
		w.leaveGroup(ben, "home")
		w.joinGroup(ben, "desk")
		w.broker.Start()
		w.wantMembers(ada, "new", "ben")
		w.wantMembers(ada, "desk", "ben")
		w.wantMembers(ada, "home")
		w.wantMembers(ada, "old")
	})
}

// A session that is registered with other groups than before has those, and what it joined by itself.
func TestGroupsOfARegistration(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		register := func(old *Session, groups ...string) *Session {
			s := &Session{ID: "s", home: ben}
			req := ben.registration("s", old)
			for _, g := range groups {
				req.Groups = append(req.Groups, protocol.Group{Name: g})
			}
			answer, err := localapi.SessionRegister.Do(t.Context(), s, req)
			w.must(err)
			s.Token = answer.Token
			w.wantSessionOpen(s)
			return s
		}
		s := register(nil, "a", "b")
		w.joinGroup(s, "c")
		w.leaveGroup(s, "b")
		for i, c := range []struct{ said, want []string }{
			{[]string{"a", "b"}, []string{"a", "c"}}, // the same as before: nothing new is said
			{[]string{"b"}, []string{"b", "c"}},
			{nil, []string{"c"}},
		} {
			s = register(s, c.said...)
			if diff := cmp.Diff(c.want, w.groupsOf(s)); diff != "" {
				t.Errorf("%d (-want +got):\n%s", i, diff)
			}
		}
		w.wantMembers(ada, "c", "ben")
		w.wantMembers(ada, "a")
		w.wantMembers(ada, "b")
	})
}

// A message to a group reaches who was in it a moment ago and has just ended.
func TestGroupRightAfterItsLastSessionEnded(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		for _, name := range []string{"ops", "dev", "docs"} {
			s := w.open(ben, "session-"+name)
			w.joinGroup(s, name)
			w.close(s)
			w.Send(ada, "@"+name, "for "+name)
			w.Until("it came to "+name, func() bool { return slices.Contains(w.Texts(ben), "for "+name) })
		}
	})
}

// What a group is told while its only sessions come and go, one resumed, others new, comes to their member, whenever in
// their lives it was accepted. -seed plays another history.
func TestGroupWhileSessionsComeAndGo(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		const rounds, messages = 10, 6 // of each round
		rnd := rand.New(rand.NewPCG(*seedFlag, 11))
		s := w.open(ben, "session-0")
		w.joinGroup(s, "dev")
		var sender sync.WaitGroup
		defer sender.Wait()
		var want []string
		for round := range rounds {
			pauses := make([]time.Duration, messages)
			for i := range pauses {
				pauses[i] = time.Duration(rnd.IntN(8000)) * time.Microsecond
				want = append(want, fmt.Sprintf("%d of round %d", i, round))
			}
			sender.Go(func() {
				for i, pause := range pauses {
					<-time.After(pause)
					req := localapi.SendRequest{To: "@dev", Message: fmt.Sprintf("%d of round %d", i, round)}
					if _, err := localapi.Send.Do(t.Context(), ada, req); err != nil {
						t.Errorf("%s: %v", req.Message, err)
					}
				}
			})
			<-time.After(time.Duration(rnd.IntN(30)) * time.Millisecond)
			w.close(s)
			<-time.After(time.Duration(rnd.IntN(10)) * time.Millisecond)
			s = ben.Register(fmt.Sprintf("session-%d", rnd.IntN(2)*round), nil)
			if rnd.IntN(3) > 0 {
				w.joinGroup(s, "dev")
			}
		}
		w.close(s)
		sender.Wait()
		w.Until("all have come", func() bool {
			got := w.Texts(ben)
			return !slices.ContainsFunc(want, func(text string) bool { return !slices.Contains(got, text) })
		})
	})
}

// A copy of a member that its session's connection brought, and whose acknowledgement was lost, comes again over the
// daemon's own one, and is the same copy: it is in the inbox once, and it is the member's.
func TestMemberCopyComesOnceOverAnyConnection(t *testing.T) {
	t.Parallel()
	set := quick
	set.broker = func(b *config.Broker) { b.Lease, b.HelloTimeout = 300*time.Millisecond, 300*time.Millisecond }
	w := newWorld(t, set, "ada", "ben")
	ada, ben := w.homes[0], w.homes[1]
	s := w.open(ben, "s")
	ben.Stop()
	w.wantPeers(ada, "ada")
	id := w.Send(ada, "*", "once").ClientMessageID
	w.wantState(ada, id, mesh.StateAccepted)
	ben.Link(w.broker).Tap(func(f memnet.Frame) [][]byte {
		if f.Type == "hello" || f.Type == "client_ack" { // the daemon's own connection is not let in
			return nil
		}
		return f.Pass()
	})
	ben.Start()
	w.wantSessionOpen(s)
	w.wantTexts(ben, "once")
	ben.Link(w.broker).Tap(nil)
	w.wantOpen(ben)
	w.wantState(ada, id, mesh.StateDelivered)
	w.wantTexts(ben, "once")
	if got := w.Inbox(s); len(got) != 1 || got[0].RecipientKind != "member" {
		t.Errorf("the session reads %+v, want what came for its member", got)
	}
}
