// Package hub decides what goes to which connection: mailboxes, leases and their timing. It is a pure core:
// inputs in, effects out, without I/O, clock, goroutine or lock. Package queue owns it.
package hub

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Mailbox is where copies of messages wait: a member's own, or that of one of its sessions (design D1).
type Mailbox struct {
	Member  mesh.ID
	Session mesh.Key // empty for the member's own
}

// Row is one copy of a message that waits.
type Row struct {
	N        int64 // order of acceptance; no two messages share it
	ID       mesh.ID
	ClientID mesh.ClientID
	Urgent   bool   // pushed whatever the recipient does
	Frame    []byte // the push; nil where it must be read from the store, and in a Finish

	// The hub only passes these on.
	Sender Sender
	Bytes  int64 // charged to the recipient while the row waits
}

// Sender is who sent a row.
type Sender struct {
	N      int64 // number of the member in the store
	Member mesh.ID
}

// Placed is a row that was just stored.
type Placed struct {
	Box Mailbox
	Row Row
}

// Options are the bounds of what is on its way to one connection.
type Options struct {
	Lease time.Duration // after which an unacknowledged push is pushed again
	Rows  int           // unacknowledged pushes
	Bytes int           // and their frames together; the one that crosses it still goes
	Held  int           // bytes of frames, of all connections, that wait in memory for room; what is over is read from the store
}

// Hub knows the connections, and of each mailbox that has one, what was pushed and what still waits in the
// store. Each input returns its effects, in the order in which they are to be done; the slice is valid until
// the next input.
type Hub struct {
	opt    Options
	conns  map[ConnID]*conn
	meshes map[mesh.ID][]*conn // by id
	lists  map[mesh.ID][]Conn  // as they were given out, until something in them changes
	boxes  map[Mailbox]*box
	memory memory
	out    []Effect
}

// New returns a hub without connections.
func New(opt Options) *Hub {
	return &Hub{opt: opt, conns: map[ConnID]*conn{}, meshes: map[mesh.ID][]*conn{}, lists: map[mesh.ID][]Conn{}, boxes: map[Mailbox]*box{}, memory: memory{most: opt.Held}}
}

// Attach registers a connection and drains its mailboxes. One with the same session key, or without one but
// with the same member and session id, is closed: it was replaced. Its leases end.
func (h *Hub) Attach(now time.Time, c Conn) []Effect {
	h.begin()
	if old := h.boxes[Mailbox{Member: c.Member, Session: c.SessionKey}].replacedBy(&c); old != nil {
		h.out = append(h.out, Effect{Kind: Close, Conn: old.ID, Code: mesh.CloseNormal, Reason: mesh.ReasonReplaced})
		h.remove(now, old)
	}
	n := &conn{Conn: c}
	h.conns[c.ID] = n
	peers := h.meshes[c.Mesh]
	i, _ := slices.BinarySearchFunc(peers, n, byID)
	h.meshes[c.Mesh] = slices.Insert(peers, i, n)
	delete(h.lists, c.Mesh)
	h.join(now, n, Mailbox{Member: c.Member})
	if c.SessionKey != "" {
		h.join(now, n, Mailbox{Member: c.Member, Session: c.SessionKey})
	}
	return h.out
}

// Detach forgets a connection. Its leases end, and the next connection gets what it had not acknowledged.
func (h *Hub) Detach(now time.Time, id ConnID) []Effect {
	h.begin()
	if c := h.conns[id]; c != nil {
		h.remove(now, c)
	}
	return h.out
}

// Close closes and forgets the connections of a mesh for which which holds.
func (h *Hub) Close(now time.Time, meshID mesh.ID, which func(*Conn) bool, code mesh.CloseCode, reason string) []Effect {
	h.begin()
	for _, c := range slices.Clone(h.meshes[meshID]) {
		if which(&c.Conn) {
			h.out = append(h.out, Effect{Kind: Close, Conn: c.ID, Code: code, Reason: reason})
			h.remove(now, c)
		}
	}
	return h.out
}

