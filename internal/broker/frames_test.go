package broker

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// A hello of another time is told the right one.
func TestThreat3HelloOfAnotherTime(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	for _, offset := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		c := s.connect(t)
		c.send(t, m.hello(m.first, func(r *protocol.HelloRequest) { r.Timestamp += offset.Milliseconds() }))
		if got := c.next(t); !strings.Contains(got, `"timestamp_skew"`) || !strings.Contains(got, time.Now().UTC().Format("2006-01-02T15:")) {
			t.Errorf("%v: got %s, want timestamp_skew with the time", offset, got)
		}
		c.wantClose(t, websocket.StatusPolicyViolation, "timestamp_skew")
	}
}

// Keys and signatures of another length, case or encoding.
func TestThreat4HelloOfOddKeys(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	good := m.first.pub()
	for name, edit := range map[string]func(*protocol.HelloRequest){
		"31 bytes":             func(r *protocol.HelloRequest) { r.Pubkey = good[:62] },
		"33 bytes":             func(r *protocol.HelloRequest) { r.Pubkey += "00" },
		"upper case":           func(r *protocol.HelloRequest) { r.Pubkey = strings.ToUpper(good) },
		"no hex":               func(r *protocol.HelloRequest) { r.Pubkey = strings.Repeat("zz", 32) },
		"base64":               func(r *protocol.HelloRequest) { r.Pubkey = seal.Base64(make([]byte, 32)) },
		"63-byte signature":    func(r *protocol.HelloRequest) { r.Signature = strings.Repeat("0", 126) },
		"upper-case signature": func(r *protocol.HelloRequest) { r.Signature = strings.ToUpper(signHello(*r, m.first.key)) },
		"base64 signature":     func(r *protocol.HelloRequest) { r.Signature = seal.Base64(make([]byte, 64)) },
		"not on the curve":     func(r *protocol.HelloRequest) { r.Pubkey = "02" + strings.Repeat("0", 62) },
	} {
		c := s.connect(t)
		c.send(t, m.hello(m.first, edit))
		if got := c.next(t); !strings.Contains(got, `"code":"malformed"`) {
			t.Errorf("%s: got %s, want malformed", name, got)
		}
		c.wantClose(t, websocket.StatusPolicyViolation, "malformed")
	}
}

// A key of small order, under which one signature is good for every text.
func TestThreat5HelloOfWeakKeys(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	identity := "01" + strings.Repeat("0", 62)
	for name, frame := range map[string][]byte{
		"member": m.hello(m.first, func(r *protocol.HelloRequest) {
			r.Pubkey, r.Signature = identity, identity+strings.Repeat("0", 64)
		}),
		"session": m.hello(m.first, func(r *protocol.HelloRequest) { r.SessionPubkey = identity }),
	} {
		c := s.connect(t)
		c.send(t, frame)
		c.wantError(t, "weak_key")
		c.wantClose(t, websocket.StatusPolicyViolation, "weak_key")
		_ = name
	}
}

// Too long, by what comes and by what is announced.
func TestThreat11FramesThatAreTooLong(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	early := s.connect(t)
	early.send(t, []byte(`{"type":"hello","meshId":"`+strings.Repeat("x", 16<<10)+`"}`))
	early.wantClose(t, websocket.StatusMessageTooBig, "payload_too_large")

	member := m.enter(t, m.first, nil)
	member.send(t, []byte(`{"type":"list_peers","_reqId":"1","x":"`+strings.Repeat("x", 60_000)+`"}`))
	if got := member.next(t); !strings.Contains(got, "peers_list") {
		t.Errorf("within the limit: got %.80s", got)
	}
	member.send(t, []byte(strings.Repeat("x", 64<<10+1)))
	member.wantClose(t, websocket.StatusMessageTooBig, "payload_too_large")

	for name, frame := range map[string][]byte{
		"1 TiB": clientFrame(0x81, 1<<40, 0), "2^63": clientFrame(0x81, 1<<63, 0), "2^64-1": clientFrame(0x81, 1<<64-1, 0),
		"fragments": append(clientFrame(0x01, 10_000, 10_000), clientFrame(0x00, 10_000, 0)...),
	} {
		c := s.upgradeRaw(t)
		if _, err := c.Write(frame); err != nil {
			t.Fatal(err)
		}
		if code := c.closeCode(t); code != 1009 {
			t.Errorf("%s: closed with %d, want 1009", name, code)
		}
	}
}

