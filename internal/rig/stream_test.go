package rig

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/claudemesh/claudemesh/internal/daemon/ipc"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// listener keeps what a stream of events writes (http.ResponseWriter).
type listener struct {
	header http.Header
	began  chan struct{} // closed with the first thing that is written
	once   sync.Once

	mu   sync.Mutex
	text bytes.Buffer
}

func (l *listener) Header() http.Header { return l.header }

func (l *listener) WriteHeader(int) {}

// Flush lets what was written leave (http.Flusher).
func (l *listener) Flush() {}

func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.once.Do(func() { close(l.began) })
	return l.text.Write(p)
}

// listen follows a stream as the user, or as one of its sessions, until the test ends, the stream does, or its daemon.
func listen[Req any](t *testing.T, h *Home, as *Session, c localapi.Call[Req, localapi.None], req Req) (l *listener, ended <-chan struct{}) {
	t.Helper()
	r, err := c.Request(req)
	h.rig.must(err)
	who, token := registry.Caller{UID: os.Getuid()}, ""
	if as != nil {
		who.PID, token = os.Getpid(), as.Token
	}
	ctx, cancel := context.WithCancel(t.Context())
	l, done := &listener{header: http.Header{}, began: make(chan struct{})}, make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		gone := h.enter(ctx, func(ctx context.Context, s *ipc.Server) { err = s.As(who, token).Serve(ctx, l, r) })
		if err := cmp.Or(err, gone); err != nil {
			t.Errorf("the stream ended with %v", err)
		}
	}()
	<-l.began
	return l, done
}

// bytes is what was written.
func (l *listener) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.text.Bytes())
}

// receipts lists the events of receipts, as state and whether the reader said so.
func (l *listener) receipts(t *testing.T) (all []string) {
	t.Helper()
	for _, r := range events[localapi.ReceiptEvent](t, l.bytes(), localapi.EventReceipt) {
		all = append(all, fmt.Sprint(r.Recipient.State, " ", r.Recipient.Verified))
	}
	return all
}
