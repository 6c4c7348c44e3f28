package rig

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

func (w *world) moderate(d localapi.Doer, req localapi.ModerateRequest) localapi.ModerateAnswer {
	w.T.Helper()
	answer, err := localapi.Moderate.Do(w.T.Context(), d, req)
	w.must(err)
	return answer
}

func (w *world) grant(d localapi.Doer, verb, peer string, caps ...mesh.Cap) localapi.GrantAnswer {
	w.T.Helper()
	answer, err := localapi.Grant.Do(w.T.Context(), d, localapi.GrantRequest{Verb: verb, Peer: peer, Caps: caps})
	w.must(err)
	return answer
}

// refused sends a text that must be refused with a code.
func (w *world) refused(d localapi.Doer, to string, code mesh.Code) {
	w.T.Helper()
	if _, err := localapi.Send.Do(w.T.Context(), d, localapi.SendRequest{To: to, Message: "hello"}); !mesh.IsCode(err, code) {
		w.T.Errorf("send to %s: got %v, want %s", to, err, code)
	}
}

// A ban takes effect within a second on somebody who watches; what waited to be sent ends with a reason, and is not lost
// in silence; the way back is an unban (lessons 1.27, 2.2.11).
func TestLesson127BanTakesEffectWithinASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, settings{}, "ada", "ben", "carol")
		ada, ben, carol := w.homes[0], w.homes[1], w.homes[2]
		link := ben.Link(w.broker)
		var sends atomic.Int32
		link.Tap(func(f memnet.Frame) [][]byte {
			if f.Type == "send" {
				sends.Add(1)
				return nil // it waits for an ack that does not come
			}
			return f.Pass()
		})
		flying := w.Send(ben, "carol", "under way").ClientMessageID
		w.Until("it is under way", func() bool { return sends.Load() > 0 })
		carol.Stop()
		answer := w.moderate(ada, localapi.ModerateRequest{Verb: localapi.VerbBan, Target: "ben", Reason: "spam"})
		if diff := cmp.Diff([]string{"ben"}, answer.Affected); diff != "" || answer.Pubkey != ben.Mesh("team").Pubkey {
			t.Errorf("got %+v (-want +got):\n%s", answer, diff)
		}
		pass(time.Second)
		if got := ben.Mesh("team"); got.Status != "banned" || got.LastError == "" {
			t.Errorf("after a second: got %+v, want banned, and why", got)
		}
		if got := w.wantState(ben, flying, mesh.StateRejected); got.LastError != string(mesh.Revoked) {
			t.Errorf("got %+v, want revoked", got)
		}
		if got := w.outbox(ben); got["pending"]+got["inflight"] != 0 {
			t.Errorf("got %v, want nothing that waits", got)
		}
		w.refused(ben, "carol", mesh.Revoked)
		w.refused(ben, "nobody", mesh.Revoked)
		if got := w.wantState(ada, w.Send(ada, "ben", "too late").ClientMessageID, mesh.StateRejected); got.LastError == "" {
			t.Errorf("to a banned member: got %+v, want why not", got)
		}
		peers, err := localapi.Peers.Do(t.Context(), ben, localapi.PeersRequest{})
		w.must(err)
		if got := peers.Meshes[0]; got.OK || got.Status != "banned" || got.Code != mesh.Revoked {
			t.Errorf("peers: got %+v, want banned", got)
		}
		for _, p := range peers.Peers {
			if p.Online == nil || *p.Online {
				t.Errorf("got %+v, want that nobody is known to be there", p)
			}
		}
		link.Tap(nil)
		ben.Stop()
		ben.Start()
		pass(time.Minute)
		if got := ben.Mesh("team"); got.Status != "banned" || !strings.Contains(got.LastError, "you are banned from team: spam") {
			t.Errorf("after a restart: got %s, %q", got.Status, got.LastError)
		}
		bans, err := localapi.Bans.Do(t.Context(), ada, localapi.BansRequest{})
		w.must(err)
		if len(bans.Bans) != 1 || bans.Bans[0].Name != "ben" || bans.Bans[0].Reason != "spam" {
			t.Errorf("got %+v, want ben", bans)
		}
		w.moderate(ada, localapi.ModerateRequest{Verb: localapi.VerbUnban, Target: "ben"})
		ben.Stop()
		ben.Start()
		w.wantOpen(ben)
		carol.Start()
		w.Send(ben, "carol", "back again")
		w.wantTexts(carol, "back again")
	})
}

