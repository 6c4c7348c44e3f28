package rig

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Sessions of one daemon and folder see each other, once each, as others see them; each has a key of its own.
func TestLesson11SiblingsSeeEachOther(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one, two, three := w.open(ada, "one"), w.open(ada, "two"), w.open(ada, "three")
		for _, viewer := range []localapi.Doer{one, two, three, ada, ben} {
			w.wantPeers(viewer, "ben", "one", "two", "three")
			keys := map[mesh.Key]bool{w.row(viewer, "one").Pubkey: true, w.row(viewer, "two").Pubkey: true, w.row(viewer, "three").Pubkey: true}
			if len(keys) != 3 || !keys[one.Key] || !keys[two.Key] || !keys[three.Key] {
				t.Errorf("got the keys %v, want those of the three", keys)
			}
		}
		w.close(two)
		w.wantPeers(one, "ben", "one", "three")
		w.wantPeers(three, "ben", "one", "three")
	})
}

// What a registration answers is what the daemon has: it can be read back. One that is refused says so, and leaves nothing.
func TestLesson12RegistrationIsReadBack(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, _ *Home) {
		s := w.open(ada, "one")
		me, err := localapi.SessionMe.Do(t.Context(), s, localapi.None{})
		w.must(err)
		if me.SessionID != "one" || len(me.Sessions) != 1 || me.Sessions[0].SessionPubkey != s.Key || me.Sessions[0].Mesh != "team" {
			t.Errorf("got %+v, want what the registration answered", me)
		}
		for name, spoil := range map[string]func(*localapi.RegisterRequest){
			"no id":            func(r *localapi.RegisterRequest) { r.SessionID = "" },
			"another process":  func(r *localapi.RegisterRequest) { r.PID = os.Getppid() + 1<<21 },
			"no mesh of ours":  func(r *localapi.RegisterRequest) { r.Mesh = "nowhere" },
			"another's, alive": func(r *localapi.RegisterRequest) { r.SessionID, r.OldToken = "one", "wrong" },
		} {
			req := ada.registration("two", nil)
			spoil(&req)
			if err := (&Session{ID: "two", home: ada}).register(req); err == nil {
				t.Errorf("%s: got no error", name)
			}
		}
		all, err := localapi.Sessions.Do(t.Context(), ada, localapi.None{})
		w.must(err)
		if len(all.Sessions) != 1 || all.Sessions[0].SessionID != "one" {
			t.Errorf("got %+v, want the first one alone", all.Sessions)
		}
	})
}

// The beginning of a key is the whole key before anything is sent, and what nobody has is refused at once: nothing of it
// waits in the outbox.
func TestLesson15BeginningsOfKeys(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		key := string(ben.Mesh("team").Pubkey)
		for _, to := range []string{key[:16], strings.ToUpper(key[:20]), key} {
			w.Send(ada, to, "to "+to[:16])
		}
		w.wantTexts(ben, "to "+key[:16], "to "+strings.ToUpper(key[:16]), "to "+key[:16])
		next := map[bool]string{true: "1", false: "0"}[key[16] == '0'] // not ben's
		for _, to := range []string{key[:15], key[:16] + next, strings.Repeat("0", 16), "be"} {
			_, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{To: to, Message: "?"})
			if code := mesh.CodeOf(err); code != mesh.TargetNotFound && code != mesh.BadRequest {
				t.Errorf("%s: got %v, want %s", to, err, mesh.TargetNotFound)
			}
		}
		if got := w.outbox(ada); got["done"] != 3 || len(got) != 1 {
			t.Errorf("got the outbox %v, want three messages that are done", got)
		}
	})
}

// A name that one mesh has goes there, whichever that is; one that two have is refused with both, and --mesh decides.
func TestLesson16NamesAmongMeshes(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		second := w.Broker(there, nil)
		ada.Found(second, "other")
		cy, other := w.Home("cy", nil), w.Home("ben2", nil)
		ada.Join("other", cy)
		other.Name = "ben"
		ada.Join("other", other)
		w.Send(ada, "cy", "found")
		w.wantTexts(cy, "found")
		var refusal *mesh.Error
		_, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{To: "ben", Message: "?"})
		if !errors.As(err, &refusal) || refusal.Code != mesh.AmbiguousTarget {
			t.Fatalf("got %v, want %s", err, mesh.AmbiguousTarget)
		}
		got := map[string]mesh.Key{}
		for _, c := range refusal.Details.Candidates {
			got[c.Mesh] = c.Key
		}
		if diff := cmp.Diff(map[string]mesh.Key{"team": ben.Mesh("team").Pubkey, "other": other.Mesh("other").Pubkey}, got); diff != "" {
			t.Errorf("candidates (-want +got):\n%s", diff)
		}
		_, err = localapi.Send.Do(t.Context(), ada, localapi.SendRequest{To: "ben", Message: "narrowed", Mesh: "other"})
		w.must(err)
		w.wantTexts(other, "narrowed")
		if got := w.Texts(ben); len(got) != 0 {
			t.Errorf("the other ben got %q", got)
		}
	})
}

