package broker

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"net"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/replay"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

var noon = time.UnixMilli(1_700_000_000_000)

// FuzzHello feeds bytes to the handshake. What it lets through must be signed by the keys that it names.
func FuzzHello(f *testing.F) {
	set := config.DefaultBroker()
	now := func() time.Time { return noon }
	m := &team{site: &site{now: now}, id: "0123456789abcdefghijklmnopqrstuv"}
	alice := person{name: "alice", id: "vutsrqponmlkjihgfedcba9876543210", key: keyOf("alice")}
	f.Add(m.hello(alice, nil))
	f.Add(m.hello(alice, func(r *protocol.HelloRequest) { r.SessionPubkey, r.Capabilities = keyOf("s").Public().String(), nil }))
	f.Add(m.sessionHello(alice, keyOf("s"), nil))
	from := arrival{hosts: []string{"127.0.0.1:7900"}, challenge: seal.Challenge{1}.String()}
	f.Add(m.authHello(from, alice, nil))
	f.Add(m.authSessionHello(from, alice, keyOf("s"), nil))
	f.Add([]byte(`{"type":"hello"}`))
	f.Add([]byte(`{"type":"session_hello","parentAttestation":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &doors{set: set, now: now, seen: replay.New(replayTime, now), seats: newSeats(set, func(config.Bound) {}), hellos: newPace[seat](set.MemberHellos), requests: newPace[seat](set.MemberRequests)}
		for _, typ := range []string{protocol.Hello.Type, protocol.SessionHello.Type} {
			p, err := d.prove(from, typ, data)
			if err != nil {
				if code := mesh.CodeOf(err); !code.Known() || code == mesh.Internal {
					t.Errorf("got %v, want a code of the table", err)
				}
				continue
			}
			for _, key := range []mesh.Key{p.member, p.session} {
				if key != "" && !mesh.IsKey(string(key)) {
					t.Errorf("let %q through as a key", key)
				}
			}
			if _, err := d.welcome(p, acquaintance{Caller: store.Caller{Member: store.Member{Name: "alice"}}}); err != nil && !mesh.IsCode(err, mesh.BadName) {
				t.Errorf("welcome: %v", err)
			}
		}
	})
}

// FuzzFrame feeds bytes to the handlers, behind the handshake. Every answer is one JSON object.
func FuzzFrame(f *testing.F) {
	s, who := fuzzServer(f)
	for _, seed := range []string{
		`{"type":"list_peers","_reqId":"1","includeOffline":true,"limit":3,"after":"c1"}`,
		`{"type":"send","id":"1","client_message_id":"x","targetSpec":"*","priority":"now","nonce":"","ciphertext":"aGVsbG8="}`,
		`{"type":"client_ack","brokerMessageId":"x"}`,
		`{"type":"message_status","_reqId":"1","messageId":"12345678"}`,
		`{"type":"receipts_since","_reqId":"1","seq":-1,"limit":1}`,
		`{"type":"invite_create","_reqId":"1","operation":{"nonce":"","at_ms":1,"key":"","signature":""}}`,
		`{"type":"invite_revoke","inviteId":"x"}`, `{"type":"invite_list","_reqId":"1"}`, `{"type":"hello"}`, `{"type":"bye"}`, `{"type":"x","_reqId":"1"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := wire.ReadHead(data)
		if err != nil || h.Type == protocol.MeshLeave.Type {
			return
		}
		answers := make(chan []byte, 16)
		s.mux.Serve(t.Context(), who, wire.Caller{Go: true, Send: func(frame []byte) { answers <- frame }}, h, data)
		_ = s.db.Write(t.Context(), func(*sqlite.Tx) error { return nil }) // what was taken is on the disk, or refused
		for len(answers) > 0 {
			if frame := <-answers; !json.Valid(frame) || frame[0] != '{' {
				t.Errorf("%s was answered with %s", data, frame)
			}
		}
	})
}

// fuzzServer is a broker without a network, and a member of its only mesh.
func fuzzServer(f *testing.F) (*server, *session.Session) {
	db, err := store.Open(f.Context(), f.TempDir()+"/broker.db", time.Now, nil)
	if err != nil {
		f.Fatal(err)
	}
	m := store.Mesh{ID: mesh.NewID(), Slug: "m", Name: "m", OwnerKey: mesh.Key(keyOf("owner").Public().String())}
	alice := store.Member{ID: mesh.NewID(), Mesh: m.ID, Key: mesh.Key(keyOf("alice").Public().String()), Name: "alice", Role: store.RoleAdmin}
	err = db.Write(f.Context(), func(tx *sqlite.Tx) error {
		if err := store.AddMesh(tx, m); err != nil {
			return err
		}
		_, _, err := store.AddMember(tx, alice)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	work, stop := context.WithCancel(context.Background())
	set := config.DefaultBroker()
	set.MemberRequests = math.MaxInt32 // the bound is not what is looked for
	s := newServer(work, Options{Settings: set, Now: time.Now, Log: slog.New(slog.DiscardHandler)}, &net.TCPAddr{}, parent{db: db, count: newMetrics()})
	done := make(chan error, 1)
	go func() { done <- s.queue.Run(work) }()
	f.Cleanup(func() {
		stop()
		<-done
		_ = db.Close() // of a folder that goes
	})
	return s, &session.Session{
		Conn: 1, Mesh: m.ID, OwnerKey: m.OwnerKey, Member: alice.ID, MemberKey: alice.Key, Name: "alice", Admin: true, Go: true, Hosts: []string{"127.0.0.1:7900"},
	}
}
