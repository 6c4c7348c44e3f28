package broker

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// dialFrom opens a WebSocket in the name of an address, as a proxy on this machine does, or gets a refusal.
func (s *site) dialFrom(t *testing.T, addr string) (*websocket.Conn, *http.Response) {
	t.Helper()
	ws, resp, err := websocket.Dial(t.Context(), s.base+protocol.PathSocket, &websocket.DialOptions{
		HTTPClient: s.web, HTTPHeader: http.Header{"X-Forwarded-For": {addr}},
	})
	if resp == nil {
		t.Fatalf("no answer: %v", err)
	}
	if ws != nil {
		t.Cleanup(func() { _ = ws.CloseNow() })
	}
	return ws, resp
}

// wantUpgrade connects in the name of an address, and compares what becomes of it. Empty is a connection.
func (s *site) wantUpgrade(t *testing.T, addr string, want mesh.Code) *websocket.Conn {
	t.Helper()
	ws, resp := s.dialFrom(t, addr)
	if want == "" {
		if ws == nil {
			t.Fatalf("%s: got status %d, want a connection", addr, resp.StatusCode)
		}
		return ws
	}
	wantRefusal(t, resp, want)
	return nil
}

// wantRefusal compares an HTTP refusal that tells when to come back.
func wantRefusal(t *testing.T, resp *http.Response, want mesh.Code) {
	t.Helper()
	var got protocol.HTTPError
	body, _ := io.ReadAll(resp.Body) // what there is
	if err := json.Unmarshal(body, &got); err != nil || got.Code != want || resp.StatusCode != want.Status() || resp.Header.Get("Retry-After") == "" {
		t.Errorf("got %d %s, Retry-After %q, want %s", resp.StatusCode, body, resp.Header.Get("Retry-After"), want)
	}
}

func meetAddressConnections(t *testing.T, row config.BoundRow) {
	s := openSite(t, settings(func(set *config.Broker) { set.AddressConnections = 2 }))
	first := s.wantUpgrade(t, "192.0.2.1", "")
	s.wantUpgrade(t, "192.0.2.1", "")
	s.wantUpgrade(t, "192.0.2.1", row.Code)
	s.wantMet(t, row.Bound, 1)
	s.wantUpgrade(t, "192.0.2.2", "")
	s.connect(t) // this machine itself
	_ = first.CloseNow()
	for deadline := time.Now().Add(patience); ; {
		if ws, _ := s.dialFrom(t, "192.0.2.1"); ws != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a connection that ended did not come back")
		}
	}
}

func meetAddressConnects(t *testing.T, row config.BoundRow) {
	s := openSite(t, settings(func(set *config.Broker) { set.AddressConnects = 2 }))
	for range 2 {
		_ = s.wantUpgrade(t, "192.0.2.1", "").CloseNow()
	}
	s.wantUpgrade(t, "192.0.2.1", row.Code)
	s.wantMet(t, row.Bound, 1)
	s.wantUpgrade(t, "192.0.2.2", "")
}

