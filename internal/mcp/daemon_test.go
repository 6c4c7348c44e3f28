package mcp

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// fakeDaemon answers the routes that the MCP server calls, over HTTP and server-sent events on the daemon's socket. What
// it knows survives a restart, as the databases of the real one do.
type fakeDaemon struct {
	home paths.Daemon
	more func(*http.ServeMux) // further routes; may be nil

	mu        sync.Mutex
	server    *http.Server
	halt      chan struct{}  // closed to end the streams
	open      sync.WaitGroup // streams
	changed   chan struct{}
	registers []localapi.RegisterRequest
	tokens    map[string]string // token to session id
	waiting   []localapi.InboxItem
	notices   []event
	offered   map[string]string // attempt to path
	calls     int               // of offered
	streams   int               // opened so far
	gone      []string          // deregistered sessions
}

// event is one that is no message: a notice, where Event does not say otherwise.
type event struct {
	Event string `json:"-"`
	localapi.Notice
}

func newDaemon(t *testing.T, root string) *fakeDaemon {
	t.Helper()
	d := &fakeDaemon{
		home: paths.At(root).Daemon, changed: make(chan struct{}), tokens: map[string]string{}, offered: map[string]string{},
	}
	t.Cleanup(d.stop)
	return d
}

// start listens on the socket.
func (d *fakeDaemon) start(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(d.home.Sessions(), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", d.home.Socket())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: d.routes()}
	d.mu.Lock()
	d.server, d.halt = server, make(chan struct{})
	d.mu.Unlock()
	go func() { _ = server.Serve(l) }()
}

// stop breaks every connection; nothing is given out afterwards.
func (d *fakeDaemon) stop() {
	d.mu.Lock()
	server := d.server
	d.server = nil
	if server != nil {
		close(d.halt)
	}
	d.mu.Unlock()
	if server != nil {
		d.open.Wait()
		_ = server.Close()
	}
}

func (d *fakeDaemon) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(localapi.SessionRegister.Route, d.register)
	mux.HandleFunc(localapi.SessionMe.Route, d.me)
	mux.HandleFunc(localapi.SessionDeregister.Route, d.deregister)
	mux.HandleFunc(localapi.InboxOffered.Route, d.offer)
	mux.HandleFunc(localapi.Events.Route, d.events)
	if d.more != nil {
		d.more(mux)
	}
	return mux
}

func (d *fakeDaemon) register(w http.ResponseWriter, r *http.Request) {
	var req localapi.RegisterRequest
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for token, id := range d.tokens {
		if id == req.SessionID && token != req.OldToken {
			refuse(w, mesh.Forbidden)
			return
		}
	}
	d.registers = append(d.registers, req)
	token := mesh.NewToken()
	delete(d.tokens, req.OldToken)
	d.tokens[token] = req.SessionID
	if err := os.WriteFile(d.home.SessionToken(req.SessionID), []byte(token+"\n"), 0o600); err != nil {
		refuse(w, mesh.IOError)
		return
	}
	answer(w, localapi.RegisterAnswer{OK: true, Token: token, Sessions: []localapi.SessionMesh{}})
	d.broadcast()
}

// session is the caller's session; the lock is held.
func (d *fakeDaemon) session(r *http.Request) string {
	return d.tokens[r.Header.Get("X-Claudemesh-Session")]
}

func (d *fakeDaemon) me(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session(r) == "" {
		refuse(w, mesh.SessionUnknown)
		return
	}
	answer(w, localapi.Session{SessionID: d.session(r), Sessions: []localapi.SessionMesh{}})
}

func (d *fakeDaemon) deregister(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = append(d.gone, d.tokens[r.PathValue("token")])
	delete(d.tokens, r.PathValue("token"))
	answer(w, localapi.DeregisterAnswer{OK: true})
	d.broadcast()
}

