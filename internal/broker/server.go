package broker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/admission"
	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/invite"
	"github.com/claudemesh/claudemesh/internal/broker/moderation"
	"github.com/claudemesh/claudemesh/internal/broker/presence"
	"github.com/claudemesh/claudemesh/internal/broker/queue"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// server is a broker that is open. Its fields are set once; what they point to may be used from any goroutine.
type server struct {
	set      config.Broker
	now      mesh.Clock
	log      *slog.Logger
	started  time.Time
	work     context.Context // of every frame and request; ends when the broker stops
	token    token
	db       *sqlite.DB
	queue    *queue.Queue
	presence *presence.Presence
	mux      *wire.Mux[*session.Session]
	doors    *doors
	hosts    hosts
	count    *metrics
	crowd    crowd
	parts    parts
}

// parts are the features that answer plain requests.
type parts struct {
	invites    *invite.Invites
	admission  *admission.Admission
	moderation *moderation.Moderation
	visitors   *visitors
	cert       *certificate // nil without TLS
}

// watcher lets presence watch the queue.
type watcher struct{ *presence.Presence }

// Entered passes a connection on (queue.Watcher).
func (w watcher) Entered(c hub.Conn, out queue.Outbound) { w.Presence.Entered(c, out) }

// crowd is everybody who is connected.
type crowd struct {
	mu     sync.Mutex
	conns  map[mesh.ConnID]*conn
	last   mesh.ConnID
	inside int // of conns, those that said hello
	closed bool
	ended  map[mesh.ID]bool       // meshes that ended while this process ran: few, as it takes their owners
	taken  map[sessionKey]mesh.ID // session keys that a member took from who had not proved them, lately
	gone   sync.WaitGroup
}

// add numbers a connection; false means that the broker stops.
func (w *crowd) add(c *conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.last++
	c.id = w.last
	w.conns[c.id] = c
	w.gone.Add(1)
	return true
}

func (w *crowd) remove(c *conn) {
	w.mu.Lock()
	delete(w.conns, c.id)
	w.mu.Unlock()
	w.gone.Done()
}

// close lets nobody in any more.
func (w *crowd) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
}

func (w *crowd) find(id mesh.ConnID) *conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conns[id]
}

// all lists the connections of this moment.
func (w *crowd) all() []*conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]*conn, 0, len(w.conns))
	for _, c := range w.conns {
		list = append(list, c)
	}
	return list
}

// silence is how many ticks ago a connection was heard; 0 when it is gone.
func (w *crowd) silence(id mesh.ConnID) int32 {
	if c := w.find(id); c != nil {
		return c.silent.Load()
	}
	return 0
}

// of lists the connections to a mesh of this moment.
func (w *crowd) of(meshID mesh.ID) (list []*conn) {
	for _, c := range w.all() {
		if g := c.guest.Load(); g != nil && g.session.Mesh == meshID {
			list = append(list, c)
		}
	}
	return list
}

// tell sends a frame to those of a mesh that know our own events. Who does not take it is a slow consumer.
func (w *crowd) tell(meshID mesh.ID, frame []byte) {
	for _, c := range w.of(meshID) {
		if c.guest.Load().session.Go {
			c.answer(frame)
		}
	}
}

// tellMember sends a frame to those connections of a member that do not know our own events.
func (w *crowd) tellMember(member mesh.ID, frame []byte) {
	for _, c := range w.all() {
		if g := c.guest.Load(); g != nil && g.session.Member == member && !g.session.Go {
			c.answer(frame)
		}
	}
}

// dismiss closes the connections to a mesh that has ended, also those whose hello was under way.
func (w *crowd) dismiss(meshID mesh.ID, code mesh.CloseCode, reason string) {
	w.mu.Lock()
	w.ended[meshID] = true
	w.mu.Unlock()
	for _, c := range w.of(meshID) {
		c.out.Close(code, reason)
	}
}

// over reports whether a mesh was dismissed.
func (w *crowd) over(meshID mesh.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended[meshID]
}

// maxTaken bounds crowd.taken; at the bound all are forgotten. One is of use until a hello that was on its way is through.
const maxTaken = 1024

// sessionKey is the key of a session in a mesh.
type sessionKey struct {
	mesh mesh.ID
	key  mesh.Key
}

