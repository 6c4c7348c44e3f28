// Package presence keeps what others see of who is in a mesh: places that outlive a broken connection for a while,
// statuses by rank of their source, summaries, profiles, and the events that tell of coming and going (wire 2.4, 6, 7).
// The rules are in a pure core; Presence is the core with a lock, a clock and a store.
package presence

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Outbound is the sending end of a connection. Its methods never block and may be called from any goroutine.
type Outbound interface {
	Send(frame []byte) bool // false: the buffer is full, or the connection over
	Close(code mesh.CloseCode, reason string)
}

// Options are what a Presence works with. All fields are required.
type Options struct {
	DB       *sqlite.DB
	Settings config.Broker
	Now      mesh.Clock
	Log      *slog.Logger
	// SetStatus tells delivery what a peer is doing; it must not block.
	SetStatus func(mesh.ConnID, mesh.Status)
	// Sees reports whether a member lets the holder of these keys see it; the session key may be empty. It must not block.
	Sees func(member mesh.ID, by, session mesh.Key) bool
}

// Presence is who is here. Its methods may be called from any goroutine; Entered, Left and Dropped are called in the
// order in which connections come and go.
type Presence struct {
	opt Options

	mu       sync.Mutex // guards what follows; nothing waits under it
	book     *book
	expected map[mesh.ConnID]arrival
	unsaved  map[seat]saved // in place of what the store has
	wake     chan struct{}  // holds a token while something is unsaved
}

// arrival is what is known of a connection whose hello is being answered.
type arrival struct {
	proved bool
	told   Told
	saved  *past // what it had told of itself when it was here last
}

// New returns a Presence of nobody. Load and Run follow.
func New(opt Options) *Presence {
	set := opt.Settings
	return &Presence{
		opt:      opt,
		book:     newBook(Rules{Fresh: set.StatusFresh, TTL: set.StatusTTL}, set.PresenceLease, set.MemberConnections, opt.Sees),
		expected: map[mesh.ConnID]arrival{}, unsaved: map[seat]saved{}, wake: make(chan struct{}, 1),
	}
}

// Expect looks up what a connection whose hello is about to be answered was before, and puts it into the connection
// and the answer. Proved says that it said session_hello. Entered or Forget follows.
func (p *Presence) Expect(ctx context.Context, c *hub.Conn, proved bool, told Told, answer *protocol.HelloAnswer) error {
	p.mu.Lock()
	e := p.book.find(*c)
	if e != nil { // it comes back to its place: nothing is restored (wire 2.4)
		c.Status, answer.RestoredGroups = e.Mood.Status, nil
		if len(c.Groups) == 0 && !c.Go {
			c.Groups, c.Presence.Groups = e.Groups, e.Presence.Groups
		}
		p.expected[c.ID] = arrival{proved: proved, told: told}
	}
	p.mu.Unlock()
	if e != nil {
		return nil
	}
	was, err := p.recall(ctx, *c, proved)
	if err != nil {
		return err
	}
	if was != nil {
		was.restore(c, answer)
	}
	p.mu.Lock()
	p.expected[c.ID] = arrival{proved, told, was}
	p.mu.Unlock()
	return nil
}

// Forget drops what was expected of a connection that did not come in after all.
func (p *Presence) Forget(id mesh.ConnID) {
	p.mu.Lock()
	delete(p.expected, id)
	p.mu.Unlock()
}

// Entered notes that a connection is in: its hello_ack is on its way.
func (p *Presence) Entered(c hub.Conn, out Outbound) {
	now := p.opt.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.expected[c.ID]
	delete(p.expected, c.ID)
	peer := Peer{Conn: c, Proved: a.proved, Told: a.told}
	var back *protocol.PeerEvent
	if a.saved != nil {
		back = a.saved.apply(&peer, now)
	}
	old := p.book.find(c)
	known := old != nil && old.same(&peer)
	e, evicted := p.book.enter(peer, out, back, now)
	if evicted != nil {
		p.save(evicted, false)
	}
	if a.saved != nil && a.saved.seat != e.seat {
		p.note(saved{seat: a.saved.seat, gone: true}) // it goes on under another key
	}
	if e.Status != c.Status {
		p.opt.SetStatus(e.ID, e.Status)
	}
	if !known {
		p.save(e, true)
	}
	p.publish()
}

// Left notes that a connection is over, c as it was at the end. Deliberate: its presence is too; else it has the lease
// to come back. Of a connection that was replaced there is nothing to note.
func (p *Presence) Left(c hub.Conn, deliberate bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed, ended := p.book.leave(c, deliberate, p.opt.Now())
	if changed != nil {
		p.save(changed, true)
	}
	p.ended(ended)
}