// What somebody wrote before the ban is withdrawn; what waits for the banned one is there after it.
func TestUnbanDrains(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ben.Stop()
		kept := w.Send(ada, "ben", "for later").ClientMessageID
		w.wantState(ada, kept, mesh.StateAccepted)
		w.moderate(ada, localapi.ModerateRequest{Verb: localapi.VerbBan, Target: string(w.keyOf(ben))})
		ben.Start()
		pass(24 * time.Hour)
		if got := w.Texts(ben); len(got) != 0 {
			t.Errorf("while banned: got %q", got)
		}
		ada.Join("team", ben)
		if got := ben.Mesh("team"); got.Status != "banned" {
			t.Errorf("after a join: got %s, want banned", got.Status)
		}
		w.moderate(ada, localapi.ModerateRequest{Verb: localapi.VerbUnban, Target: "ben"})
		ada.Join("team", ben)
		if got := ben.Mesh("team"); got.Status != "open" {
			t.Errorf("after a join: got %s, want open", got.Status)
		}
		w.wantTexts(ben, "for later")
		w.wantState(ada, kept, mesh.StateDelivered)
	})
}

// keyOf is the member key of a home that may be down, as the first home knows it.
func (w *world) keyOf(h *Home) mesh.Key {
	answer, err := localapi.Peers.Do(w.T.Context(), w.homes[0], localapi.PeersRequest{Offline: true})
	w.must(err)
	for _, p := range answer.Peers {
		if p.MemberName == h.Name {
			return p.MemberPubkey
		}
	}
	w.T.Fatalf("nobody knows %s", h.Name)
	return ""
}

// Who is blocked is told what the sender to somebody who is away is told, sees nobody there, and gets through when the
// block ends (wire 8.1, lessons 2.2.15).
func TestLesson2215BlockedLooksLikeAbsent(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		first := w.Send(ada, "ben", "hello").ClientMessageID
		w.wantState(ada, first, mesh.StateDelivered)
		blocked := w.grant(ben, localapi.VerbBlock, "ada")
		if len(blocked.Caps) != 0 || !blocked.BrokerTold || blocked.Peer != "ada" || blocked.Pubkey != ada.Mesh("team").Pubkey {
			t.Errorf("got %+v, want ada without anything, known to the broker", blocked)
		}
		w.wantPeers(ada, "ada")
		w.wantBlocked(ben, "ada", true)
		second := w.Send(ada, "ben", "are you there?").ClientMessageID
		all := w.Send(ada, "*", "anybody?").ClientMessageID
		w.wantState(ada, second, mesh.StateAccepted)
		pass(time.Hour)
		for _, id := range []mesh.ClientID{second, all} {
			if got := w.status(ada, string(id)); got.State != mesh.StateAccepted || got.Delivered {
				t.Errorf("got %+v, want it accepted and no more", got)
			}
		}
		w.wantTexts(ben, "hello")
		w.broker.Kill() // the broker, too, has it on its disk
		w.broker.Start()
		pass(time.Minute)
		w.wantTexts(ben, "hello")
		w.wantPeers(ada, "ada")
		w.Send(ben, "ada", "not to be answered")
		w.wantTexts(ada, "not to be answered")
		back := w.grant(ben, localapi.VerbUnblock, "ada")
		if !back.Default || len(back.Caps) != 4 {
			t.Errorf("got %+v, want the defaults", back)
		}
		w.wantTexts(ben, "hello", "are you there?", "anybody?")
		w.wantState(ada, second, mesh.StateDelivered)
		w.wantPeers(ada, "ada", "ben")
		w.wantBlocked(ben, "ada", false)
	})
}