func takenKey(g *guest) sessionKey { return sessionKey{g.session.Mesh, g.session.SessionKey} }

// take notes that a member has taken its session key from who had not proved it.
func (w *crowd) take(g *guest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken == nil || len(w.taken) >= maxTaken {
		w.taken = map[sessionKey]mesh.ID{}
	}
	w.taken[takenKey(g)] = g.session.Member
}

// lost reports whether the session key of who comes in was taken by another member meanwhile.
func (w *crowd) lost(g *guest) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	member, taken := w.taken[takenKey(g)]
	return taken && member != g.session.Member
}

// count changes how many said hello by n, and returns how many did.
func (w *crowd) count(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inside += n
	return w.inside
}

// arrive notes that a connection said hello. Whoever held its session key without having proved it has lost it, also one
// whose own hello is not through yet: of both that arrive, the later one sees the other.
func (s *server) arrive(c *conn, g *guest) {
	s.crowd.count(1)
	s.count.connections.add("")
	s.log.Debug("connected", describe(c, g)...)
	if s.crowd.over(g.session.Mesh) {
		c.out.Close(mesh.ClosePolicy, string(mesh.MeshArchived))
	}
	if !g.took {
		if s.crowd.lost(g) {
			c.out.Close(mesh.ClosePolicy, string(mesh.BadSessionKey))
		}
		return
	}
	s.crowd.take(g)
	for _, other := range s.crowd.all() {
		if o := other.guest.Load(); o != nil && takenKey(o) == takenKey(g) && o.session.Member != g.session.Member {
			other.out.Close(mesh.ClosePolicy, string(mesh.BadSessionKey))
		}
	}
}

// depart undoes arrive when the connection is over.
func (s *server) depart(c *conn, g *guest) {
	s.queue.Detach(c.id, c.deliberate.Load())
	s.doors.leave(g)
	s.crowd.count(-1)
	s.log.Debug("disconnected", describe(c, g)...)
}

func describe(c *conn, g *guest) []any {
	return []any{
		slog.Uint64(logkey.Conn, uint64(c.id)), slog.String(logkey.Mesh, string(g.session.Mesh)), slog.String(logkey.Member, string(g.session.Member)),
		slog.String(logkey.Session, g.session.SessionKey.Short()), slog.String(logkey.Role, string(g.session.PeerRole)),
	}
}

// ticksPerPing divides the time between two pings, so that the dead are found soon after their time and the pings of
// many connections are spread.
const ticksPerPing = 6

// tickTime is how often watch looks.
func tickTime(set config.Broker) time.Duration {
	return max(set.PingInterval/ticksPerPing, time.Millisecond)
}

// watch pings every connection from time to time and cuts those that were silent for too long (wire 1.1). It counts
// ticks, not hours: a clock that is set does not kill anybody.
func (s *server) watch(ctx context.Context) {
	tick := tickTime(s.set)
	dead := int32(s.set.DeadAfter / tick)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for n := mesh.ConnID(0); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, c := range s.crowd.all() {
			switch silent := c.silent.Add(1); {
			case silent > dead:
				if silent == dead+1 {
					s.count.reached(config.BoundDeadAfter)
				}
				_ = c.link.Close() // no close frame: it would not arrive (wire 1.1)
			case (n+c.id)%ticksPerPing == 0:
				c.out.Ping()
			}
		}
	}
}

// reasonShutdown stands in the close frame of a broker that stops (wire 1.3).
const reasonShutdown = "shutting down"

// dismiss tells every connection that the broker stops, and waits until they are gone, for at most the grace.
func (s *server) dismiss() {
	for _, c := range s.crowd.all() {
		c.out.Close(mesh.CloseGoingAway, reasonShutdown)
	}
	gone := make(chan struct{})
	go func() { // ends with the last connection, which is cut below at the latest
		s.crowd.gone.Wait()
		close(gone)
	}()
	grace := time.NewTimer(s.set.ShutdownGrace)
	defer grace.Stop()
	select {
	case <-gone:
		return
	case <-grace.C:
	}
	for _, c := range s.crowd.all() {
		_ = c.link.Close() // it had its time
	}
	<-gone
}
