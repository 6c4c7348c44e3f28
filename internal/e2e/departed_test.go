//go:build unix

package e2e

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// What a session sent while the broker was away is its own, though it has ended since and its daemon was killed.
func TestMessagesOutliveTheirSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.pair()
	s := ben.open(uuid.NewString())
	key := s.whoami().Key
	s.must("send", string(anna.key()), "before", "--wait")
	anna.broker().kill(t)
	s.must("send", string(anna.key()), "after")
	s.close()
	ben.eventually("the session has ended", func() bool { return len(ben.sessions()) == 0 })
	ben.daemon().kill(t)
	ben.must("daemon", "up")
	anna.must("up")
	anna.eventually("both have come", func() bool { return len(anna.texts()) == 2 })
	var rows []struct {
		Sender   mesh.Key `json:"sender_pubkey"`
		Verified bool     `json:"verified"`
	}
	anna.ask(&rows, "inbox", "--peek")
	for _, r := range rows {
		if r.Sender != key || !r.Verified {
			t.Errorf("got %+v, want messages that session %s signed", r, key)
		}
	}
	anna.eventually("it is on no list", func() bool {
		var peers []peerRow
		anna.ask(&peers, "peers")
		return !slices.ContainsFunc(peers, func(p peerRow) bool { return p.Key == key })
	})
}
