package rig

import (
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// A session whose host goes on with another conversation is another peer, with another key, in the same process: what comes to
// it is shown by the stream that is there, and to who follows its messages.
func TestAStreamGoesOnAsAnotherPeer(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		w.trusts(ben, "ada")
		work := w.open(ben, "work")
		shown, _ := listen(t, ben, work, localapi.Events, localapi.EventsRequest{Deliver: true, Paths: localapi.PathChannel})
		follows, _ := listen(t, ben, work, localapi.Events, localapi.EventsRequest{})
		key := func() mesh.Key {
			me, err := localapi.SessionMe.Do(t.Context(), work, localapi.None{})
			w.must(err)
			return me.Sessions[0].SessionPubkey
		}
		comes := func(to mesh.Key, text string) {
			t.Helper()
			w.Send(ada, string(to), text)
			for what, l := range map[string]*listener{"the session is shown ": shown, "who follows it hears ": follows} {
				w.Until(what+text, func() bool { return strings.Contains(string(l.bytes()), `"body":"`+text+`"`) })
			}
		}
		before := key()
		comes(before, "one")
		w.hook(work, localapi.HookRequest{Event: "SessionStart", SessionID: "work"})
		w.hook(work, localapi.HookRequest{Event: "SessionStart", SessionID: "branch", Source: "fork"})
		w.wantSessionOpen(work)
		if key() == before {
			t.Fatal("the session is the same peer after a fork")
		}
		comes(key(), "two")
	})
}
