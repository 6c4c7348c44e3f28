package broker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// The same bytes on a new connection, in the same minute: who overheard a hello cannot use it.
func TestThreat1ReplayedHello(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	for name, frame := range map[string][]byte{
		"hello":         m.hello(m.first, func(r *protocol.HelloRequest) { r.Timestamp++ }),
		"session_hello": m.sessionHello(m.first, seal.NewSecretKey(), nil),
	} {
		first := s.connect(t)
		first.send(t, frame)
		if got := first.next(t); !strings.Contains(got, `"type":"hello_ack"`) {
			t.Fatalf("%s: got %s, want hello_ack", name, got)
		}
		again := s.connect(t)
		again.send(t, frame)
		again.wantError(t, "replay")
		again.wantClose(t, websocket.StatusPolicyViolation, "replay")
		first.send(t, []byte(`{"type":"list_peers","_reqId":"1"}`))
		first.nextOf(t, "peers_list") // it was not replaced
	}
}

// What was signed for another mesh or another broker opens nothing, and uses nothing up.
func TestThreat2SignedForElsewhere(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	c := s.connect(t)
	c.send(t, m.hello(m.first, func(r *protocol.HelloRequest) {
		elsewhere := *r
		elsewhere.MeshID = string(mesh.NewID())
		r.Signature = signHello(elsewhere, m.first.key)
	}))
	c.wantError(t, "bad_signature")
	c.wantClose(t, websocket.StatusPolicyViolation, "bad_signature")

	code, bob := m.invite(t, 1), person{name: "bob", key: seal.NewSecretKey()}
	exchange := seal.NewX25519Secret()
	claim := protocol.ClaimRequest{RecipientX25519: exchange.Public().String(), PeerPubkey: bob.pub(), DisplayName: "bob"}
	signed := seal.Claim{Host: "evil.example:443", CodeHash: seal.CodeHash(code), Recipient: exchange.Public(), Peer: bob.key.Public()}
	claim.Proof = must(signed.Sign(bob.key)).String()
	var refusal protocol.HTTPError
	s.post(t, "/invites/"+code+"/claim", claim, &refusal, mesh.BadSignature.Status())
	if refusal.Code != mesh.BadSignature {
		t.Errorf("a claim for another broker: got %+v, want bad_signature", refusal)
	}
	m.joinAs(t, code, bob) // the one use is still there
}

// Ten connections of one member send a thousand messages each in a second. It gets what its bucket holds; each other
// frame is refused with the time until there is room, and another member does not notice.
func TestThreat17TenThousandSends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSite(t, nil)
		m := s.found(t)
		bob := m.join(t, m.invite(t, 1), "bob")
		pass(time.Second)
		calm := m.enter(t, bob, nil)
		var flood []*client
		for i := range 10 {
			flood = append(flood, m.enter(t, m.first, func(r *protocol.HelloRequest) { r.Timestamp += int64(i); r.Presence.SessionID = fmt.Sprint(i) }))
		}
		accepted, refused := 0, 0
		for range 10 {
			for _, c := range flood {
				for range 100 {
					c.send(t, []byte(`{"type":"send","id":"x","targetSpec":"*","priority":"low","nonce":"","ciphertext":"aGVsbG8="}`))
				}
			}
			start := time.Now()
			if ack := calm.sendTo(t, m.first.pub(), fmt.Sprint(start.UnixNano()), 100); !ack.Queued || time.Since(start) > 10*time.Millisecond {
				t.Errorf("another member: got %+v after %v", ack, time.Since(start))
			}
			pass(100 * time.Millisecond)
		}
		for _, c := range flood {
			for range 1000 {
				var ack protocol.Ack
				if err := json.Unmarshal([]byte(c.nextOf(t, "ack")), &ack); err != nil {
					t.Fatal(err)
				}
				switch {
				case ack.Queued:
					accepted++
				case ack.Code == mesh.RateLimited && ack.RetryMs > 0:
					refused++
				}
			}
		}
		if most := s.set.SendBurst + s.set.SendPerSecond; accepted < s.set.SendBurst || accepted > most || accepted+refused != 10_000 {
			t.Errorf("got %d accepted and %d refused with a time, want %d to %d and the rest", accepted, refused, s.set.SendBurst, most)
		}
	})
}

// Groups and targets whose names mean something else, or are too long, are refused, and nothing is kept of them.
func TestThreat19OddGroupsAndTargets(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	c := m.enter(t, m.first, nil)
	long := strings.Repeat("g", 10_000)
	for _, name := range []string{"*", "#", "#x", "../x", "/x", "a b", "ops\x00", "\u202eops", "о\u0440s", "@@ops", "", long} {
		c.send(t, must(protocol.JoinGroup.Encode("1", protocol.JoinGroupRequest{Name: name})))
		if got := c.nextOf(t, "error"); !strings.Contains(got, `"code":"bad_name"`) || !strings.Contains(got, `"_reqId":"1"`) {
			t.Errorf("join %.20q: got %.200s, want bad_name", name, got)
		}
	}
	c.send(t, []byte(`{"type":"list_groups","_reqId":"2"}`))
	if got := c.nextOf(t, "group_list"); !strings.Contains(got, `"groups":[]`) {
		t.Errorf("got %s, want no groups", got)
	}
	for _, to := range []string{"@", "@../x", "@*", "@ops\x00", "#", "**", "", "о", "@" + long, strings.Repeat("ab", 31)} {
		ack := c.sendTo(t, to, "id-"+fmt.Sprint(len(to)), 10)
		if ack.Queued || ack.Code.Retryable() || !strings.HasSuffix(ack.Error, "(invalid)") {
			t.Errorf("send to %.20q: got %+v, want it refused for good", to, ack)
		}
	}
	if _, body := s.do(t, s.request(t, http.MethodGet, "/metrics", nil)); !strings.Contains(body, "\n"+protocol.MetricDepth.Name+" 0\n") {
		t.Errorf("something was queued:\n%s", body)
	}
}

// A request of a client of ours with a `_reqId` gets an answer under it, whatever its type and however little it says
// (lessons 4, test 10).
func TestLesson410NoRequestGoesUnanswered(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	c := m.enter(t, m.first, nil)
	types := []string{"nonsense"}
	for _, e := range wire.Catalogue() {
		if !e.Event && e.Reply != "" {
			types = append(types, e.Type)
		}
	}
	for _, typ := range types {
		id := "id-of-" + typ
		c.send(t, fmt.Appendf(nil, `{"type":%q,"_reqId":%q,"id":%q}`, typ, id, id))
		for got := c.next(t); !strings.Contains(got, `"`+id+`"`); got = c.next(t) {
			if strings.Contains(got, `"_reqId"`) {
				t.Fatalf("%q: got %.200s, want an answer under %s", typ, got, id)
			}
		}
	}
}
