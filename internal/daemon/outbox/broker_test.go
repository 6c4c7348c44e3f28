package outbox

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// scripted is a Route to a broker that keeps the rules of a real one, and does to single frames what a script says.
type scripted struct {
	mu       sync.Mutex
	closed   map[mesh.Key]bool // connections that are not open
	barred   map[mesh.Key]mesh.Code
	changed  chan struct{}
	limits   protocol.Limits
	delay    time.Duration                                // until an ack comes
	script   func(try int, r protocol.SendRequest) answer // try counts from 1 per client id; nil accepts all
	tries    map[mesh.ClientID]int
	accepted []mesh.ClientID // in order
	known    map[mesh.ClientID]mesh.ID
	frames   []sent
	flying   map[string]int // frames without an ack, by target
	most     map[string]int // the highest flying was
	lanes    int            // the most targets with frames without an ack at once
}

type sent struct {
	sender mesh.Key
	req    protocol.SendRequest
	at     time.Time
}

// answer is what the script does to a frame. The zero answer accepts.
type answer struct {
	code    mesh.Code     // refuse
	retry   time.Duration // with rate_limit
	lost    bool          // accept, but lose the ack: the reply waits for ever
	dropped bool          // lose the frame: the reply waits for ever
	err     error         // the reply fails, the frame is lost
	unsent  error         // the frame cannot be written
	onAck   func()        // when the ack is given
}

func newScripted() *scripted {
	return &scripted{
		closed: map[mesh.Key]bool{}, changed: make(chan struct{}), delay: time.Millisecond,
		limits: protocol.Limits{SendPerSecond: 1e6, SendBurst: 1e6, SendWindow: 64},
		tries:  map[mesh.ClientID]int{}, known: map[mesh.ClientID]mesh.ID{},
		flying: map[string]int{}, most: map[string]int{},
	}
}

func (s *scripted) Barred(sender mesh.Key) mesh.Code {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.barred[sender]
}

func (s *scripted) Open(sender mesh.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed[sender]
}

func (s *scripted) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *scripted) Limits() protocol.Limits {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limits
}

// set changes the route and tells of it.
func (s *scripted) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *scripted) Send(ctx context.Context, sender mesh.Key, req protocol.SendRequest) (Reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = append(s.frames, sent{sender, req, time.Now()})
	s.tries[req.ClientMessageID]++
	var a answer
	if s.script != nil {
		a = s.script(s.tries[req.ClientMessageID], req)
	}
	if a.unsent != nil {
		return nil, a.unsent
	}
	s.flying[req.TargetSpec]++
	s.most[req.TargetSpec] = max(s.most[req.TargetSpec], s.flying[req.TargetSpec])
	busy := 0
	for _, n := range s.flying {
		busy += min(n, 1)
	}
	s.lanes = max(s.lanes, busy)
	ack := s.take(req, a)
	due := time.Now().Add(s.delay)
	return func(ctx context.Context) (protocol.Ack, error) {
		defer s.landed(req.TargetSpec)
		wait := time.After(time.Until(due))
		if a.lost || a.dropped {
			wait = nil
		}
		select {
		case <-ctx.Done():
			return protocol.Ack{}, ctx.Err()
		case <-wait:
		}
		if a.onAck != nil {
			a.onAck()
		}
		return ack, a.err
	}, nil
}

func (s *scripted) landed(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying[target]--
}

// take is the broker's decision, in the order of the frames.
func (s *scripted) take(req protocol.SendRequest, a answer) protocol.Ack {
	id := req.ClientMessageID
	refuse := func(code mesh.Code, retry time.Duration) protocol.Ack {
		return protocol.Ack{ID: req.ID, Code: code, Error: mesh.AckText(mesh.Errorf(code, "scripted")), RetryMs: retry.Milliseconds()}
	}
	switch {
	case a.dropped, a.err != nil:
		return protocol.Ack{}
	case s.known[id] != "":
		return protocol.Ack{ID: req.ID, MessageID: s.known[id], Queued: true, Duplicate: true}
	case req.After != "" && s.known[req.After] == "":
		return refuse(mesh.OutOfOrder, 0)
	case a.code != "":
		return refuse(a.code, a.retry)
	}
	s.known[id] = mesh.ID(fmt.Sprintf("bm-%d", len(s.accepted)+1))
	s.accepted = append(s.accepted, id)
	return protocol.Ack{ID: req.ID, MessageID: s.known[id], Queued: true, Recipients: 1}
}

// order gives the accepted ids that went to a target's rows, which the ids name by their prefix.
func (s *scripted) order(prefix string) []mesh.ClientID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []mesh.ClientID
	for _, id := range s.accepted {
		if len(id) >= len(prefix) && string(id[:len(prefix)]) == prefix {
			ids = append(ids, id)
		}
	}
	return ids
}

// sendTimes gives when each try of a message was written.
func (s *scripted) sendTimes(id mesh.ClientID) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var at []time.Time
	for _, f := range s.frames {
		if f.req.ClientMessageID == id {
			at = append(at, f.at)
		}
	}
	return at
}
