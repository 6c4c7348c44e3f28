package broker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// TestBounds meets every bound of a broker: what is at it goes on, what is one over is turned away with the code of its
// row and counted, and the broker goes on with others (design D3, F2). A bound without an entry here fails.
func TestBounds(t *testing.T) {
	t.Parallel()
	cases := atBounds()
	for _, row := range config.Bounds() {
		meet, ok := cases[row.Bound]
		if !ok {
			t.Errorf("no test meets the bound %s", row.Bound)
			continue
		}
		t.Run(string(row.Bound), func(t *testing.T) {
			t.Parallel()
			meet(t, row)
		})
	}
}

// meet meets one bound, in a broker of its own.
type meet func(*testing.T, config.BoundRow)

func atBounds() map[config.Bound]meet {
	return map[config.Bound]meet{
		config.BoundPairRows:       fill(func(set *config.Broker) { set.PairRows = 2 }, try{10, true}, try{10, true}, try{10, false}),
		config.BoundPairBytes:      fill(func(set *config.Broker) { set.PairBytes = 2 * charge(1000) }, try{1000, true}, try{1001, false}, try{1000, true}),
		config.BoundRecipientBytes: fill(func(set *config.Broker) { set.RecipientBytes = 2 * charge(1000) }, try{1000, true}, try{1001, false}, try{1000, true}),
		config.BoundMeshBytes:      fill(func(set *config.Broker) { set.MeshBytes = 2 * charge(1000) }, try{1000, true}, try{1001, false}, try{1000, true}),
		config.BoundSendPerSecond:  meetRate,
		config.BoundSendBurst:      meetBurst,

		config.BoundMessageTTL:  meetMessageTTL,
		config.BoundDedupeTTL:   meetDedupeTTL,
		config.BoundDedupeRows:  meetDedupeRows,
		config.BoundSessionSeen: meetSessionSeen,

		config.BoundConnections:       crowded(func(set *config.Broker) { set.Connections = 2 }),
		config.BoundMeshConnections:   crowded(func(set *config.Broker) { set.MeshConnections = 2 }),
		config.BoundMemberConnections: crowded(func(set *config.Broker) { set.MemberConnections = 2 }),
		config.BoundMemberHellos:      meetMemberHellos,
		config.BoundMemberRequests:    meetMemberRequests,

		config.BoundAddressConnections: meetAddressConnections,
		config.BoundAddressConnects:    meetAddressConnects,
		config.BoundAddressFailures:    meetAddressFailures,
		config.BoundAddressRequests:    meetAddressRequests,

		config.BoundFrameBytes:   meetFrameBytes,
		config.BoundHelloBytes:   meetHelloBytes,
		config.BoundHelloTimeout: meetHelloTimeout,
		config.BoundDeadAfter:    meetDeadAfter,
		config.BoundPeersPage:    meetPeersPage,
		config.BoundMemberSkills: meetMemberSkills,
	}
}

// wantMet compares how often a bound was met with what /metrics says.
func (s *site) wantMet(t *testing.T, bound config.Bound, want int) {
	t.Helper()
	req := s.request(t, http.MethodGet, protocol.PathMetrics, nil)
	req.Header.Set("Authorization", "Bearer "+s.token)
	status, body := s.do(t, req)
	if status != http.StatusOK {
		t.Fatalf("metrics: got %d %s", status, body)
	}
	got := 0
	line := regexp.MustCompile(`(?m)^` + protocol.MetricLimits.Name + `\{limit="` + string(bound) + `"\} (\d+)$`)
	if m := line.FindStringSubmatch(body); m != nil {
		got = must(strconv.Atoi(m[1]))
	}
	if got != want {
		t.Errorf("%s was counted %d times, want %d:\n%s", bound, got, want, body)
	}
}

// inBubble is a bound that is met on a memory network, whose clock moves when everything waits.
func inBubble(edit func(*Options), test func(*testing.T, *team, config.BoundRow)) meet {
	return func(t *testing.T, row config.BoundRow) {
		synctest.Test(t, func(t *testing.T) {
			s := bubbleSite(t, edit)
			m := s.found(t)
			test(t, m, row)
		})
	}
}