// wantBlocked compares whether the list of a home shows somebody as blocked.
func (w *world) wantBlocked(h *Home, name string, want bool) {
	w.T.Helper()
	answer, err := localapi.Peers.Do(w.T.Context(), h, localapi.PeersRequest{})
	w.must(err)
	got := map[string]bool{}
	for _, p := range answer.Peers {
		got[p.DisplayName] = p.Blocked
	}
	if diff := cmp.Diff(map[string]bool{h.Name: false, name: want}, got); diff != "" {
		w.T.Errorf("who is blocked (-want +got):\n%s", diff)
	}
}

// Capabilities one by one: who may not broadcast may still write.
func TestRevokedBroadcast(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		if got := w.grant(ben, localapi.VerbRevoke, "ada", mesh.CapBroadcast); cmp.Diff([]mesh.Cap{mesh.CapRead, mesh.CapDM, mesh.CapStateRead}, got.Caps) != "" {
			t.Errorf("got %+v", got)
		}
		w.Send(ada, "*", "to all")
		w.Send(ada, "ben", "to ben")
		w.wantTexts(ben, "to ben")
		if got := w.grant(ben, localapi.VerbGrant, "ada", mesh.CapBroadcast, mesh.CapFileRead); len(got.Caps) != 5 || got.Default {
			t.Errorf("got %+v", got)
		}
		w.wantTexts(ben, "to ben", "to all")
		answer, err := localapi.Grants.Do(t.Context(), ben, localapi.GrantsRequest{})
		w.must(err)
		adas := ada.Mesh("team").Pubkey
		if len(answer.Grants[adas]) != 5 || answer.Names[adas] != "ada" {
			t.Errorf("got %+v, want ada with five", answer)
		}
		for peer, code := range map[string]mesh.Code{"zoe": mesh.TargetNotFound, "*": mesh.BadRequest, "ben": mesh.SelfSend, "": mesh.BadRequest} {
			if _, err := localapi.Grant.Do(t.Context(), ben, localapi.GrantRequest{Verb: localapi.VerbBlock, Peer: peer}); !mesh.IsCode(err, code) {
				t.Errorf("block %q: got %v, want %s", peer, err, code)
			}
		}
		for _, req := range []localapi.GrantRequest{{Verb: localapi.VerbGrant, Peer: "ada", Caps: []mesh.Cap{"dm", "fly"}}, {Verb: localapi.VerbRevoke, Peer: "ada"}} {
			if _, err := localapi.Grant.Do(t.Context(), ben, req); !mesh.IsCode(err, mesh.BadRequest) {
				t.Errorf("%+v: got %v, want bad_request", req, err)
			}
		}
	})
}

// Somebody who is away, and a broker that is, can be blocked: the daemon keeps to it, and tells the broker when it is back.
func TestBlockWithoutABroker(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ada.Stop()
		w.broker.Stop()
		pass(time.Second)
		if got := w.grant(ben, localapi.VerbBlock, "ada"); got.BrokerTold {
			t.Errorf("got %+v, want that the broker does not know", got)
		}
		ben.Kill()
		ben.Start()
		w.broker.Start()
		w.wantOpen(ben)
		pass(time.Second)
		ada.Start()
		sent := w.Send(ada, "ben", "hello").ClientMessageID
		w.wantState(ada, sent, mesh.StateAccepted)
		pass(time.Hour)
		if got := w.status(ada, string(sent)); got.State != mesh.StateAccepted {
			t.Errorf("got %s, want accepted", got.State)
		}
		w.grant(ben, localapi.VerbUnblock, "ada")
		w.wantTexts(ben, "hello")
	})
}

