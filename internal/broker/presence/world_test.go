package presence

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// world is a presence on a real store with the members ada, ben and cy, and the connections that a test made.
type world struct {
	t     *testing.T
	path  string
	db    *sqlite.DB
	p     *Presence
	stop  func()
	last  mesh.ConnID
	moods []string // what delivery was told
	blind mesh.Key // the member key of somebody whom ada does not let see her
}

func (w *world) sees(member mesh.ID, by, _ mesh.Key) bool { return member != "ada" || by != w.blind }

// inWorld runs a test on a clock that moves when everything waits.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	path := filepath.Join(t.TempDir(), "broker.db")
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, path: path}
		w.start()
		w.found()
		test(w)
		w.end()
	})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) start() {
	w.t.Helper()
	log := slog.New(slog.NewTextHandler(w.t.Output(), nil))
	var err error
	w.db, err = store.Open(context.Background(), w.path, time.Now, log)
	w.must(err)
	w.p = New(Options{DB: w.db, Settings: config.DefaultBroker(), Now: time.Now, Log: log, Sees: w.sees, SetStatus: func(id mesh.ConnID, s mesh.Status) {
		w.moods = append(w.moods, fmt.Sprintf("%d %s", id, s))
	}})
	w.must(w.p.Load(context.Background()))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { w.p.Run(ctx); close(done) }()
	w.stop = func() { cancel(); <-done }
}

func (w *world) end() {
	w.stop()
	w.must(w.db.Close())
}

// restart ends the process and begins another one on its file.
func (w *world) restart() {
	w.end()
	w.start()
}

func (w *world) found() {
	w.t.Helper()
	w.must(w.db.Write(context.Background(), func(tx *sqlite.Tx) error {
		if err := store.AddMesh(tx, store.Mesh{ID: "m", Slug: "m", Name: "m", OwnerKey: key("ada")}); err != nil {
			return err
		}
		for _, name := range []string{"ada", "ben", "cy"} {
			if _, _, err := store.AddMember(tx, store.Member{ID: mesh.ID(name), Mesh: "m", Key: key(name), Name: name, Role: store.RoleMember}); err != nil {
				return err
			}
		}
		return nil
	}))
}

func key(name string) mesh.Key {
	return mesh.Key((fmt.Sprintf("%x", name) + strings.Repeat("0", 64))[:64])
}

// client is one connection.
type client struct {
	w      *world
	conn   hub.Conn
	answer protocol.HelloAnswer
	heard  []string // events: name, subject
	closed bool
}

// Send takes what the client is told (Outbound).
func (c *client) Send(frame []byte) bool {
	var push struct {
		Event string             `json:"event"`
		Data  protocol.PeerEvent `json:"eventData"`
		Body  protocol.PushedMessage
	}
	c.w.must(wire.Decode(frame, &push))
	if push.Data.Name != push.Data.DisplayName {
		c.w.t.Errorf("%s: names %q and %q differ", push.Event, push.Data.Name, push.Data.DisplayName)
	}
	c.heard = append(c.heard, strings.TrimPrefix(push.Event, "peer_")+" "+push.Data.Name)
	return true
}

// Close notes the end (Outbound).
func (c *client) Close(mesh.CloseCode, string) { c.closed = true }

// how is what differs between connections.
type how func(c *hub.Conn, proved *bool)

// session is a connection of ours with a key that lasts; old is one of another program.
func sessionKey(name string) how {
	return func(c *hub.Conn, proved *bool) {
		c.SessionKey, c.SessionID, c.Name, *proved = key(name), name, name, true
	}
}
func old(c *hub.Conn, _ *bool)          { c.Go = false }
func unproved(_ *hub.Conn, p *bool)     { *p = false }
func daemon(c *hub.Conn, _ *bool)       { c.Role, c.SessionID = mesh.ControlPlane, "daemon" }
func with(groups ...protocol.Group) how { return func(c *hub.Conn, _ *bool) { c.Groups = groups } }

// enter connects a member; it is ours, and a session, where hows say nothing else.
func (w *world) enter(member string, hows ...how) *client {
	w.t.Helper()
	w.last++
	proved := false
	c := &client{w: w, conn: hub.Conn{
		ID: w.last, Mesh: "m", Member: mesh.ID(member), MemberKey: key(member), Name: member, Role: mesh.SessionRole, Go: true,
		Status: mesh.Idle, ConnectedAt: time.Now(),
	}}
	for _, h := range hows {
		h(&c.conn, &proved)
	}
	w.must(w.p.Expect(context.Background(), &c.conn, proved, Told{}, &c.answer))
	w.p.Entered(c.conn, c)
	synctest.Wait()
	return c
}

// lose breaks its connection; leave ends it on purpose.
func (c *client) lose()  { c.w.p.Left(c.conn, false); synctest.Wait() }
func (c *client) leave() { c.w.p.Left(c.conn, true); synctest.Wait() }

func (c *client) session() *session.Session {
	return &session.Session{
		Conn: c.conn.ID, Mesh: c.conn.Mesh, Member: c.conn.Member, MemberKey: c.conn.MemberKey, SessionKey: c.conn.SessionKey,
		Go: c.conn.Go, PeerRole: c.conn.Role,
	}
}

// wantHeard holds what a client was told since the last call against what it should have been.
func (c *client) wantHeard(want ...string) {
	c.w.t.Helper()
	if !slices.Equal(c.heard, want) {
		c.w.t.Errorf("%s heard %q, want %q", c.conn.Name, c.heard, want)
	}
	c.heard = nil
}

// wantHere holds who is present against names, with ? for those who wait for their connection.
func (w *world) wantHere(want ...string) {
	w.t.Helper()
	var conns []hub.Conn
	for _, e := range w.p.book.conns {
		conns = append(conns, e.Conn)
	}
	slices.SortFunc(conns, func(x, y hub.Conn) int { return int(x.ID) - int(y.ID) })
	got := []string{}
	for _, p := range w.p.Complete("m", conns) {
		name := p.Name
		if !p.Lost.IsZero() {
			name += "?"
		}
		got = append(got, name)
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("here are %q, want %q", got, want)
	}
}

// find is the presence of a name.
func (w *world) find(name string) Peer {
	w.t.Helper()
	for _, p := range w.p.Complete("m", nil) {
		if p.Name == name {
			return p
		}
	}
	for _, e := range w.p.book.conns {
		if e.Name == name {
			return e.Peer
		}
	}
	w.t.Fatalf("%s is not here", name)
	return Peer{}
}

// pass lets time pass, with all that happens in it.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