func meetAddressFailures(t *testing.T, row config.BoundRow) {
	s := openSite(t, settings(func(set *config.Broker) { set.AddressFailures = 5 }))
	m := s.found(t)
	stranger := m.hello(m.first, func(r *protocol.HelloRequest) { r.MeshID = "nowhere" })
	for _, frame := range []string{
		string(stranger), `{"type":"hello"`, strings.Repeat("x", 20_000), "\xff", strings.Repeat(`{"type":"list_peers"}`+"\n", maxStrangeFrames),
	} {
		ws := s.wantUpgrade(t, "192.0.2.1", "")
		for line := range strings.SplitSeq(strings.TrimSpace(frame), "\n") {
			if err := ws.Write(t.Context(), websocket.MessageText, []byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		for err := error(nil); err == nil; { // until it is closed
			_, _, err = ws.Read(t.Context())
		}
	}
	s.wantUpgrade(t, "192.0.2.1", row.Code)
	s.wantMet(t, row.Bound, 1)
	s.wantUpgrade(t, "192.0.2.2", "")
	m.enter(t, m.first, nil)
}

func meetAddressRequests(t *testing.T, row config.BoundRow) {
	s := openSite(t, func(o *Options) { o.Settings.AddressRequests, o.Settings.Create = 2, "open" })
	ask := func(addr, path string) *http.Response {
		req := s.request(t, http.MethodPost, path, struct{}{})
		req.Header.Set("X-Forwarded-For", addr)
		resp, err := s.web.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	for _, path := range []string{"/invites/abcdefabcdef/claim", protocol.PathMeshes} { // share one bucket
		if resp := ask("192.0.2.1", path); resp.StatusCode == row.Code.Status() {
			t.Errorf("%s: refused within the bound", path)
		}
	}
	for i, path := range []string{"/invites/abcdefabcdef/claim", protocol.PathMeshes} {
		wantRefusal(t, ask("192.0.2.1", path), row.Code)
		s.wantMet(t, row.Bound, i+1)
	}
	if resp := ask("192.0.2.2", protocol.PathMeshes); resp.StatusCode == row.Code.Status() {
		t.Error("another address was refused")
	}
	t.Run("who guesses the create-token", func(t *testing.T) {
		s := openSite(t, settings(func(set *config.Broker) { set.AddressRequests = 2 }))
		s.found(t) // with the token, as often as one likes
		for i, want := range []int{http.StatusUnauthorized, http.StatusUnauthorized, row.Code.Status()} {
			if status, body := s.do(t, s.request(t, http.MethodPost, protocol.PathMeshes, struct{}{})); status != want {
				t.Errorf("guess %d: got %d %s, want %d", i, status, body, want)
			}
		}
		s.wantMet(t, row.Bound, 1)
	})
}

// padded makes a frame of exactly so many bytes by a name that nobody knows.
func padded(frame []byte, size int) []byte {
	const name = `,"padding":""`
	text := strings.TrimSuffix(string(frame), "}")
	return []byte(text + strings.TrimSuffix(name, `"`) + strings.Repeat("x", size-len(frame)-len(name)) + `"}`)
}

func meetFrameBytes(t *testing.T, row config.BoundRow) {
	s := openSite(t, settings(func(set *config.Broker) { set.FrameBytes, set.HelloBytes = 8192, 4096 }))
	m := s.found(t)
	c := m.enter(t, m.first, nil)
	ask := []byte(`{"type":"list_peers","_reqId":"1"}`)
	c.send(t, padded(ask, 8192))
	c.nextOf(t, "peers_list")
	c.send(t, padded(ask, 8193))
	c.wantClose(t, websocket.StatusMessageTooBig, string(row.Code))
	s.wantMet(t, row.Bound, 1)
	m.enter(t, m.first, nil)
}

func meetHelloBytes(t *testing.T, row config.BoundRow) {
	s := openSite(t, settings(func(set *config.Broker) { set.HelloBytes = 4096 }))
	m := s.found(t)
	c := s.connect(t)
	c.send(t, padded(m.hello(m.first, nil), 4096))
	c.nextOf(t, "hello_ack")
	over := s.connect(t)
	over.send(t, padded(m.hello(m.first, nil), 4097))
	over.wantClose(t, websocket.StatusMessageTooBig, string(row.Code))
	s.wantMet(t, row.Bound, 1)
}

func meetHelloTimeout(t *testing.T, row config.BoundRow) {
	inBubble(settings(func(set *config.Broker) { set.HelloTimeout = 2 * time.Second }), func(t *testing.T, m *team, row config.BoundRow) {
		late, over := m.site.connect(t), m.site.connect(t)
		pass(2*time.Second - time.Millisecond)
		late.send(t, m.hello(m.first, nil))
		late.nextOf(t, "hello_ack")
		pass(2 * time.Millisecond)
		over.wantError(t, string(row.Code))
		over.wantClose(t, websocket.StatusPolicyViolation, string(row.Code))
		m.site.wantMet(t, row.Bound, 1)
	})(t, row)
}

func meetDeadAfter(t *testing.T, row config.BoundRow) {
	inBubble(settings(func(*config.Broker) {}), func(t *testing.T, m *team, row config.BoundRow) {
		alive := m.enter(t, m.first, nil) // its library answers pings
		dead := m.site.upgradeRaw(t)
		if err := dead.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		hello := m.hello(m.first, func(r *protocol.HelloRequest) { r.Timestamp++; r.Presence.SessionID = "dead" })
		if _, err := dead.Write(append(clientFrame(0x81, uint64(len(hello)), 0), hello...)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, _ = io.Copy(io.Discard, dead.r) // until it is cut
		if took := time.Since(start); took < 75*time.Second || took > 85*time.Second {
			t.Errorf("cut after %v, want 75 s", took)
		}
		m.site.wantMet(t, row.Bound, 1)
		alive.send(t, []byte(`{"type":"list_peers","_reqId":"1"}`))
		alive.nextOf(t, "peers_list")
	})(t, row)
}

func meetPeersPage(t *testing.T, row config.BoundRow) {
	s := openSite(t, settings(func(set *config.Broker) { set.PeersPage = 2 }))
	m := s.found(t)
	var last *client
	for i, want := range []struct {
		rows int
		next bool
	}{{1, false}, {2, false}, {2, true}} {
		last = m.enter(t, m.first, func(r *protocol.HelloRequest) { r.Presence.SessionID = fmt.Sprint(i) })
		last.send(t, []byte(`{"type":"list_peers","_reqId":"1","limit":1000}`))
		var got protocol.PeersAnswer
		if err := json.Unmarshal([]byte(last.nextOf(t, "peers_list")), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Peers) != want.rows || (got.Next != "") != want.next {
			t.Errorf("of %d rows: got %d and next %q, want %+v", i+1, len(got.Peers), got.Next, want)
		}
	}
	s.wantMet(t, row.Bound, 1)
}

func meetMemberSkills(t *testing.T, row config.BoundRow) {
	s := openSite(t, settings(func(set *config.Broker) { set.MemberSkills = 2 }))
	m := s.found(t)
	alice := m.enter(t, m.first, nil)
	for _, try := range []struct{ name, frame, want string }{
		{"one", "skill_ack", "shared"}, {"two", "skill_ack", "shared"}, {"three", "error", string(row.Code)}, {"two", "skill_ack", "shared"},
	} {
		alice.send(t, must(protocol.ShareSkill.Encode("1", protocol.SkillShareRequest{Name: try.name, Instructions: "x"})))
		if got := alice.nextOf(t, try.frame); !strings.Contains(got, try.want) {
			t.Errorf("%s: got %s, want %s", try.name, got, try.want)
		}
	}
	s.wantMet(t, row.Bound, 1)
}
