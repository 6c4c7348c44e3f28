package rig

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// A session to which its host gave no id leaves no key behind, a day after its end; one that runs keeps its own, and is who it
// was, however long it says nothing (design C5).
func TestKeysOfSessionsWithoutAnID(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		dir, err := ada.Paths().Config.SessionKeys(ada.Mesh("team").MeshID)
		w.must(err)
		keys := func() int {
			files, err := filepath.Glob(filepath.Join(dir, "*.json"))
			w.must(err)
			return len(files)
		}
		ended, stays := w.open(ada, mesh.NewToken()), w.open(ada, mesh.NewToken())
		w.close(ended)
		if n := keys(); n != 2 {
			t.Fatalf("got %d keys of sessions, want two", n)
		}
		for _, c := range []*Clock{ada.Clock, ben.Clock, w.broker.Clock} {
			c.Turn(25 * time.Hour)
		}
		ada.Stop()
		ada.Start()
		w.wantSessionOpen(stays)
		w.Until("the key of the session that ended is gone", func() bool { return keys() == 1 })
		me, err := localapi.SessionMe.Do(t.Context(), stays, localapi.None{})
		if err != nil || len(me.Sessions) != 1 || me.Sessions[0].SessionPubkey != stays.Key {
			t.Errorf("got %+v, %v, want the session %s", me, err, stays.Key)
		}
	})
}

// A session goes on when its user leaves a mesh and joins it again: as another member, with another key (design C4).
func TestSessionOfWhoLeftAndJoinedAgain(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		work := w.open(ben, "work")
		w.Send(ada, "work", "before")
		w.wantTexts(work, "before")
		_, err := localapi.MeshLeave.Do(t.Context(), ben, localapi.MeshLeaveRequest{Slug: "team"})
		w.must(err)
		w.wantPeers(ada, "ada")
		ada.Join("team", ben)
		w.wantOpen(ben)
		w.wantSessionOpen(work)
		w.wantPeers(ada, "ada", "work")
		me, err := localapi.SessionMe.Do(t.Context(), work, localapi.None{})
		if err != nil || len(me.Sessions) != 1 || me.Sessions[0].SessionPubkey == work.Key {
			t.Fatalf("got %+v, %v, want the session under another key", me, err)
		}
		w.Send(work, "ada", "here again")
		w.wantTexts(ada, "here again")
	})
}
