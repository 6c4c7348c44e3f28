package ipc

import (
	"context"
	"slices"
	"sync"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// bell tells all who wait for it, once each time that it rings.
type bell struct {
	mu   *sync.Mutex
	rung *chan struct{}
}

func newBell() bell {
	rung := make(chan struct{})
	return bell{&sync.Mutex{}, &rung}
}

// next is closed when the bell rings. Take it before reading what it is about.
func (b bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return *b.rung
}

func (b bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(*b.rung)
	*b.rung = make(chan struct{})
}

// stopped reports whether the human has paused, or muted, what a row is: a message of that member, to that group, or in that
// mesh.
func stopped(all []localdb.Pause, mute bool, r inbox.Row) bool {
	return slices.ContainsFunc(all, func(p localdb.Pause) bool {
		return p.Mute == mute && (p.MeshID == "" || p.MeshID == r.MeshID) && (p.Member == "" || p.Member == r.SenderMember || p.Member == r.Sender) &&
			(p.Group == "" || p.Group == node.GroupOf(r.Topic))
	})
}

// pauseRoutes answer about what is paused or muted.
type pauseRoutes struct{ *Server }

func (s pauseRoutes) list(ctx context.Context, _ caller, _ localapi.None) (localapi.PausesAnswer, error) {
	return node.Pauses{Node: s.Node}.List(ctx)
}

func (s pauseRoutes) begin(ctx context.Context, _ caller, req localapi.PauseRequest) (localapi.PausesAnswer, error) {
	return node.Pauses{Node: s.Node}.Begin(ctx, req, s.Now())
}

func (s pauseRoutes) end(ctx context.Context, _ caller, req localapi.PauseRequest) (localapi.PausesAnswer, error) {
	answer, err := node.Pauses{Node: s.Node}.End(ctx, req)
	if err == nil {
		letThrough(s.Server)
	}
	return answer, err
}

// letThrough has everybody look again, from the oldest message on, who may show more than before.
func letThrough(s *Server) {
	inbox.OfferingsOf(s.Inbox).Afresh()
	s.opened.ring()
}
