//go:build unix

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// What is written to one session at once: two senders with some streams each, and the messages of a stream.
const (
	streams = 10
	burst   = 100
	all     = 2 * streams * burst
)

// Two thousand messages to one session are two thousand notifications: each once, and in the order in which its sender
// queued them.
func TestBurstIntoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben, carl := w.home("anna"), w.home("ben"), w.home("carl")
	for _, name := range []string{"SEND_PER_SECOND", "SEND_BURST", "PAIR_ROWS"} {
		anna.env = append(anna.env, "CLAUDEMESH_BROKER_"+name+"=100000")
	}
	anna.wakesAlways()
	anna.must("up")
	link := anna.link()
	ben.must("join", link)
	carl.must("join", link)
	s := anna.open(uuid.NewString())
	key := s.whoami().Key
	began := time.Now()
	var senders sync.WaitGroup
	for i := range 2 * streams {
		h := []*home{ben, carl}[i%2]
		senders.Go(func() {
			if err := h.pour(key, fmt.Sprintf("stream %d", i)); err != nil {
				t.Errorf("%s: %v", h.user, err)
			}
		})
	}
	senders.Wait()
	sent := time.Since(began)
	eventually(t, "everything is shown", func() bool { return len(s.shown.list()) >= all })
	took := time.Since(began)
	t.Logf("%d messages: queued in %s, shown in %s", all, sent.Round(time.Millisecond), took.Round(time.Millisecond))
	next := map[string]int{}
	for _, n := range s.shown.list() {
		from, text, _ := strings.Cut(n.Content, ": ")
		stream, number, _ := strings.Cut(text, " message ")
		if stream = from + " " + stream; number != fmt.Sprint(next[stream]) {
			t.Fatalf("after %d messages of %s it is shown %q", next[stream], stream, n.Content)
		}
		next[stream]++
	}
	if len(next) != 2*streams || len(s.shown.list()) != all {
		t.Errorf("shown are %d messages of %d streams, want %d of %d", len(s.shown.list()), len(next), all, 2*streams)
	}
}

// pour sends the messages of a stream over the daemon's socket, each when the one before is queued.
func (h *home) pour(to mesh.Key, stream string) error {
	client := local.New(h.paths.Daemon.Socket(), time.Now)
	defer func() { _ = client.Close() }() // all its answers have been read
	ctx, cancel := context.WithTimeout(context.Background(), verbTime)
	defer cancel()
	for i := range burst {
		if _, err := localapi.Send.Do(ctx, client, localapi.SendRequest{To: string(to), Message: fmt.Sprintf("%s message %d", stream, i)}); err != nil {
			return fmt.Errorf("send %d: %w", i, err)
		}
	}
	return nil
}

// wakesAlways lets others wake the sessions of a home as often as they like; call it before its daemon starts.
func (h *home) wakesAlways() {
	h.t.Helper()
	mkdir(h.t, filepath.Dir(h.paths.Config.Settings()))
	write(h.t, h.paths.Config.Settings(), `{"wake_minute": 0, "wake_hour": 0, "wake_hour_tokens": 0, "wake_session_hour": 0, "wake_alternating": 0}`)
}
