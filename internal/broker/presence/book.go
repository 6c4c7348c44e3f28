package presence

import (
	"cmp"
	"container/list"
	"slices"
	"strconv"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Peer is one presence: a session, daemon or service that is connected, or was until a moment ago.
type Peer struct {
	hub.Conn // its connection, or the last one; Status and ConnectedAt are those of the presence

	Mood    Mood
	Summary string
	Hidden  bool
	Profile protocol.Profile
	Stats   *protocol.Stats // replaced, never changed
	Proved  bool            // it said session_hello
	Told    Told            // of the connection, or of the last one
	Lost    time.Time       // when its connection broke; zero while it has one
	N       uint64          // order of coming; no two share it
}

// Told is what a hello showed beside the connection, for the roster. What it points to is not changed.
type Told struct {
	MemberName string
	Owned      bool            // the session key was proved, then or before
	Vouch      *protocol.Vouch // the member's word for it; nil without one
}

// seat is what a presence keeps over reconnects: a session key, or the member with its session id.
type seat struct {
	mesh mesh.ID
	who  string
}

// seatOf names the seat of a connection. One without a session key and id has a seat of its own, which nobody comes
// back to (as hub.Attach replaces).
func seatOf(c hub.Conn) (s seat, lasting bool) {
	switch {
	case c.SessionKey != "":
		return seat{c.Mesh, "k:" + string(c.SessionKey)}, true
	case c.SessionID != "":
		return seat{c.Mesh, "i:" + string(c.Member) + ":" + c.SessionID}, true
	}
	return seat{c.Mesh, "c:" + strconv.FormatUint(uint64(c.ID), 10)}, false
}

// entry is a presence with the way to its connection.
type entry struct {
	Peer
	seat seat
	out  Outbound      // nil while it has no connection
	away *list.Element // of its household; nil while it has a connection
	bell bell
}

// book is who is present: a pure core. What others are to be told is gathered in news.
type book struct {
	rules  Rules
	lease  time.Duration
	away   int // presences of one member that may be without a connection; at the bound the oldest ends
	sees   func(member mesh.ID, by, session mesh.Key) bool
	seats  map[seat]*entry
	conns  map[mesh.ConnID]*entry
	meshes map[mesh.ID]*village   // that have anybody
	homes  map[mesh.ID]*household // by member; without an entry nothing is in it
	last   uint64
	news   []news
}

// news is an event for those who may know of it.
type news struct {
	name string
	data protocol.PeerEvent
	mesh mesh.ID
	to   []*entry
}

func newBook(rules Rules, lease time.Duration, away int, sees func(mesh.ID, mesh.Key, mesh.Key) bool) *book {
	return &book{
		rules: rules, lease: lease, away: away, sees: sees,
		seats: map[seat]*entry{}, conns: map[mesh.ConnID]*entry{}, meshes: map[mesh.ID]*village{}, homes: map[mesh.ID]*household{},
	}
}

// find gives the presence that a connection would take over, nil without one.
func (b *book) find(c hub.Conn) *entry {
	s, _ := seatOf(c)
	if e := b.seats[s]; e != nil && e.Member == c.Member {
		return e
	}
	return nil
}

// enter gives a connection its place. In the seat of a presence it goes on silently, with what that was; else others
// hear of it. The return value is the presence of another member that lost the seat, if any.
func (b *book) enter(p Peer, out Outbound, back *protocol.PeerEvent, now time.Time) (e *entry, evicted *entry) {
	s, _ := seatOf(p.Conn)
	old := b.seats[s]
	if old != nil && old.Member != p.Member {
		b.end(old)
		old, evicted = nil, old
	}
	if old != nil {
		b.reattach(old, p, out)
		return old, nil
	}
	b.last++
	p.N, p.Lost = b.last, time.Time{}
	if p.Mood.Status == "" {
		p.Mood = Mood{mesh.Idle, Transcript, now}
	}
	p.Status = p.Mood.Status
	e = &entry{Peer: p, seat: s, out: out}
	b.add(e)
	b.announce(e, back)
	return e, evicted
}

// reattach swaps the connection of a presence: it keeps status, summary, visibility, profile and counts.
func (b *book) reattach(e *entry, p Peer, out Outbound) {
	b.unplug(e)
	b.cameBack(e)
	since, heard := e.ConnectedAt, e.hears()
	e.Conn, e.Told, e.out, e.Lost = p.Conn, p.Told, out, time.Time{}
	e.Proved = e.Proved || p.Proved
	e.ConnectedAt, e.Status = since, e.Mood.Status
	b.conns[e.ID] = e
	if e.hears() != heard {
		b.meshes[e.Mesh].listen(e)
	}
}

// add seats an entry.
func (b *book) add(e *entry) {
	b.seats[e.seat] = e
	if e.out != nil {
		b.conns[e.ID] = e
	} else {
		b.wentAway(e)
	}
	v := b.meshes[e.Mesh]
	if v == nil {
		v = &village{}
		b.meshes[e.Mesh] = v
	}
	v.all = append(v.all, e)
	v.listen(e)
}

// leave notes that a connection is over: for good, or until its presence comes back within the lease. It returns the
// presence where it has changed thereby, and the entries that ended.
func (b *book) leave(c hub.Conn, deliberate bool, now time.Time) (changed *entry, ended []*entry) {
	e := b.conns[c.ID]
	if e == nil {
		return nil, nil
	}
	b.unplug(e)
	_, lasting := seatOf(e.Conn)
	if deliberate || !lasting || b.lease <= 0 || b.over(e) {
		b.end(e)
		return nil, []*entry{e}
	}
	if !slices.Equal(e.Groups, c.Groups) {
		changed = e
	}
	e.Groups, e.out, e.Lost = c.Groups, nil, now
	b.wentAway(e)
	return changed, b.crowdOut(e.Member)
}

// crowdOut ends the oldest absences of a member that has too many.
func (b *book) crowdOut(member mesh.ID) (ended []*entry) {
	for {
		h := b.homes[member]
		if h == nil || h.away.Len() <= b.away {
			return ended
		}
		oldest := h.away.Front().Value.(*entry)
		b.end(oldest)
		ended = append(ended, oldest)
	}
}

// end forgets a presence and tells the others.
func (b *book) end(e *entry) {
	delete(b.seats, e.seat)
	b.unplug(e)
	b.cameBack(e)
	v := b.meshes[e.Mesh]
	if v.remove(e); len(v.all) == 0 {
		delete(b.meshes, e.Mesh)
	}
	b.tell(protocol.PeerLeft, e, describe(e), false)
}

// tick ends the leases that are over and lets statuses decay. It returns what ended, and whose status changed.
func (b *book) tick(now time.Time) (ended, idle []*entry) {
	for _, v := range b.meshes {
		for _, e := range v.all {
			if mood := b.rules.Decay(e.Mood, now); mood != e.Mood {
				e.Mood, e.Status = mood, mood.Status
				idle = append(idle, e)
			}
			if e.out == nil && now.Sub(e.Lost) >= b.lease {
				ended = append(ended, e)
			}
		}
	}
	slices.SortFunc(ended, func(x, y *entry) int { return cmp.Compare(x.N, y.N) })
	for _, e := range ended {
		b.end(e)
	}
	return ended, idle
}

// keep notes which sessions a daemon serves, and ends the leases of its member's other ones.
func (b *book) keep(daemon *entry, keys map[mesh.Key]bool) (ended []*entry) {
	h := b.home(daemon.Member)
	if h.served == nil {
		h.served = map[mesh.ConnID]map[mesh.Key]bool{}
	}
	h.served[daemon.ID] = keys
	for e := range h.absent() {
		if b.over(e) {
			ended = append(ended, e)
		}
	}
	for _, e := range ended {
		b.end(e)
	}
	return ended
}

// over reports whether a presence is a session that its member's daemon, which is connected, does not serve any more.
func (b *book) over(e *entry) bool {
	h := b.homes[e.Member]
	if h == nil || len(h.served) == 0 || !e.Proved || !e.Go || e.Role != mesh.SessionRole {
		return false
	}
	var daemon *entry // that came first
	for id := range h.served {
		if o := b.conns[id]; daemon == nil || o.N < daemon.N {
			daemon = o
		}
	}
	return !h.served[daemon.ID][e.SessionKey]
}

// drop ends all presences of a member.
func (b *book) drop(meshID, member mesh.ID) (ended []*entry) {
	for _, e := range b.everybody(meshID) {
		if e.Member == member {
			ended = append(ended, e)
		}
	}
	for _, e := range ended {
		b.end(e)
	}
	return ended
}

// show changes whether others see a presence, and tells them; it reports whether that changed.
func (b *book) show(e *entry, visible bool) bool {
	if e.Hidden == !visible {
		return false
	}
	name := protocol.PeerVisible
	if !visible {
		name = protocol.PeerHidden
	}
	e.Hidden = false // the others hear of both
	b.tell(name, e, describe(e), true)
	e.Hidden = !visible
	return true
}

// announce tells of somebody who came, or came back. After a session_hello the siblings of its member hear it too (wire 6).
func (b *book) announce(e *entry, back *protocol.PeerEvent) {
	name, data := protocol.PeerJoined, describe(e)
	if back != nil && !e.Proved {
		name, data.LastSeenAt, data.Summary = protocol.PeerReturned, back.LastSeenAt, back.Summary
	}
	data.Groups = e.Groups
	b.tell(name, e, data, e.Proved)
}

// tell gathers an event about e for who may know of it: nobody but its own member hears of who is hidden, and of a
// member hears nobody whom it does not let see it. A daemon of
// ours hears of others on its own connection, once, and of its own sessions not at all: it has them.
func (b *book) tell(name string, e *entry, data protocol.PeerEvent, siblings bool) {
	n := news{name: name, data: data, mesh: e.Mesh}
	for _, o := range b.ears(e.Mesh) {
		switch own := o.Member == e.Member; {
		case o == e || o.out == nil:
		case o.Go && (o.Role == mesh.SessionRole || own):
		case own && !siblings, !own && (e.Hidden || !b.sees(e.Member, o.MemberKey, o.SessionKey)):
		default:
			n.to = append(n.to, o)
		}
	}
	if len(n.to) > 0 {
		b.news = append(b.news, n)
	}
}

func describe(e *entry) protocol.PeerEvent {
	return protocol.PeerEvent{Name: e.Name, DisplayName: e.Name, Pubkey: e.Key(), MemberPubkey: e.MemberKey, PeerRole: e.Role}
}

// Key is the key under which others know the presence: its session's, else its member's.
func (p Peer) Key() mesh.Key {
	if p.SessionKey != "" {
		return p.SessionKey
	}
	return p.MemberKey
}

// VisibleTo reports whether a member sees the presence in its lists.
func (p Peer) VisibleTo(member mesh.ID) bool { return !p.Hidden || p.Member == member }