func (d *fakeDaemon) offer(w http.ResponseWriter, r *http.Request) {
	var req localapi.OfferedRequest
	err := json.NewDecoder(r.Body).Decode(&req)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil || d.session(r) == "" {
		refuse(w, mesh.SessionUnknown)
		return
	}
	d.calls++
	for _, attempt := range req.Attempts {
		d.offered[attempt] = req.Path
	}
	answer(w, localapi.OfferedAnswer{Marked: len(req.Attempts)})
	d.broadcast()
}

// events gives each waiting message out once.
func (d *fakeDaemon) events(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	known, halt := d.session(r) != "" && d.server != nil, d.halt
	if known {
		d.open.Add(1)
		defer d.open.Done()
	}
	d.mu.Unlock()
	if !known || r.URL.Query().Get("deliver") != "true" || r.Header.Get("Last-Event-ID") != "" {
		refuse(w, mesh.SessionUnknown)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	d.note(func() { d.streams++ })
	fmt.Fprint(w, ": connected\n\n")
	for {
		d.mu.Lock()
		items, notices, changed := d.waiting, d.notices, d.changed
		if len(items) > 0 {
			d.waiting = nil
			d.broadcast() // a test may wait for the claim
		}
		d.notices = nil
		d.mu.Unlock()
		for _, item := range items {
			data, _ := json.Marshal(item)
			fmt.Fprintf(w, "id: %d\nevent: message\ndata: %s\n\n", item.Seq, data)
		}
		for _, n := range notices {
			data, _ := json.Marshal(n)
			fmt.Fprintf(w, "event: %s\ndata: %s\n\n", cmp.Or(n.Event, localapi.EventNotice), data)
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-halt:
			return
		case <-r.Context().Done():
			return
		case <-changed:
			if stopped(halt) {
				return
			}
		}
	}
}

// stopped reports whether a stream is to end.
func stopped(halt <-chan struct{}) bool {
	select {
	case <-halt:
		return true
	default:
		return false
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, code mesh.Code) {
	status, body := localapi.EncodeError(mesh.Errorf(code, "refused by the test"))
	w.WriteHeader(status)
	answer(w, body)
}

// broadcast tells of a change; the lock is held.
func (d *fakeDaemon) broadcast() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// note changes something and tells of it.
func (d *fakeDaemon) note(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
	d.broadcast()
}

// push lets messages wait for delivery.
func (d *fakeDaemon) push(items ...localapi.InboxItem) {
	d.note(func() { d.waiting = append(d.waiting, items...) })
}

// await waits until ok holds; what the test waited for is said when it does not come.
func (d *fakeDaemon) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for {
		d.mu.Lock()
		done, changed := ok(), d.changed
		d.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatalf("no %s", what)
		case <-patience():
			t.Fatalf("no %s", what)
		}
	}
}

// item is message n of a sender.
func item(n int, sender, body string) localapi.InboxItem {
	return localapi.InboxItem{
		Seq: int64(n), ID: fmt.Sprintf("row-%d", n), ClientMessageID: mesh.ClientID(fmt.Sprintf("client-%d", n)),
		BrokerMessageID: mesh.ID(fmt.Sprintf("broker-%d", n)), Mesh: "work", SenderPubkey: keyOf("a"), SenderMemberPubkey: keyOf("b"),
		SenderName: sender, Body: &body, Priority: mesh.Next, ReceivedAt: "2026-03-01T12:00:00.000Z",
		CreatedAt: "2026-03-01T11:59:59.000Z", RecipientKind: "session", Encrypted: true, Attempt: fmt.Sprintf("attempt-%d", n),
	}
}

func keyOf(letter string) mesh.Key { return mesh.Key(strings.Repeat(letter, 64)) }

// attempts lists what was confirmed by a path.
func (d *fakeDaemon) attempts(path string) []string {
	var list []string
	for attempt, by := range d.offered {
		if by == path {
			list = append(list, attempt)
		}
	}
	slices.Sort(list)
	return list
}

// logText is what the servers logged.
func (d *fakeDaemon) logText(t *testing.T) string {
	t.Helper()
	var all string
	for _, path := range []string{d.home.MCPLog(), d.home.MCPLog() + ".1"} {
		data, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		all += string(data)
	}
	return all
}