// Compression is not offered, so nothing inflates.
func TestThreat12CompressionIsDeclined(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	ws, resp, err := websocket.Dial(t.Context(), s.base+"/ws", &websocket.DialOptions{HTTPClient: s.web, CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.CloseNow() }()
	if got := resp.Header.Get("Sec-WebSocket-Extensions"); got != "" {
		t.Errorf("got extensions %q, want none", got)
	}
	c := s.upgradeRaw(t)
	if _, err := c.Write(clientFrame(0x81|0x40, 4, 4)); err != nil { // with the bit of a compressed message
		t.Fatal(err)
	}
	if code := c.closeCode(t); code != 1002 {
		t.Errorf("a compressed message: closed with %d, want 1002", code)
	}
}

// Deep, wide, doubled or trailing JSON costs little and means nothing.
func TestThreat13OddJSON(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	c := m.enter(t, m.first, nil)
	var wide strings.Builder
	for i := range 6_000 { // what fits into a frame
		fmt.Fprintf(&wide, `,"k%d":1`, i)
	}
	for name, frame := range map[string]string{
		"20,000 levels":    `{"type":"list_peers","_reqId":"odd","x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
		"6,000 names":      `{"type":"message_status","_reqId":"odd"` + wide.String() + `,"messageId":7}`,
		"a long number":    `{"type":"message_status","_reqId":"odd","messageId":` + strings.Repeat("9", 60_000) + `}`,
		"a name twice":     `{"type":"list_peers","_reqId":"odd","limit":1,"limit":2}`,
		"another case":     `{"type":"list_peers","_reqId":"odd","LIMIT":1}`,
		"a trailing frame": `{"type":"list_peers","_reqId":"odd"}{"type":"list_peers","_reqId":"odd"}`,
	} {
		c.send(t, []byte(frame))
		c.send(t, []byte(`{"type":"list_peers","_reqId":"after"}`))
		got := c.next(t)
		if strings.Contains(got, `"_reqId":"odd"`) {
			if !strings.Contains(got, `"code":"invalid_json"`) {
				t.Errorf("%s: got %.200s, want invalid_json", name, got)
			}
			got = c.next(t)
		}
		if !strings.Contains(got, `"_reqId":"after"`) {
			t.Errorf("%s: got %.200s, want the answer to the frame behind it", name, got)
		}
	}
}

// Text that is not UTF-8, and names that command a terminal.
func TestThreat14OddText(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	early := s.connect(t)
	early.send(t, []byte("{\"type\":\"hello\",\"meshId\":\"\xff\"}"))
	early.wantClose(t, websocket.StatusInvalidFramePayloadData, "not UTF-8")

	c := m.enter(t, m.first, nil)
	c.send(t, []byte(`{"type":"list_peers","_reqId":"1","after":"\ud800"}`))
	c.send(t, []byte(`{"type":"list_peers","_reqId":"2"}`))
	if got := c.next(t); !strings.Contains(got, `"invalid_json"`) && !strings.Contains(got, `"_reqId":"2"`) {
		t.Errorf("a lone surrogate: got %s", got)
	}
	for i, name := range []string{"a\x00b", "a\u202eb", "\x1b[2J", "a\nb"} {
		c := s.connect(t)
		c.send(t, m.hello(m.first, func(r *protocol.HelloRequest) {
			r.Presence.DisplayName = name
			r.Timestamp += int64(1000 * (i + 1)) // no replay of another
		}))
		c.wantError(t, "bad_name")
		c.wantClose(t, websocket.StatusPolicyViolation, "bad_name")
	}
	old := m.enter(t, m.first, func(r *protocol.HelloRequest) {
		r.Capabilities, r.Presence.DisplayName = nil, "admin"
		r.Presence.CWD, r.Presence.SessionID = "/a\x1b[31mb", "old"
	})
	old.send(t, []byte(`{"type":"list_peers"}`))
	for got := old.next(t); ; got = old.next(t) {
		if strings.Contains(got, "peers_list") {
			if strings.Contains(got, `"admin"`) || strings.Contains(got, `\u001b`) || !strings.Contains(got, `"cwd":"/a[31mb"`) {
				t.Errorf("got %s, want another name and no escapes", got)
			}
			break
		}
	}
}

// Frames against the protocol end the connection and leave nothing behind.
func TestThreat15FramesAgainstTheProtocol(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	for name, c := range map[string]struct {
		frame []byte
		code  int
	}{
		"not masked":            {[]byte{0x81, 2, '{', '}'}, 1002},
		"a reserved opcode":     {clientFrame(0x83, 1, 1), 1002},
		"a reserved bit":        {clientFrame(0x81|0x20, 1, 1), 1002},
		"a fragmented ping":     {clientFrame(0x09, 1, 1), 1002},
		"a ping of 126 bytes":   {clientFrame(0x89, 126, 126), 1002},
		"a close with 1 byte":   {clientFrame(0x88, 1, 1), 1002},
		"a close with 1005":     {append([]byte{0x88, 0x82, 0, 0, 0, 0}, 0x03, 0xed), 1002},
		"a lost continuation":   {clientFrame(0x80, 1, 1), 1002},
		"text within a text":    {append(clientFrame(0x01, 1, 1), clientFrame(0x81, 1, 1)...), 1002},
		"an announced tebibyte": {clientFrame(0x89, 1<<40, 0), 1009},
	} {
		conn := s.upgradeRaw(t)
		if _, err := conn.Write(c.frame); err != nil {
			t.Fatal(err)
		}
		if code := conn.closeCode(t); code != c.code {
			t.Errorf("%s: closed with %d, want %d", name, code, c.code)
		}
	}
}

// Whom a frame names as its sender does not matter.
func TestThreat7SenderIsTheConnection(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	session := seal.NewSecretKey()
	recipient := m.enterSession(t, bob, session)
	sender := m.enter(t, m.first, nil)
	sender.send(t, []byte(fmt.Sprintf(`{"type":"send","id":"1","targetSpec":%q,"priority":"now","nonce":%q,"ciphertext":%q,"from":%q,"sender":%q,"senderPubkey":%q,"senderName":"bob"}`,
		session.Public(), seal.NewNonce(), seal.Base64(make([]byte, 32)), bob.pub(), bob.pub(), bob.pub())))
	push := recipient.next(t)
	if !strings.Contains(push, `"senderPubkey":"`+m.first.pub()+`"`) || !strings.Contains(push, `"senderName":"alice"`) || strings.Contains(push, bob.pub()) {
		t.Errorf("got %s, want it from alice", push)
	}
}

// Connections that say nothing, or say it slowly, are dropped and hold nobody up.
func TestThreat16SlowStrangers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSite(t, nil)
		m := s.found(t)
		conns := make([]*raw, 300)
		for i := range conns {
			conns[i] = s.upgradeRaw(t)
			if _, err := conns[i].Write(clientFrame(0x81, 10_000, 10)); err != nil { // the beginning of a frame
				t.Fatal(err)
			}
		}
		m.enter(t, m.first, nil) // they hold nobody up
		start := time.Now()
		for i, c := range conns {
			if code := c.closeCode(t); code != 1008 {
				t.Errorf("stranger %d: closed with %d, want 1008", i, code)
			}
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("dropped after %v, want 5 to 10 s", took)
		}
	})
}

// One key has its bound of connections; others get in.
func TestThreat17ConnectionsOfOneMember(t *testing.T) {
	t.Parallel()
	s := openSite(t, func(o *Options) { o.Settings.MemberConnections = 3 })
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	sit := func(n int) func(*protocol.HelloRequest) {
		return func(r *protocol.HelloRequest) { r.Presence.SessionID = fmt.Sprint(n) }
	}
	for n := range 3 {
		m.enter(t, m.first, sit(n))
	}
	c := s.connect(t)
	c.send(t, m.hello(m.first, sit(3)))
	c.wantError(t, "capacity")
	c.wantClose(t, websocket.StatusPolicyViolation, "capacity")
	m.enter(t, m.first, sit(0)) // takes over
	m.enter(t, bob, sit(0))
}

// A member that left is cut at once and does not come back; what waits for it ends.
func TestThreat39MemberThatLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSite(t, nil)
		m := s.found(t)
		bob := m.join(t, m.invite(t, 1), "bob")
		time.Sleep(time.Second)
		sender := m.enter(t, m.first, nil)
		sender.send(t, []byte(`{"type":"send","id":"1","client_message_id":"1","targetSpec":"`+bob.pub()+`","priority":"low","nonce":"////////////////////////////////","ciphertext":"AAECAwQFBgcICQoLDA0ODxAREhM="}`))
		if got := sender.next(t); !strings.Contains(got, `"queued":true`) {
			t.Errorf("got %s, want an ack", got)
		}
		daemon := m.enter(t, bob, func(r *protocol.HelloRequest) { r.Presence.PeerRole = mesh.ControlPlane })
		session := m.enterSession(t, bob, seal.NewSecretKey())
		if got := daemon.next(t); !strings.Contains(got, `"type":"push"`) {
			t.Errorf("got %s, want the push", got)
		}
		daemon.send(t, []byte(`{"type":"mesh_leave","_reqId":"1"}`))
		if got := daemon.next(t); got != `{"type":"mesh_left","_reqId":"1","left":true}` {
			t.Errorf("got %s, want mesh_left", got)
		}
		daemon.wantClose(t, websocket.StatusNormalClosure, "left")
		session.wantClose(t, websocket.StatusNormalClosure, "left")
		again := s.connect(t)
		again.send(t, m.hello(bob, func(r *protocol.HelloRequest) { r.Timestamp++ }))
		again.wantError(t, string(mesh.Revoked))
		again.wantClose(t, 4002, "banned")
		time.Sleep(10 * time.Minute)
		if got := sender.next(t); !strings.Contains(got, `"type":"receipt"`) || !strings.Contains(got, `"state":"expired"`) {
			t.Errorf("got %s, want an expired receipt", got)
		}
	})
}
