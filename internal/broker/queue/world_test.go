package queue

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
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

// settings are generous where a test is not about a bound.
func settings() config.Broker {
	return config.Broker{
		MessageTTL: 7 * 24 * time.Hour, DedupeTTL: 14 * 24 * time.Hour, SessionSeen: 30 * 24 * time.Hour, Lease: 30 * time.Second,
		PairRows: 1000, PairBytes: 16 << 20, RecipientBytes: 64 << 20, MeshBytes: 1 << 30, DedupeRows: 100_000,
		SendPerSecond: 1_000_000, SendBurst: 1_000_000,
	}
}

// tester is what a test and a history of package rapid have in common.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// world is a queue on a real store, with what the rest of a broker does around it.
type world struct {
	t    tester
	set  config.Broker
	path string
	db   *sqlite.DB
	q    *Queue
	stop func()
	next mesh.ConnID
	said bytes.Buffer // the log
}

// inWorld runs a test on a clock that moves when everything waits.
func inWorld(t *testing.T, set config.Broker, test func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	path := filepath.Join(t.TempDir(), "broker.db")
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, set: set, path: path}
		w.start()
		defer w.end()
		test(t, w)
	})
}

func (w *world) start() {
	w.t.Helper()
	db, err := store.Open(context.Background(), w.path, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatalf("open store: %v", err)
	}
	w.db = db
	log := slog.New(slog.NewTextHandler(&w.said, &slog.HandlerOptions{Level: slog.LevelInfo}))
	w.q = New(Options{DB: db, Settings: w.set, Now: time.Now, Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.q.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("run: %v", err)
		}
	}
}

func (w *world) end() {
	w.stop()
	if err := w.db.Close(); err != nil {
		w.t.Errorf("close store: %v", err)
	}
}

// restart ends the process and begins a new one on the same file.
func (w *world) restart() {
	w.end()
	w.start()
}

func (w *world) write(fn func(*sqlite.Tx) error) {
	w.t.Helper()
	if err := w.db.Write(context.Background(), fn); err != nil {
		w.t.Fatalf("write: %v", err)
	}
}

// key makes a key of a name, so that tests read well.
func key(name string) mesh.Key {
	hex := fmt.Sprintf("%x", name)
	return mesh.Key((hex + strings.Repeat("0", 64))[:64])
}

// id makes an id of a name.
func id(name string) mesh.ID { return mesh.ID((name + strings.Repeat("0", 32))[:32]) }