// OfMember is for Close: all connections of a member.
func OfMember(member mesh.ID) func(*Conn) bool {
	return func(c *Conn) bool { return c.Member == member }
}

// Insert hands over rows that were just stored, in the order of N.
func (h *Hub) Insert(now time.Time, rows []Placed) []Effect {
	h.begin()
	for i := range rows {
		if b := h.boxes[rows[i].Box]; b != nil {
			h.insert(now, b, &rows[i].Row)
		}
	}
	return h.out
}

// Loaded hands over a page that a Load asked for, in the order of N; more says that the page was cut at its limit.
func (h *Hub) Loaded(now time.Time, name Mailbox, rows []Row, more bool) []Effect {
	h.begin()
	if b := h.boxes[name]; b != nil && b.loading {
		h.loaded(now, b, rows, more)
	}
	return h.out
}

// LoadFailed says that a Load could not be done. Tick asks again.
func (h *Hub) LoadFailed(name Mailbox) []Effect {
	h.begin()
	if b := h.boxes[name]; b != nil && b.loading {
		b.loading = false
		b.settle()
		h.prune(b)
	}
	return h.out
}

// Ack notes that a connection has stored a row it was pushed: the one with the message id, or where that is empty the
// oldest with the client id. What was pushed to another connection is not touched (design B3).
func (h *Hub) Ack(now time.Time, id ConnID, message mesh.ID, client mesh.ClientID) []Effect {
	return h.Acks(now, id, []protocol.ClientAckRequest{{BrokerMessageID: message, ClientMessageID: client}})
}

// Acks is Ack for several rows.
func (h *Hub) Acks(now time.Time, id ConnID, acks []protocol.ClientAckRequest) []Effect {
	h.begin()
	c := h.conns[id]
	if c == nil {
		return h.out
	}
	if !c.Lease { // from its first client_ack on it is one that acknowledges
		c.Lease = true
		delete(h.lists, c.Mesh)
	}
	for i := range acks {
		if k := c.find(acks[i].BrokerMessageID, acks[i].ClientMessageID); k >= 0 {
			h.out = append(h.out, c.finish(k, Delivered))
		}
	}
	if len(h.out) > 0 {
		h.pumpConn(now, c)
	}
	return h.out
}

// Written notes that the push of row n was handed to the socket of a connection that does not acknowledge.
func (h *Hub) Written(now time.Time, id ConnID, n int64) []Effect {
	h.begin()
	c := h.conns[id]
	if c == nil {
		return h.out
	}
	i := slices.IndexFunc(c.flight, func(l lease) bool { return l.row.N == n })
	switch {
	case i < 0:
	case c.Lease: // it has acknowledged since: wait for its acknowledgement
		c.flight[i].until = now.Add(h.opt.Lease)
	default:
		h.out = append(h.out, c.finish(i, HandedOver))
		h.pumpConn(now, c)
	}
	return h.out
}

// Settled says that a Finish was stored, or with false that it could not be: then the row waits again.
func (h *Hub) Settled(name Mailbox, n int64, ok bool) []Effect {
	return h.SettledAll([]Ended{{Box: name, N: n}}, ok)
}

// SettledAll is Settled for several rows; it is best when those of a mailbox stand together.
func (h *Hub) SettledAll(rows []Ended, ok bool) []Effect {
	h.begin()
	var b *box
	for i, r := range rows {
		if i == 0 || r.Box != rows[i-1].Box {
			b = h.boxes[r.Box]
		}
		if b == nil {
			continue
		}
		switch {
		case !ok:
			b.giveBack(&h.memory, r.N)
		case b.loading:
			b.settled = append(b.settled, r.N) // the page being read may still show it
		default:
			delete(b.flying, r.N)
		}
		h.prune(b)
	}
	return h.out
}

// Flies reports whether a row was pushed, and neither acknowledged nor given back, or is being finished; or may have been
// given back just now, and is read to be pushed again.
func Flies(h *Hub, name Mailbox, n int64) bool {
	b := h.boxes[name]
	if b == nil {
		return false
	}
	_, flies := b.flying[n]
	return flies || b.loading
}