// A broker that pushes what it should hold, under whatever name, gets it neither shown nor acknowledged.
func TestThreat8BrokerPassesABlock(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		link := l.ben.Link(l.broker)
		var held atomic.Pointer[fields]
		link.Tap(func(f memnet.Frame) [][]byte {
			if f.Type != "push" || f.Direction != memnet.Down {
				return f.Pass()
			}
			was := decode(t, f.Data)
			held.Store(&was)
			return nil
		})
		sent := l.Send(l.ada, "ben", "psst").ClientMessageID
		l.Until("the broker has pushed it", func() bool { return held.Load() != nil })
		l.grant(l.ben, localapi.VerbBlock, "ada")
		var acks atomic.Int32
		carols := l.carol.Mesh("team").Pubkey
		was := *held.Load()
		lies := [][]byte{was.with(t), was.with(t, "senderMemberPubkey", carols, "senderName", "carol"), was.with(t, "senderMemberPubkey", "", "targetKind", "everyone")}
		for _, lie := range lies {
			l.say(l.ben, lie)
		}
		link.Tap(func(f memnet.Frame) [][]byte {
			if f.Type == "client_ack" {
				acks.Add(1)
			}
			return f.Pass()
		})
		pass(time.Minute)
		l.wantShown(l.ben)
		if got := l.status(l.ada, string(sent)); got.State != mesh.StateAccepted || acks.Load() != 0 {
			t.Errorf("got %s and %d acknowledgements, want it accepted and none", got.State, acks.Load())
		}
	})
}

// A daemon that has lost its list learns from the broker whom it had blocked, and nothing that would let more through.
func TestGrantsAreLearnedAgain(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.grant(l.ben, localapi.VerbBlock, "ada")
		l.grant(l.ben, localapi.VerbGrant, "carol", mesh.CapFileRead)
		l.ben.Stop()
		l.forget(l.ben)
		l.ben.Start()
		l.wantOpen(l.ben)
		pass(time.Second)
		got, err := localapi.Grants.Do(t.Context(), l.ben, localapi.GrantsRequest{})
		l.must(err)
		if caps, ok := got.Grants[l.ada.Mesh("team").Pubkey]; len(got.Grants) != 1 || !ok || len(caps) != 0 {
			t.Errorf("got %+v, want ada blocked and no more", got)
		}
	})
}

// Whom the user of a TypeScript client has blocked is blocked at our daemon's first start, and after an unblock no more.
func TestOldBlocksAreTakenOver(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		adas := ada.Mesh("team").Pubkey
		ben.Stop()
		w.forget(ben)
		list := ben.Paths().Config.Grants()
		w.must(os.WriteFile(list, []byte(`{"team": {"`+string(adas)+`": [`), 0o600)) // cut off
		ben.Start()
		w.wantGrants(ben, mesh.Grants{})
		ben.Stop()
		w.must(os.WriteFile(list, []byte(`{"other": {"`+string(adas)+`": ["dm"]}, "team": {"`+string(adas)+`": ["fly"], "bob": []}}`), 0o600))
		ben.Start()
		w.wantOpen(ben)
		w.wantGrants(ben, mesh.Grants{adas: 0})
		w.wantPeers(ada, "ada")
		sent := w.Send(ada, "ben", "psst").ClientMessageID
		w.wantState(ada, sent, mesh.StateAccepted)
		w.grant(ben, localapi.VerbUnblock, "ada")
		w.wantTexts(ben, "psst")
		ben.Stop()
		ben.Start()
		w.wantGrants(ben, mesh.Grants{})
	})
}

func (w *world) wantGrants(h *Home, want mesh.Grants) {
	w.T.Helper()
	got, err := localapi.Grants.Do(w.T.Context(), h, localapi.GrantsRequest{})
	w.must(err)
	if diff := cmp.Diff(want.Lists(), got.Grants); diff != "" {
		w.T.Errorf("grants of %s (-want +got):\n%s", h.Name, diff)
	}
}

