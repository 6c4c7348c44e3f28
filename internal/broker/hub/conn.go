package hub

import (
	"cmp"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// ConnID numbers a connection of this process. The broker chooses it; no number is used twice.
type ConnID = mesh.ConnID

// Conn is one authenticated connection, as the hub routes to it and as the roster shows it.
type Conn struct {
	ID         ConnID
	Mesh       mesh.ID
	Member     mesh.ID
	MemberKey  mesh.Key
	SessionKey mesh.Key // empty: the connection has no mailbox of its own
	SessionID  string   // as the hello gave it
	Name       string   // as shown to others
	Role       mesh.PeerRole

	// Lease is true for a connection that acknowledges what it stored: it announced client_ack, or said
	// session_hello (design B3). Otherwise a push counts as handed over when it was written, until the first client_ack.
	Lease    bool
	Receipts bool // announced receipts/1
	Go       bool // announced claudemesh.go/1

	Groups      []protocol.Group // paths without @, from mesh.ParseGroup; replaced, never changed
	Status      mesh.Status
	ConnectedAt time.Time

	Presence protocol.Presence // the rest of the hello, for the roster
}

// conn is a connection with what is on its way to it.
type conn struct {
	Conn
	boxes  []*box // its member's, then its session's
	turn   int
	flight []lease // in the order of pushing
	bytes  int
}

// lease is a row that was pushed and not acknowledged.
type lease struct {
	box   *box
	row   Row       // without its frame
	bytes int       // of the frame
	until time.Time // zero for one that ends when it is written
}

func byID(a, b *conn) int { return cmp.Compare(a.ID, b.ID) }

// admits reports whether c may be pushed a row now. Work holds nothing back from a client of ours: it stores what it gets,
// and its host shows it between two steps of the work. Older clients show it at once, in the middle of one.
func (c *conn) admits(urgent bool) bool {
	if urgent || c.Go && c.Status == mesh.Working {
		return c.Status.Admits(mesh.Now)
	}
	return c.Status.Admits(mesh.Next)
}

// room is how many more rows c may be pushed.
func (c *conn) room(o Options) int {
	if c.bytes >= o.Bytes {
		return 0
	}
	return o.Rows - len(c.flight)
}

// find returns the index of what an acknowledgement means, or -1. The client id counts where the message id is not given:
// two senders may use the same.
func (c *conn) find(message mesh.ID, client mesh.ClientID) int {
	if message != "" {
		return slices.IndexFunc(c.flight, func(l lease) bool { return l.row.ID == message })
	}
	if client == "" {
		return -1
	}
	return slices.IndexFunc(c.flight, func(l lease) bool { return l.row.ClientID == client })
}

// finish takes a lease out of the flight. Its row stays flying until the outcome is stored.
func (c *conn) finish(i int, o Outcome) Effect {
	l := c.drop(i)
	return Effect{Kind: Finish, Conn: c.ID, Box: l.box.name, Row: l.row, Outcome: o}
}

func (c *conn) drop(i int) lease {
	l := c.flight[i]
	c.bytes -= l.bytes
	if i == 0 {
		c.flight[0] = lease{}
		c.flight = c.flight[1:] // acknowledgements come in order: no copying
	} else {
		c.flight = slices.Delete(c.flight, i, i+1)
	}
	return l
}

// expire gives back what was not acknowledged in time.
func (c *conn) expire(now time.Time, m *memory) {
	for i := 0; i < len(c.flight); {
		if l := c.flight[i]; l.until.IsZero() || now.Before(l.until) {
			i++
			continue
		}
		l := c.drop(i)
		l.box.giveBack(m, l.row.N)
	}
}