// Ended is a row whose Finish was stored.
type Ended struct {
	Box Mailbox
	N   int64
}

// Change lets set change what a connection tells of itself, and drains its mailboxes: idle lets through what was held
// (wire 5, design D4). What was sent to a group before is not for who comes later.
func (h *Hub) Change(now time.Time, id ConnID, set func(*Conn)) []Effect {
	h.begin()
	if c := h.conns[id]; c != nil {
		set(&c.Conn)
		delete(h.lists, c.Mesh)
		h.pumpConn(now, c)
	}
	return h.out
}

// Tick ends the leases that are over, and asks again for what could not be read or stored. It is called a few
// times in a lease.
func (h *Hub) Tick(now time.Time) []Effect {
	h.begin()
	for _, c := range h.conns {
		c.expire(now, &h.memory)
	}
	var waiting []*box
	for _, b := range h.boxes {
		if b.urgent.behind || b.rest.behind {
			waiting = append(waiting, b)
		}
	}
	slices.SortFunc(waiting, func(a, b *box) int {
		return cmp.Or(cmp.Compare(a.name.Member, b.name.Member), cmp.Compare(a.name.Session, b.name.Session))
	})
	for _, b := range waiting {
		h.pump(now, b)
	}
	return h.out
}

// begin starts an input.
func (h *Hub) begin() {
	clear(h.out) // frames are not held for longer than they are used
	h.out = h.out[:0]
}

// replacedBy finds the connection that c takes the place of. b is the mailbox of its session, else of its member; nil
// without any connection.
func (b *box) replacedBy(c *Conn) *conn {
	if b == nil {
		return nil
	}
	for _, old := range b.conns {
		switch {
		case old.SessionKey != c.SessionKey || old.Mesh != c.Mesh:
		case c.SessionKey != "", c.SessionID != "" && old.SessionID == c.SessionID:
			return old
		}
	}
	return nil
}

// join makes c one of the connections of a mailbox.
func (h *Hub) join(now time.Time, c *conn, name Mailbox) {
	b := h.boxes[name]
	if b == nil {
		b = &box{name: name, flying: map[int64]bool{}}
		h.boxes[name] = b
	}
	if len(b.conns) == 0 { // what was stored meanwhile is not known here
		b.urgent.behind, b.rest.behind = true, true
	}
	i, _ := slices.BinarySearchFunc(b.conns, c, byClaim)
	b.conns = slices.Insert(b.conns, i, c)
	c.boxes = append(c.boxes, b)
	b.choose()
	h.pump(now, b)
}

// remove forgets c and gives back what it had not acknowledged.
func (h *Hub) remove(now time.Time, c *conn) {
	delete(h.conns, c.ID)
	delete(h.lists, c.Mesh)
	peers := h.meshes[c.Mesh]
	if i, ok := slices.BinarySearchFunc(peers, c, byID); ok {
		peers = slices.Delete(peers, i, i+1)
	}
	if h.meshes[c.Mesh] = peers; len(peers) == 0 {
		delete(h.meshes, c.Mesh)
	}
	for _, l := range c.flight {
		l.box.giveBack(&h.memory, l.row.N)
	}
	c.flight = nil
	for _, b := range c.boxes {
		if i, ok := slices.BinarySearchFunc(b.conns, c, byClaim); ok {
			b.conns = slices.Delete(b.conns, i, i+1)
		}
		if len(b.conns) == 0 {
			h.memory.fallBehind(&b.urgent)
			h.memory.fallBehind(&b.rest)
		}
		b.choose()
		h.pump(now, b)
		h.prune(b)
	}
}

// prune forgets a mailbox that has no connection, once nothing of it is under way.
func (h *Hub) prune(b *box) {
	if len(b.conns) == 0 && len(b.flying) == 0 && !b.loading {
		delete(h.boxes, b.name)
	}
}

// noRow is after every row.
const noRow = math.MaxInt64