// pass lets time go by in a bubble.
func pass(d time.Duration) { <-time.After(d) }

func settings(edit func(*config.Broker)) func(*Options) {
	return func(o *Options) { edit(&o.Settings) }
}

// nextOf waits for a frame of a type and passes over others.
func (c *client) nextOf(t testing.TB, typ string) string {
	t.Helper()
	for {
		if got := c.next(t); strings.Contains(got, `"type":"`+typ+`"`) {
			return got
		}
	}
}

// sendTo sends a message with a body of some bytes, and returns its ack.
func (c *client) sendTo(t testing.TB, to, id string, size int) (ack protocol.Ack) {
	t.Helper()
	c.send(t, must(protocol.Send.Encode("", protocol.SendRequest{
		ID: id, ClientMessageID: mesh.ClientID(id), TargetSpec: to, Priority: mesh.Next,
		Nonce: seal.Base64(make([]byte, 24)), Ciphertext: seal.Base64(make([]byte, size)),
	})))
	if err := json.Unmarshal([]byte(c.nextOf(t, "ack")), &ack); err != nil {
		t.Fatal(err)
	}
	return ack
}

// charge is what a copy of a box of some bytes counts against the bounds of bytes: with its nonce, and a row.
func charge(size int) int64 { return int64(size) + 24 + 256 }

// try is a message of a size, and whether it finds room.
type try struct {
	size int
	room bool
}

// fill sends to an absent member until a bound is met.
func fill(edit func(*config.Broker), tries ...try) meet {
	return inBubble(settings(edit), func(t *testing.T, m *team, row config.BoundRow) {
		bob := m.join(t, m.invite(t, 1), "bob")
		pass(time.Second) // the next hello is another one
		alice := m.enter(t, m.first, nil)
		refused := 0
		for i, x := range tries {
			ack := alice.sendTo(t, bob.pub(), fmt.Sprint(i), x.size)
			if ack.Queued != x.room || !x.room && ack.Code != row.Code {
				t.Errorf("message %d of %d bytes: got %+v, want room: %v", i, x.size, ack, x.room)
			}
			if !x.room {
				refused++
			}
		}
		m.site.wantMet(t, row.Bound, refused)
	})
}

// meetRate sends faster than the rate allows, once the burst is used up.
func meetRate(t *testing.T, row config.BoundRow) {
	inBubble(settings(func(set *config.Broker) { set.SendPerSecond, set.SendBurst = 2, 1 }), func(t *testing.T, m *team, row config.BoundRow) {
		alice := m.enter(t, m.first, func(r *protocol.HelloRequest) { r.Timestamp++ })
		for i := range 3 {
			if ack := alice.sendTo(t, "*", fmt.Sprint("a", i), 10); !ack.Queued {
				t.Errorf("at the rate: got %+v", ack)
			}
			if ack := alice.sendTo(t, "*", fmt.Sprint("b", i), 10); ack.Code != row.Code || ack.RetryMs != 500 {
				t.Errorf("over the rate: got %+v, want %s and 500 ms", ack, row.Code)
			}
			pass(500 * time.Millisecond)
		}
		m.site.wantMet(t, row.Bound, 3)
	})(t, row)
}

func meetBurst(t *testing.T, row config.BoundRow) {
	inBubble(settings(func(set *config.Broker) { set.SendPerSecond, set.SendBurst = 1, 5 }), func(t *testing.T, m *team, row config.BoundRow) {
		alice := m.enter(t, m.first, func(r *protocol.HelloRequest) { r.Timestamp++ })
		for i := range 5 {
			if ack := alice.sendTo(t, "*", fmt.Sprint(i), 10); !ack.Queued {
				t.Errorf("message %d of the burst: got %+v", i, ack)
			}
		}
		if ack := alice.sendTo(t, "*", "over", 10); ack.Code != row.Code || ack.RetryMs != 1000 {
			t.Errorf("over the burst: got %+v, want %s and 1 s", ack, row.Code)
		}
		if ack := alice.sendTo(t, "*", "4", 10); !ack.Queued || !ack.Duplicate {
			t.Errorf("one of the burst again: got %+v, want the duplicate that it is", ack)
		}
		m.site.wantMet(t, config.BoundSendPerSecond, 1)
	})(t, row)
}