// mesh makes a mesh with members of these names.
func (w *world) mesh(name string, members ...string) {
	w.t.Helper()
	w.write(func(tx *sqlite.Tx) error {
		m := store.Mesh{ID: id(name), Slug: name, Name: name, OwnerKey: key(members[0]), CreatedAt: time.Now()}
		if err := store.AddMesh(tx, m); err != nil {
			return err
		}
		for _, n := range members {
			_, _, err := store.AddMember(tx, store.Member{
				ID: id(name + "x" + n), Mesh: m.ID, Key: key(n), Name: n, Role: store.RoleMember, JoinedAt: time.Now(),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// peer is a connection and the client behind it.
type peer struct {
	w    *world
	conn hub.Conn
	who  *session.Session

	mu     sync.Mutex
	frames [][]byte // not yet read by the test
	full   bool     // takes no more
	stuck  bool     // takes frames, writes none
	late   []func() // what is to be called when it writes them
	closed string   // code and reason
}

// how are the properties of a connection that differ between tests.
type how func(*hub.Conn)

func plain(c *hub.Conn)   { c.Lease, c.Go, c.Receipts = false, false, false }
func daemon(c *hub.Conn)  { c.Role = mesh.ControlPlane }
func service(c *hub.Conn) { c.Role = mesh.ServiceRole }

func groups(names ...string) how {
	return func(c *hub.Conn) {
		for _, n := range names {
			c.Groups = append(c.Groups, protocol.Group{Name: n})
		}
	}
}

// attach connects a session of a member, or without a session the member itself. "" is no session.
func (w *world) attach(meshName, member, sess string, hows ...how) *peer {
	w.t.Helper()
	p := w.newPeer(meshName, member, sess, hows...)
	p.attach()
	w.settle()
	return p
}

// newPeer is a connection that is not attached yet.
func (w *world) newPeer(meshName, member, sess string, hows ...how) *peer {
	w.t.Helper()
	w.next++
	c := hub.Conn{
		ID: w.next, Mesh: id(meshName), Member: id(meshName + "x" + member), MemberKey: key(member), Name: member,
		Role: mesh.SessionRole, Lease: true, Receipts: true, Go: true, Status: mesh.Idle, ConnectedAt: time.Now(),
	}
	if sess != "" {
		c.SessionKey, c.SessionID = key(sess), sess
		w.claim(c)
	}
	for _, h := range hows {
		h(&c)
	}
	return &peer{w: w, conn: c, who: &session.Session{
		Conn: c.ID, Mesh: c.Mesh, MeshSlug: meshName, Member: c.Member, MemberKey: c.MemberKey, SessionKey: c.SessionKey,
		Name: c.Name, Go: c.Go, PeerRole: c.Role,
	}}
}

func (p *peer) attach() {
	p.w.t.Helper()
	if err := p.w.q.Attach(context.Background(), p.conn, p.w.place(p.conn), p, []byte(`{"type":"hello_ack"}`)); err != nil {
		p.w.t.Fatalf("attach %s: %v", p.conn.Name, err)
	}
}

func (w *world) claim(c hub.Conn) {
	w.t.Helper()
	w.write(func(tx *sqlite.Tx) error {
		m, err := store.FindMemberByKey(tx, c.Mesh, c.MemberKey)
		if err != nil {
			return err
		}
		_, err = store.ClaimSession(tx, store.Session{
			Mesh: c.Mesh, Key: c.SessionKey, Member: m.N, Proved: true, Name: c.Name, LastSeen: time.Now(),
		})
		return err
	})
}

// place is where the store has a connection.
func (w *world) place(c hub.Conn) (at store.Box) {
	w.t.Helper()
	err := w.db.Read(context.Background(), func(tx *sqlite.Tx) error {
		found, err := store.FindCaller(tx, c.Mesh, c.MemberKey, c.SessionKey)
		at = store.Box{Member: found.Member.N, Session: found.Session.N}
		return err
	})
	if err != nil {
		w.t.Fatalf("place of %s: %v", c.Name, err)
	}
	return at
}

// settle waits until everything that was asked for is done. The clock moves only when something waits for company.
func (w *world) settle() {
	for synctest.Wait(); w.q.writer.pending.Load() > 0; synctest.Wait() {
		w.pass(lazyDelay)
	}
}

// Send implements Outbound.
func (p *peer) Send(frame []byte) bool { return p.SendThen(frame, nil) }

// SendThen implements Outbound: what is queued is written at once, unless the peer is stuck.
func (p *peer) SendThen(frame []byte, written func()) bool {
	p.mu.Lock()
	ok := !p.full && p.closed == ""
	if ok {
		p.frames = append(p.frames, frame)
	}
	stuck := p.stuck
	if ok && written != nil && stuck {
		p.late = append(p.late, written)
	}
	p.mu.Unlock()
	if ok && written != nil && !stuck {
		written()
	}
	return ok
}

// Close implements Outbound.
func (p *peer) Close(code mesh.CloseCode, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed == "" {
		p.closed = fmt.Sprintf("%d %s", code, reason)
	}
}

// detach ends the connection, as its reader would.
func (p *peer) detach() {
	p.w.q.Detach(p.conn.ID, false)
	p.w.settle()
}

func (p *peer) closing() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// read takes what has come, after everything is done.
func (p *peer) read() [][]byte {
	p.w.settle()
	return p.take()
}

// take takes what has come until now.
func (p *peer) take() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	frames := p.frames
	p.frames = nil
	return frames
}

// pushes reads the messages that have come and drops other frames.
func (p *peer) pushes() []protocol.PushedMessage {
	return read[protocol.PushedMessage](p, "push")
}

func (p *peer) receipts() []protocol.Receipt { return read[protocol.Receipt](p, "receipt") }

func read[T any](p *peer, typ string) []T {
	p.w.t.Helper()
	return decoded[T](p, typ, p.read())
}

// decoded gives the bodies of the frames of a type.
func decoded[T any](p *peer, typ string, frames [][]byte) []T {
	p.w.t.Helper()
	var out []T
	for _, frame := range frames {
		h, err := wire.ReadHead(frame)
		if err != nil {
			p.w.t.Fatalf("frame %s: %v", frame, err)
		}
		if h.Type != typ {
			continue
		}
		var f struct {
			Type string `json:"type"`
			Body T      `json:",embed"`
		}
		if err := wire.Decode(frame, &f); err != nil {
			p.w.t.Fatalf("frame %s: %v", frame, err)
		}
		out = append(out, f.Body)
	}
	return out
}

// texts are the bodies of pushes, which tests do not encrypt.
func texts(pushes []protocol.PushedMessage) []string {
	out := []string{}
	for _, m := range pushes {
		body, _ := base64.StdEncoding.DecodeString(m.Ciphertext)
		out = append(out, string(body))
	}
	return out
}

// request is a message to a key, with an id made of its text.
func request(to, text string) protocol.SendRequest {
	return protocol.SendRequest{
		ID: text, TargetSpec: to, Priority: mesh.Next, ClientMessageID: mesh.ClientID(strings.ReplaceAll(text, " ", "_")),
		Nonce: base64.StdEncoding.EncodeToString(make([]byte, 24)), Ciphertext: base64.StdEncoding.EncodeToString([]byte(text)),
		RequestFingerprint: strings.Repeat("ab", 32),
	}
}

// start hands over a message; the answer comes on the channel.
func (p *peer) start(req protocol.SendRequest) <-chan protocol.Ack {
	acks := make(chan protocol.Ack, 1)
	p.w.q.Accept(context.Background(), p.who, req, func(a protocol.Ack, err error) {
		if err != nil {
			p.w.t.Errorf("send %s: answered with the error %v, want an ack", req.ID, err)
		}
		acks <- a
	})
	return acks
}

// try hands over a message and waits for its answer.
func (p *peer) try(req protocol.SendRequest) protocol.Ack {
	return <-p.start(req)
}

// send hands over a message that must be accepted.
func (p *peer) send(to, text string) protocol.Ack {
	p.w.t.Helper()
	a := p.try(request(to, text))
	if !a.Queued || a.Error != "" {
		p.w.t.Fatalf("send %q: got %+v, want it queued", text, a)
	}
	return a
}

// ack acknowledges pushes.
func (p *peer) ack(pushes ...protocol.PushedMessage) {
	for _, m := range pushes {
		p.ackIDs(m.MessageID, m.ClientMessageID)
	}
	p.w.settle()
}

func (p *peer) ackIDs(id mesh.ID, client mesh.ClientID) {
	req := protocol.ClientAckRequest{BrokerMessageID: id, ClientMessageID: client}
	if _, err := p.w.q.ClientAck(context.Background(), p.who, req); err != nil {
		p.w.t.Errorf("client_ack: %v", err)
	}
}

func (p *peer) status(messageID string) protocol.StatusAnswer {
	p.w.t.Helper()
	st, err := p.w.q.MessageStatus(context.Background(), p.who, protocol.StatusRequest{MessageID: messageID})
	if err != nil {
		p.w.t.Fatalf("message_status: %v", err)
	}
	return st
}

func (w *world) conns(meshName string) []hub.Conn {
	w.t.Helper()
	conns, err := w.q.Connections(context.Background(), id(meshName))
	if err != nil {
		w.t.Fatalf("connections: %v", err)
	}
	return conns
}

func (w *world) revoke(meshName, member string) {
	w.t.Helper()
	w.write(func(tx *sqlite.Tx) error {
		_, err := store.RevokeMember(tx, id(meshName+"x"+member), time.Now())
		return err
	})
}

// unstick lets a stuck peer write what it has and go on.
func (p *peer) unstick() {
	p.mu.Lock()
	p.stuck = false
	late := p.late
	p.late = nil
	p.mu.Unlock()
	for _, written := range late {
		written()
	}
}

// pass turns the clock.
func (w *world) pass(d time.Duration) { <-time.After(d) }

// pages bounds the file, or keeps it as it is when it has more: the disk is full.
func (w *world) pages(n int) {
	w.t.Helper()
	w.write(func(tx *sqlite.Tx) error {
		_, err := tx.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", n))
		return err
	})
}

// hold keeps the committer busy, so that what is asked for until release becomes one group.
func (w *world) hold() (release func()) {
	w.t.Helper()
	held := make(chan struct{})
	err := w.db.Submit(context.Background(), func(*sqlite.Tx) error { <-held; return nil }, func(error) {})
	if err != nil {
		w.t.Fatalf("hold: %v", err)
	}
	return func() { close(held) }
}