// kick ends a session until it is started again; its daemon goes on, and what it had to send ends with a reason (lessons
// 1.27).
func TestLesson127KickedSession(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		build := w.open(ben, "build")
		answer := w.moderate(ada, localapi.ModerateRequest{Verb: localapi.VerbDisconnect, Target: "build"})
		if !slices.Equal(answer.Affected, []string{"build"}) {
			t.Errorf("disconnect: got %+v", answer)
		}
		w.wantSessionOpen(build) // it comes back by itself
		w.Until("build is back", func() bool {
			answer := w.moderate(ada, localapi.ModerateRequest{Verb: localapi.VerbKick, Target: "build"})
			return slices.Equal(answer.Affected, []string{"build"})
		})
		w.Until("build is kicked", func() bool {
			me, err := localapi.SessionMe.Do(t.Context(), build, localapi.None{})
			return err == nil && me.Sessions[0].Status == "kicked"
		})
		w.refused(build, "ada", mesh.Kicked)
		w.Send(ben, "ada", "of the member")
		w.wantTexts(ada, "of the member")
		if answer := w.moderate(ada, localapi.ModerateRequest{Verb: localapi.VerbKick, Target: "ben"}); len(answer.Affected) != 0 || !slices.Equal(answer.SkippedControlPlane, []string{"ben"}) {
			t.Errorf("got %+v, want that the daemon is left alone", answer)
		}
		build = ben.Register("build", build)
		w.wantSessionOpen(build)
		w.Send(build, "ada", "of the session")
		w.wantTexts(ada, "of the member", "of the session")
	})
}

// A ban ends the sessions of a member with it, on its own side, too, and a session that is begun after the unban is let in
// (lessons 2.2.11, 4.7).
func TestLesson2211BannedSessions(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		build, docs := w.open(ben, "build"), w.open(ben, "docs")
		w.wantPeers(ada, "ada", "build", "docs")
		w.moderate(ada, localapi.ModerateRequest{Verb: localapi.VerbBan, Target: "build"}) // means its member
		w.wantPeers(ada, "ada")
		for _, s := range []*Session{build, docs} {
			w.Until(s.ID+" is banned", func() bool {
				me, err := localapi.SessionMe.Do(t.Context(), s, localapi.None{})
				return err == nil && me.Sessions[0].Status == "banned"
			})
			w.refused(s, "ada", mesh.Revoked)
		}
		w.moderate(ada, localapi.ModerateRequest{Verb: localapi.VerbUnban, Target: "ben"})
		build = ben.Register("build", build)
		w.wantSessionOpen(build)
		w.wantOpen(ben)
		w.Send(build, "ada", "sorry")
		w.wantTexts(ada, "sorry")
	})
}

// Changes of order are for the human: a session may not be talked into them (design E4).
func TestModerationIsForHumans(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, _ *Home) {
		one := w.open(ada, "one")
		if _, err := localapi.Moderate.Do(t.Context(), one, localapi.ModerateRequest{Verb: localapi.VerbBan, Target: "ben"}); !mesh.IsCode(err, mesh.HumanOnly) {
			t.Errorf("ban: got %v, want human_only", err)
		}
		if _, err := localapi.Grant.Do(t.Context(), one, localapi.GrantRequest{Verb: localapi.VerbBlock, Peer: "ben"}); !mesh.IsCode(err, mesh.HumanOnly) {
			t.Errorf("block: got %v, want human_only", err)
		}
		if _, err := localapi.Bans.Do(t.Context(), one, localapi.BansRequest{}); err != nil {
			t.Errorf("bans: %v", err)
		}
	})
}

// forget removes what the daemon of a home that is down has learned.
func (w *world) forget(h *Home) {
	w.T.Helper()
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(h.Paths().Daemon.DB() + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.T.Fatal(err)
		}
	}
}