func meetMessageTTL(t *testing.T, row config.BoundRow) {
	inBubble(settings(func(set *config.Broker) { set.MessageTTL = 10 * time.Second }), func(t *testing.T, m *team, row config.BoundRow) {
		code := m.invite(t, 2)
		bob, carol := m.join(t, code, "bob"), m.join(t, code, "carol")
		pass(time.Second)
		alice := m.enter(t, m.first, nil)
		alice.sendTo(t, bob.pub(), "1", 10)
		alice.sendTo(t, carol.pub(), "2", 10)
		pass(9900 * time.Millisecond)
		old := m.enter(t, bob, func(r *protocol.HelloRequest) { r.Capabilities = nil }) // what is written to it has arrived
		if got := old.nextOf(t, "push"); !strings.Contains(got, `"client_message_id":"1"`) {
			t.Errorf("just before its time: got %s", got)
		}
		pass(3 * time.Second)
		if got := alice.nextOf(t, "receipt"); !strings.Contains(got, `"clientMessageId":"2"`) || !strings.Contains(got, `"state":"expired"`) {
			t.Errorf("got %s, want an expired receipt", got)
		}
		m.site.wantMet(t, row.Bound, 1)
	})(t, row)
}

func meetDedupeTTL(t *testing.T, row config.BoundRow) {
	var later atomic.Int64
	edit := func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) } }
	inBubble(edit, func(t *testing.T, m *team, row config.BoundRow) {
		bob := m.join(t, m.invite(t, 1), "bob")
		pass(time.Second)
		alice := m.enter(t, m.first, nil)
		first := alice.sendTo(t, bob.pub(), "1", 10)
		for _, age := range []time.Duration{0, 14 * 24 * time.Hour} {
			later.Store(int64(age))
			pass(2 * time.Hour)
			if again := alice.sendTo(t, bob.pub(), "1", 10); !again.Duplicate || again.MessageID != first.MessageID {
				t.Errorf("after %v: got %+v, want the duplicate of %s", age, again, first.MessageID)
			}
		}
		m.site.wantMet(t, row.Bound, 0)
		later.Store(int64(22 * 24 * time.Hour)) // receipts are kept for 14 days behind the message's time
		pass(2 * time.Hour)
		if again := alice.sendTo(t, bob.pub(), "1", 10); again.Duplicate || !again.Queued {
			t.Errorf("after all that time: got %+v, want a new message", again)
		}
		m.site.wantMet(t, row.Bound, 1)
	})(t, row)
}

func meetDedupeRows(t *testing.T, row config.BoundRow) {
	inBubble(settings(func(set *config.Broker) { set.DedupeRows = 2 }), func(t *testing.T, m *team, row config.BoundRow) {
		bob := m.join(t, m.invite(t, 1), "bob")
		pass(time.Second)
		alice := m.enter(t, m.first, nil)
		m.enter(t, bob, func(r *protocol.HelloRequest) { r.Capabilities = nil }) // takes what is written as delivered
		for i := range 3 {
			alice.sendTo(t, bob.pub(), fmt.Sprint(i), 10)
			pass(time.Minute)
		}
		pass(2 * time.Hour)
		m.site.wantMet(t, row.Bound, 1)
		for id, duplicate := range map[string]bool{"1": true, "2": true, "0": false} {
			if again := alice.sendTo(t, bob.pub(), id, 10); again.Duplicate != duplicate {
				t.Errorf("message %s again: got %+v, want a duplicate: %v", id, again, duplicate)
			}
		}
	})(t, row)
}