// A name is never that of a daemon: where a session has it the session gets the message, in whatever case it is written,
// and the daemons are in no list but that of all.
func TestLesson17NamesAreNeverDaemons(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		req := ada.registration("one", nil)
		req.DisplayName = "ada-work"
		one := &Session{ID: "one", home: ada}
		w.must(one.register(req))
		w.wantSessionOpen(one)
		w.wantPeers(ben, "ben", "ada-work")
		w.Send(ben, "ADA-work", "to the session")
		w.wantTexts(one, "to the session")
		if got := w.Inbox(one)[0]; got.RecipientPubkey != one.Key {
			t.Errorf("got %+v, want the session as its recipient", got)
		}
		all, err := localapi.Peers.Do(t.Context(), ben, localapi.PeersRequest{All: true})
		w.must(err)
		daemons := slices.DeleteFunc(all.Peers, func(p localapi.Peer) bool { return p.PeerRole != mesh.ControlPlane })
		if len(daemons) != 2 {
			t.Errorf("got %d daemons in the list of all, want 2", len(daemons))
		}
	})
}

// What a connection is and what its user calls its role are two fields, and neither is made of the other.
func TestLesson18RolesAreTwo(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		req := ada.registration("one", nil)
		req.Role = "control-plane"
		one := &Session{ID: "one", home: ada}
		w.must(one.register(req))
		w.wantSessionOpen(one)
		w.wantPeers(ben, "ben", "one")
		if p := w.row(ben, "one"); p.PeerRole != mesh.SessionRole || p.Role != "control-plane" {
			t.Errorf("got %s, which calls itself %q; want a session that keeps its word", p.PeerRole, p.Role)
		}
		w.Send(ben, "one", "as to any other")
		w.wantTexts(one, "as to any other")
	})
}

// A list of one mesh has none of another's, and one of a mesh that is not joined is refused.
func TestLesson128PeersOfOneMesh(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, _ *Home) {
		second := w.Broker(there, nil)
		ada.Found(second, "other")
		cy := w.Home("cy", nil)
		ada.Join("other", cy)
		for slug, want := range map[string][]string{"team": {"ada", "ben"}, "other": {"ada", "cy"}, "": {"ada", "ada", "ben", "cy"}} {
			answer, err := localapi.Peers.Do(t.Context(), ada, localapi.PeersRequest{Mesh: slug})
			w.must(err)
			var got []string
			for _, p := range answer.Peers {
				got = append(got, p.DisplayName)
			}
			if diff := cmp.Diff(want, sorted(got)); diff != "" {
				t.Errorf("%q (-want +got):\n%s", slug, diff)
			}
		}
		if _, err := localapi.Peers.Do(t.Context(), ada, localapi.PeersRequest{Mesh: "third"}); !mesh.IsCode(err, mesh.MeshNotAttached) {
			t.Errorf("got %v, want %s", err, mesh.MeshNotAttached)
		}
	})
}

// Who asks or sends is no peer for it: nobody hears of anybody, the list stays what it was, and nothing of it lingers.
func TestLesson232VerbsAreNoPeers(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		heard := w.listen(ben)
		for range 3 {
			w.Send(ada, "ben", "hi")
			w.wantPeers(ada, "ada", "ben")
			_, err := localapi.PingBrokers.Do(t.Context(), ada, localapi.PingRequest{})
			w.must(err)
			_, err = localapi.Info.Do(t.Context(), ada, localapi.InfoRequest{})
			w.must(err)
			w.Inbox(ada)
		}
		answer, err := localapi.Peers.Do(t.Context(), ben, localapi.PeersRequest{All: true, Offline: true})
		w.must(err)
		rows := map[string]int{}
		for _, p := range answer.Peers {
			rows[p.DisplayName+" "+string(p.PeerRole)]++
		}
		if diff := cmp.Diff(map[string]int{"ada control-plane": 1, "ada session": 1, "ben control-plane": 1, "ben session": 1}, rows); diff != "" {
			t.Errorf("daemons, and the users for whom they stand (-want +got):\n%s", diff)
		}
		if got := heard(); len(got) != 0 {
			t.Errorf("ben heard %q", got)
		}
	})
}