// Dropped notes that a membership ended: so do all its presences, also those without a connection.
func (p *Presence) Dropped(meshID, member mesh.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended(p.book.drop(meshID, member))
}

// ended saves what is left of presences and tells the others. p.mu is held.
func (p *Presence) ended(all []*entry) {
	for _, e := range all {
		p.save(e, false)
	}
	p.publish()
}

// Audience is whom a message to many may reach: the connections given, without those that hide, and the presences
// that wait for their connection (design D1), each once; and the members of whom nothing but what hides is here. A
// connection may have come or gone since the list was made: of its member nothing hides because of that.
func (p *Presence) Audience(meshID mesh.ID, conns []hub.Conn) (present []*hub.Conn, hidden []mesh.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	present = make([]*hub.Conn, 0, len(conns))
	shown, last := map[mesh.ID]bool{}, mesh.ID("")
	show := func(member mesh.ID) {
		if member != last { // many sessions of one member cost one look
			last = member
			shown[last] = true
		}
	}
	for i := range conns {
		if e := p.book.conns[conns[i].ID]; e == nil || !e.Hidden {
			present = append(present, &conns[i])
			show(conns[i].Member)
		}
	}
	var listed map[mesh.Key]bool
	for _, e := range p.book.everybody(meshID) {
		if e.Hidden {
			continue
		}
		show(e.Member)
		if e.out != nil {
			continue
		}
		if listed == nil {
			listed = keysOf(conns)
		}
		if away := e.Conn; !listed[away.SessionKey] { // it may come back meanwhile
			present = append(present, &away)
		}
	}
	for _, e := range p.book.everybody(meshID) {
		if e.Member != last && !shown[e.Member] {
			last = e.Member
			hidden, shown[last] = append(hidden, last), true
		}
	}
	return present, hidden
}

// keysOf are the session keys of connections.
func keysOf(conns []hub.Conn) map[mesh.Key]bool {
	all := make(map[mesh.Key]bool, len(conns))
	for i := range conns {
		if conns[i].SessionKey != "" {
			all[conns[i].SessionKey] = true
		}
	}
	return all
}

// Complete gives the presences behind connections, and those that wait for theirs; a connection that is not noted yet
// is given as it is. In the order of the connections, then of coming.
func (p *Presence) Complete(meshID mesh.ID, conns []hub.Conn) []Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Peer, 0, len(conns))
	for _, c := range conns {
		peer := Peer{Conn: c}
		if e := p.book.conns[c.ID]; e != nil {
			peer = e.Peer
			peer.Conn, peer.ConnectedAt, peer.Status = c, e.ConnectedAt, e.Status
		}
		out = append(out, peer)
	}
	for _, e := range p.book.everybody(meshID) {
		if e.out == nil {
			out = append(out, e.Peer)
		}
	}
	return out
}

// publish sends the news that were gathered. Who does not take it is a slow consumer. p.mu is held.
func (p *Presence) publish() {
	for _, n := range p.book.news {
		frame, err := n.frame(p.opt.Now())
		if err != nil {
			p.opt.Log.Error("event not encoded", slog.String(logkey.Topic, n.name), slog.Any(logkey.Err, err))
			continue
		}
		for _, e := range n.to {
			if !e.out.Send(frame) {
				e.out.Close(mesh.CloseSlowConsumer, string(mesh.SlowConsumer))
			}
		}
	}
	clear(p.book.news)
	p.book.news = p.book.news[:0]
}

// frame encodes an event (wire 6).
func (n news) frame(now time.Time) ([]byte, error) {
	data, err := encodeData(n.data)
	if err != nil {
		return nil, err
	}
	return protocol.Push.Encode(protocol.PushedMessage{
		MessageID: mesh.NewID(), MeshID: n.mesh, SenderPubkey: protocol.SystemSender, Priority: mesh.Low, CreatedAt: mesh.FormatTime(now),
		Subtype: protocol.SubtypeSystem, Event: n.name, EventData: data,
	})
}

// Run ends leases, lets statuses decay and saves what changed, until ctx ends; then it saves once more, and who is here
// keeps the place for the next process.
func (p *Presence) Run(ctx context.Context) {
	set := p.opt.Settings
	tick := time.NewTicker(max(10*time.Millisecond, min(time.Second, cmp.Or(set.PresenceLease, time.Second)/8, set.StatusTTL/8)))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			p.flush(context.WithoutCancel(ctx))
			return
		case <-tick.C:
			p.tick()
		case <-p.wake:
			p.flush(ctx)
		}
	}
}

func (p *Presence) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	ended, idle := p.book.tick(p.opt.Now())
	for _, e := range idle {
		if e.out != nil {
			p.opt.SetStatus(e.ID, e.Status)
		}
		p.save(e, true)
	}
	p.ended(ended)
}
