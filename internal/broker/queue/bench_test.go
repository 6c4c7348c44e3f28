package queue

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// sink is an Outbound that counts, and acknowledges on the goroutine of its reader.
type sink struct {
	got  atomic.Int64
	acks chan mesh.ID
}

func (s *sink) Send(frame []byte) bool { return s.SendThen(frame, nil) }

func (s *sink) SendThen(frame []byte, written func()) bool {
	s.got.Add(1)
	if s.acks != nil && strings.HasPrefix(string(frame[:min(len(frame), 14)]), `{"type":"push"`) {
		i := strings.Index(string(frame[:64]), `"messageId":"`) + len(`"messageId":"`)
		s.acks <- mesh.ID(frame[i : i+32])
	}
	if written != nil {
		written()
	}
	return true
}

func (s *sink) Close(mesh.CloseCode, string) {}

// BenchmarkAccept measures durable accepts of 1 KiB boxes with 64 senders that wait for each ack, on a real file. It
// reports how many of them share a commit, and the statements of a message with its acknowledgement, where one comes.
func BenchmarkAccept(b *testing.B) {
	for _, c := range []struct {
		name              string
		senders, inFlight int
		online            bool
	}{
		{"c1", 1, 1, true}, {"c64", 64, 1, true}, {"c64offline", 64, 1, false}, {"w4x128", 4, 128, true}, {"w4x128offline", 4, 128, false},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkAccept(b, c.senders, c.inFlight, c.online) })
	}
}

func benchmarkAccept(b *testing.B, senders, inFlight int, online bool) {
	m := newMeter(b)
	people := benchMesh(b, m.db, senders)
	to := people[0]
	if online {
		out := &sink{acks: make(chan mesh.ID, 1<<16)}
		attachBench(b, m.q, to, out)
		var acking sync.WaitGroup
		acking.Go(func() {
			for id := range out.acks {
				_, _ = m.q.ClientAck(b.Context(), to, protocol.ClientAckRequest{BrokerMessageID: id}) // fails when all is over
			}
		})
		defer acking.Wait()
		defer close(out.acks)
	}
	for _, p := range people[1:] {
		attachBench(b, m.q, p, &sink{})
	}
	m.left.Store(int64(b.N))
	b.ResetTimer()
	var group sync.WaitGroup
	for _, p := range people[1:] {
		group.Go(func() { m.send(b, p, to, inFlight) })
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "accepts/s")
	b.ReportMetric(float64(b.N)/float64(max(1, m.groups.Load())), "accepts/group")
	b.ReportMetric(float64(m.statements.Load())/float64(b.N), "statements/op")
}

// send sends while there is something left, with so many waiting for their answer.
func (m *meter) send(b *testing.B, from, to *session.Session, inFlight int) {
	body, nonce := base64.StdEncoding.EncodeToString(make([]byte, 1040)), base64.StdEncoding.EncodeToString(make([]byte, 24))
	window := make(chan struct{}, inFlight)
	for m.left.Add(-1) >= 0 {
		window <- struct{}{}
		id := mesh.NewClientID(time.Now())
		m.q.Accept(b.Context(), from, protocol.SendRequest{
			ID: string(id), TargetSpec: string(to.SessionKey), Priority: mesh.Next, Nonce: nonce, Ciphertext: body,
			ClientMessageID: id, RequestFingerprint: strings.Repeat("ab", 32),
		}, func(a protocol.Ack, _ error) {
			if !a.Queued {
				b.Errorf("got %+v", a)
			}
			if _, err := protocol.Send.EncodeReply("", a); err != nil { // as the mux does
				b.Error(err)
			}
			<-window
		})
	}
	for range inFlight {
		window <- struct{}{}
	}
}

// meter is a queue that counts what it asks the store for.
type meter struct {
	db                 *sqlite.DB
	q                  *Queue
	left               atomic.Int64 // to be sent
	groups, statements atomic.Int64
}

func newMeter(b *testing.B) *meter {
	set := settings()
	set.PairRows, set.PairBytes, set.RecipientBytes, set.MeshBytes = 1<<30, 1<<50, 1<<50, 1<<50
	set.SendPerSecond, set.SendBurst = 1<<30, 1<<30
	db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "broker.db"), time.Now, nil)
	if err != nil {
		b.Fatal(err)
	}
	m := &meter{db: db, q: New(Options{DB: db, Settings: set, Now: time.Now, Log: slog.New(slog.DiscardHandler)})}
	stored := m.q.writer.done
	m.q.writer.done = func(ops []op, err error) {
		m.count(ops)
		stored(ops, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.q.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, db.Close()); err != nil {
			b.Error(err)
		}
	})
	return m
}

func (m *meter) count(ops []op) {
	m.groups.Add(1)
	m.statements.Add(2) // begin, commit
	for _, o := range ops {
		switch o := o.(type) {
		case *accept:
			m.statements.Add(1 + int64(len(o.placed))) // the message, its copies
		case *finish:
			m.statements.Add(1)
		}
	}
}

func benchMesh(b *testing.B, db *sqlite.DB, senders int) []*session.Session {
	var people []*session.Session
	err := db.Write(context.Background(), func(tx *sqlite.Tx) error {
		m := store.Mesh{ID: id("m"), Slug: "m", Name: "m", OwnerKey: key("m"), CreatedAt: time.Now()}
		if err := store.AddMesh(tx, m); err != nil {
			return err
		}
		for i := range senders + 1 {
			name := fmt.Sprintf("p%dz", i)
			s := &session.Session{
				Conn: mesh.ConnID(i + 1), Mesh: m.ID, Member: id(name), MemberKey: key(name), SessionKey: key(name + "s"), Name: name, Go: true,
			}
			row, _, err := store.AddMember(tx, store.Member{ID: s.Member, Mesh: m.ID, Key: s.MemberKey, Name: name, Role: store.RoleMember, JoinedAt: time.Now()})
			if err != nil {
				return err
			}
			if _, err := store.ClaimSession(tx, store.Session{Mesh: m.ID, Key: s.SessionKey, Member: row.N, Proved: true, LastSeen: time.Now()}); err != nil {
				return err
			}
			people = append(people, s)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return people
}

func attachBench(b *testing.B, q *Queue, s *session.Session, out Outbound) {
	var at store.Box
	err := q.db.Read(b.Context(), func(tx *sqlite.Tx) error {
		found, err := store.FindCaller(tx, s.Mesh, s.MemberKey, s.SessionKey)
		at = store.Box{Member: found.Member.N, Session: found.Session.N}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	err = q.Attach(context.Background(), hub.Conn{
		ID: s.Conn, Mesh: s.Mesh, Member: s.Member, MemberKey: s.MemberKey, SessionKey: s.SessionKey, Name: s.Name,
		Role: mesh.SessionRole, Lease: true, Receipts: true, Go: true, Status: mesh.Idle,
	}, at, out, nil)
	if err != nil {
		b.Fatal(err)
	}
}
