package rig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/claudemesh/claudemesh/internal/rig/script"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// relay is a broker as the other system has it, in that it says what a script tells it to: for each type of frame what is
// answered, and whatever comes unasked. It keeps what it is told.
type relay struct {
	t testing.TB

	ignored map[string]bool // types of frames that come by the clock, and are not heard

	mu    sync.Mutex
	rules map[string][]string // answers by type; see answer
	lines map[string]*relayLine
	heard []string // "name > frame" and "name closed code reason"
	conns sync.WaitGroup
}

// relayLine is one connection, by the name of who said hello on it.
type relayLine struct {
	name string
	ws   *websocket.Conn
}

// The answers of a broker of each generation, but for those that a script gives.
var relayRules = map[string]map[string][]string{
	script.Seed: {
		"hello":         {`{"type":"hello_ack","presenceId":"p1","memberDisplayName":"ada","memberProfile":{"roleTag":null,"groups":[],"messageMode":"push"}}`},
		"session_hello": {`{"type":"error","code":"no_hello","message":"must send hello first"}`},
		"list_peers": {`{"type":"peers_list","_reqId":"$_reqId","peers":[` +
			`{"pubkey":"$ada","memberPubkey":"$ada","displayName":"ada","status":"idle","summary":null,"groups":[],"sessionId":"daemon","connectedAt":"2025-06-04T10:30:00.000Z","cwd":"","channel":"claudemesh-daemon"},` +
			`{"pubkey":"$bob.s1","memberPubkey":"$bob","displayName":"bob","status":"idle","summary":null,"groups":[],"sessionId":"b","connectedAt":"2025-06-04T10:30:00.000Z","cwd":"/home/bob","channel":"claude-code","stats":{"messagesIn":1}}]}`},
		"send": {`{"type":"ack","id":"$id","messageId":"broker-$id","queued":true}`},
	},
	script.Later: {
		"hello":         {`{"type":"hello_ack","presenceId":"p1","memberDisplayName":"ada","memberProfile":{"roleTag":null,"groups":[],"messageMode":"push"}}`},
		"session_hello": {`{"type":"hello_ack","presenceId":"p2","memberDisplayName":"one"}`},
		"list_peers": {`{"type":"peers_list","_reqId":"$_reqId","peers":[` +
			`{"pubkey":"$ada","memberPubkey":"$ada","displayName":"ada","status":"idle","summary":null,"groups":[],"sessionId":"daemon","connectedAt":"2025-06-04T10:30:00.000Z","cwd":"","peerRole":"control-plane","channel":"claudemesh-daemon"},` +
			`{"pubkey":"$bob.s1","memberPubkey":"$bob","displayName":"bob","status":"idle","summary":null,"groups":[],"sessionId":"b","connectedAt":"2025-06-04T10:30:00.000Z","cwd":"/home/bob","peerRole":"session","channel":"claudemesh-session"}]}`},
		"send": {`{"type":"ack","id":"$id","messageId":"broker-$id","queued":true}`},
	},
}

// newRelay starts a broker of a generation at an address.
func newRelay(r *Rig, addr, generation string, names *strings.Replacer) *relay {
	r.T.Helper()
	listener, err := r.Net.Listen(addr)
	r.must(err)
	b := &relay{t: r.T, ignored: map[string]bool{"set_stats": true}, rules: map[string][]string{}, lines: map[string]*relayLine{}}
	for typ, answers := range relayRules[generation] {
		for _, a := range answers {
			b.rules[typ] = append(b.rules[typ], names.Replace(a))
		}
	}
	server := &http.Server{Handler: b}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with Close
	}()
	r.T.Cleanup(func() {
		_ = server.Close() // there is nobody to tell
		<-done
		b.mu.Lock()
		for _, l := range b.lines {
			_ = l.ws.CloseNow() // as above
		}
		b.mu.Unlock()
		b.conns.Wait()
	})
	return b
}

// ServeHTTP is one connection.
func (b *relay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		b.t.Error(err)
		return
	}
	b.conns.Add(1)
	defer b.conns.Done()
	defer ws.CloseNow() // closed before, or of no interest
	l := &relayLine{ws: ws}
	for {
		_, data, err := ws.Read(context.Background())
		if err != nil {
			b.ended(l, err)
			return
		}
		b.receive(l, data)
	}
}

// receive notes a frame and answers it.
func (b *relay) receive(l *relayLine, data []byte) {
	var f map[string]any
	if err := wire.Decode(data, &f); err != nil {
		b.t.Errorf("got frame %s: %v", data, err)
		return
	}
	text := func(name string) string { s, _ := f[name].(string); return s }
	b.mu.Lock()
	if l.name == "" {
		l.name = text("displayName")
		if text("type") == "hello" {
			l.name = "member"
		}
		b.lines[l.name] = l
	}
	if !b.ignored[text("type")] {
		b.heard = append(b.heard, l.name+" > "+string(data))
	}
	answers := slices.Clone(b.rules[text("type")])
	b.mu.Unlock()
	for _, a := range answers {
		b.say(l, strings.NewReplacer("$_reqId", text("_reqId"), "$id", text("id")).Replace(a))
	}
}

var closing = regexp.MustCompile(`^closes (\d+) (.+)$`)

// say writes a frame, or takes its text for what to do: "closes code reason", or "drops".
func (b *relay) say(l *relayLine, text string) {
	if m := closing.FindStringSubmatch(text); m != nil {
		code, _ := strconv.Atoi(m[1])
		_ = l.ws.Close(websocket.StatusCode(code), m[2]) // the other end may be gone
		return
	}
	if text == "drops" {
		_ = l.ws.CloseNow() // as a network does
		return
	}
	_ = l.ws.Write(context.Background(), websocket.MessageText, []byte(text)) // as above
}

// ended notes how a connection was closed by the other end; what the relay ended itself is no news.
func (b *relay) ended(l *relayLine, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lines[l.name] == l {
		delete(b.lines, l.name)
	}
	var closed websocket.CloseError
	if errors.As(err, &closed) && closed.Reason != "" {
		b.heard = append(b.heard, fmt.Sprintf("%s closed %d %s", l.name, closed.Code, closed.Reason))
	}
}

// on sets what a type of frame is answered from now on.
func (b *relay) on(typ string, answers []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules[typ] = answers
}

// line gives the connection of a name.
func (b *relay) line(name string) *relayLine {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines[name]
}

// take gives what was heard since the last time, by connection.
func (b *relay) take(keep bool) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	heard := slices.Clone(b.heard)
	if !keep {
		b.heard = nil
	}
	slices.SortStableFunc(heard, func(x, y string) int {
		return strings.Compare(strings.Fields(x)[0], strings.Fields(y)[0])
	})
	return heard
}