func meetSessionSeen(t *testing.T, row config.BoundRow) {
	inBubble(settings(func(set *config.Broker) { set.SessionSeen = time.Hour }), func(t *testing.T, m *team, row config.BoundRow) {
		bob := m.join(t, m.invite(t, 1), "bob")
		session := seal.NewSecretKey()
		m.enterSession(t, bob, session).leave(t)
		pass(58 * time.Minute)
		alice := m.enter(t, m.first, nil)
		if ack := alice.sendTo(t, session.Public().String(), "1", 10); !ack.Queued {
			t.Errorf("within its time: got %+v", ack)
		}
		pass(5 * time.Minute)
		if ack := alice.sendTo(t, session.Public().String(), "2", 10); ack.Code != row.Code {
			t.Errorf("after its time: got %+v, want %s", ack, row.Code)
		}
		m.site.wantMet(t, row.Bound, 1)
	})(t, row)
}

// crowded fills the places with sessions of one member.
func crowded(edit func(*config.Broker)) meet {
	return func(t *testing.T, row config.BoundRow) {
		s := openSite(t, settings(edit))
		m := s.found(t)
		sit := func(n int) func(*protocol.HelloRequest) {
			return func(r *protocol.HelloRequest) { r.Presence.SessionID = fmt.Sprint(n) }
		}
		first := m.enter(t, m.first, sit(0))
		m.enter(t, m.first, sit(1))
		over := s.connect(t)
		over.send(t, m.hello(m.first, sit(2)))
		over.wantError(t, string(row.Code))
		over.wantClose(t, websocket.StatusPolicyViolation, string(row.Code))
		s.wantMet(t, row.Bound, 1)
		m.enter(t, m.first, sit(0)) // takes over, and needs no place
		first.wantClose(t, websocket.StatusNormalClosure, mesh.ReasonReplaced)
	}
}

func meetMemberHellos(t *testing.T, row config.BoundRow) {
	inBubble(settings(func(set *config.Broker) { set.MemberHellos = 2 }), func(t *testing.T, m *team, row config.BoundRow) {
		forged := m.hello(m.first, func(r *protocol.HelloRequest) { r.Signature = strings.Repeat("0", 128) })
		for range 5 { // in the member's name, by somebody else: costs it nothing
			c := m.site.connect(t)
			c.send(t, forged)
			c.wantError(t, string(mesh.BadSignature))
		}
		for range 2 {
			pass(time.Millisecond)
			m.enter(t, m.first, nil)
		}
		over := m.site.connect(t)
		over.send(t, forged) // refused before its signature is looked at
		over.wantError(t, string(row.Code))
		over.wantClose(t, websocket.StatusPolicyViolation, string(row.Code))
		m.site.wantMet(t, row.Bound, 1)
		pass(30 * time.Second)
		m.enter(t, m.first, nil)
	})(t, row)
}

func meetMemberRequests(t *testing.T, row config.BoundRow) {
	inBubble(settings(func(set *config.Broker) { set.MemberRequests = 4 }), func(t *testing.T, m *team, row config.BoundRow) {
		bob := m.join(t, m.invite(t, 1), "bob") // one request of alice's
		pass(time.Minute)
		one := m.enter(t, m.first, nil)
		two := m.enter(t, m.first, func(r *protocol.HelloRequest) { r.Timestamp++; r.Presence.SessionID = "two" })
		ask := []byte(`{"type":"list_peers","_reqId":"1"}`)
		for _, c := range []*client{one, two, one, two} { // share one bucket
			c.send(t, ask)
			c.nextOf(t, "peers_list")
		}
		two.send(t, ask)
		if got := two.nextOf(t, "error"); !strings.Contains(got, `"code":"`+string(row.Code)+`"`) || !strings.Contains(got, `"_reqId":"1"`) {
			t.Errorf("over the bound: got %s, want %s", got, row.Code)
		}
		if ack := two.sendTo(t, bob.pub(), "1", 10); !ack.Queued {
			t.Errorf("a message: got %+v, want it accepted", ack)
		}
		other := m.enter(t, bob, nil)
		other.send(t, ask)
		other.nextOf(t, "peers_list")
		m.site.wantMet(t, row.Bound, 1)
		pass(15 * time.Second)
		two.send(t, ask)
		two.nextOf(t, "peers_list")
	})(t, row)
}
