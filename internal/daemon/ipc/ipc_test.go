package ipc

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/wire"
)

const testToken = "the-bearer-token-of-this-test"

// world is a daemon without meshes, served over a socket and over TCP.
type world struct {
	server *Server
	socket string
	tcp    string
	inbox  *inbox.Inbox
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "ipc") // t.TempDir's path may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // the system empties its temporary folder too
	home := paths.At(dir)
	log := slog.New(slog.DiscardHandler)
	for _, d := range []string{home.Config.Dir, home.Daemon.Dir, home.Daemon.Sessions()} {
		if err := paths.EnsureDir(d, paths.DirMode); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ob := must(outbox.Open(ctx, outbox.Options{Path: home.Daemon.Outbox(), Now: time.Now, Log: log}))(t)
	ib := must(inbox.Open(ctx, inbox.Options{Path: home.Daemon.Inbox(), Now: time.Now, Log: log}))(t)
	db := must(localdb.Open(ctx, home.Daemon.DB(), time.Now, log))(t)
	book := must(membership.Open(home, log))(t)
	n := node.New(node.Options{
		Home: home, Settings: config.DefaultDaemon(), User: "u@h", Book: book, DB: db, Outbox: ob, Inbox: ib, Now: time.Now, Log: log,
	})
	reg := registry.New(registry.Options{Daemon: home.Daemon, Book: book, DB: db, Lines: n, Now: time.Now, Log: log})
	s := New(Options{
		Node: n, Registry: reg, Inbox: ib, Outbox: ob, DB: db, Settings: config.DefaultDaemon(), User: "u@h",
		PID: os.Getpid(), Token: testToken, Now: time.Now, Log: log,
	})
	w := &world{server: s, socket: filepath.Join(dir, "s"), inbox: ib}
	unix := must(net.Listen("unix", w.socket))(t)
	tcp := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	w.tcp = tcp.Addr().String()
	ended := make(chan error, 3)
	go func() { ended <- n.Run(ctx) }()
	go func() { ended <- s.Serve(ctx, unix, false) }()
	go func() { ended <- s.Serve(ctx, tcp, true) }()
	<-n.Ready()
	t.Cleanup(func() {
		s.End()
		cancel()
		for range 3 {
			if err := <-ended; err != nil {
				t.Errorf("a part ended with %v", err)
			}
		}
		for _, c := range []io.Closer{ob, ib, db} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return w
}

// must unpacks a value that the test cannot do without.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// ask is a request over the socket, or over TCP.
type ask struct {
	tcp                bool
	method, path, body string
	header             map[string]string
}

// do makes a request and gives status and refusal.
func (w *world) do(t *testing.T, q ask) (int, localapi.ErrorBody) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if q.tcp {
			return (&net.Dialer{}).DialContext(ctx, "tcp", w.tcp)
		}
		return (&net.Dialer{}).DialContext(ctx, "unix", w.socket)
	}}}
	req := must(http.NewRequestWithContext(context.Background(), q.method, "http://localhost"+q.path, strings.NewReader(q.body)))(t)
	for k, v := range q.header {
		if k == "Host" {
			req.Host = v
			continue
		}
		req.Header.Set(k, v)
	}
	resp := must(client.Do(req))(t)
	defer resp.Body.Close()
	data := must(io.ReadAll(resp.Body))(t)
	var e localapi.ErrorBody
	if resp.StatusCode >= 400 {
		if err := wire.Decode(data, &e); err != nil {
			t.Fatalf("%s %s: the refusal %q does not decode: %v", q.method, q.path, data, err)
		}
	}
	return resp.StatusCode, e
}

// Who may ask (daemon 24 no. 11), by Host, Origin, bearer token and query.
func TestThreat33WhoMayAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := map[string]string{"Authorization": "Bearer " + testToken}
	with := func(base map[string]string, k, v string) map[string]string {
		m := map[string]string{k: v}
		for bk, bv := range base {
			m[bk] = bv
		}
		return m
	}
	tests := []struct {
		name   string
		tcp    bool
		path   string
		header map[string]string
		status int
		code   mesh.Code
	}{
		{"socket", false, "/v1/version", nil, 200, ""},
		{"socket with a foreign host", false, "/v1/version", map[string]string{"Host": "evil.example"}, 403, mesh.Forbidden},
		{"socket with an origin", false, "/v1/version", map[string]string{"Origin": "https://evil.example"}, 403, mesh.Forbidden},
		{"socket with a local origin", false, "/v1/version", map[string]string{"Origin": "http://localhost"}, 403, mesh.Forbidden},
		{"token in the query", false, "/v1/version?token=x", nil, 400, mesh.BadRequest},
		{"query that cannot be read", false, "/v1/version?a=%zz", nil, 400, mesh.BadRequest},
		{"TCP without a token", true, "/v1/version", nil, 401, mesh.MissingToken},
		{"TCP with a wrong token", true, "/v1/version", map[string]string{"Authorization": "Bearer no"}, 401, mesh.BadToken},
		{"TCP with another scheme", true, "/v1/version", map[string]string{"Authorization": "Basic " + testToken}, 401, mesh.MissingToken},
		{"TCP with the token", true, "/v1/version", bearer, 200, ""},
		{"TCP health without a token", true, "/v1/health", nil, 401, mesh.MissingToken},
		{"TCP rebinding", true, "/v1/version", with(bearer, "Host", "evil.example"), 403, mesh.Forbidden},
		{"TCP rebinding to a numeric alias", true, "/v1/version", with(bearer, "Host", "127.1"), 403, mesh.Forbidden},
		{"TCP by IPv4", true, "/v1/version", with(bearer, "Host", "127.0.0.1:47823"), 200, ""},
		{"TCP by IPv6", true, "/v1/version", with(bearer, "Host", "[::1]:47823"), 200, ""},
		{"TCP from a page", true, "/v1/version", with(bearer, "Origin", "https://evil.example"), 403, mesh.Forbidden},
		{"no route", false, "/v1/nothing", nil, 404, mesh.NotFound},
		{"another method", false, "/v1/send", nil, 404, mesh.NotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, e := w.do(t, ask{tt.tcp, http.MethodGet, tt.path, "", tt.header})
			if status != tt.status || e.Code != tt.code {
				t.Errorf("got %d %s, want %d %s", status, e.Code, tt.status, tt.code)
			}
		})
	}
}

// Every route but those that tell nothing private is closed to a process inside a session that cannot show its token
// (design C6).
func TestNobodyGetsBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	inside := os.Getpid() // this process registers itself as a session, and then asks without its token
	answer := must(localapi.SessionRegister.Do(context.Background(), w.server, localapi.RegisterRequest{
		SessionID: "s1", PID: inside, CWD: "/tmp", Host: localapi.Host{Name: "claude-code"},
	}))(t)
	for _, e := range localapi.Catalogue() {
		path := strings.NewReplacer("{slug}", "m", "{id}", "x", "{token}", "0").Replace(e.Path())
		body := ""
		if e.Method() == http.MethodPost {
			body = "{}"
		}
		status, refusal := w.do(t, ask{false, e.Method(), path, body, map[string]string{"Content-Type": "application/json"}})
		switch {
		case e.Scope == localapi.Anyone && refusal.Detail == "a process inside a session needs that session's token":
			t.Errorf("%s: refused, want it open to everyone", e.Route)
		case e.Scope == localapi.HumanOnly && (status != http.StatusForbidden || refusal.Code != mesh.HumanOnly):
			t.Errorf("%s: got %d %s, want 403 human_only", e.Route, status, refusal.Code)
		case e.Scope == localapi.User && (status != http.StatusUnauthorized || refusal.Code != mesh.SessionUnknown):
			t.Errorf("%s: got %d %s, want 401 session_unknown", e.Route, status, refusal.Code)
		}
	}
	status, _ := w.do(t, ask{false, http.MethodGet, "/v1/inbox", "", map[string]string{"X-Claudemesh-Session": answer.Token}})
	if status != http.StatusOK {
		t.Errorf("inbox with the token: got %d, want 200", status)
	}
}

func TestThreat13BodiesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	json := map[string]string{"Content-Type": "application/json"}
	for _, tt := range []struct {
		name, path, body string
		header           map[string]string
		status           int
		code             mesh.Code
	}{
		{"too large", "/v1/send", `{"to":"a","message":"` + strings.Repeat("x", 300<<10) + `"}`, json, 413, mesh.PayloadTooLarge},
		{"too large for its route", "/v1/meshes", `{"name":"` + strings.Repeat("x", 20<<10) + `"}`, json, 413, mesh.PayloadTooLarge},
		{"no JSON", "/v1/send", `{`, json, 400, mesh.BadJSON},
		{"two documents", "/v1/send", `{"to":"a","message":"b"}{}`, json, 400, mesh.BadJSON},
		{"duplicate name", "/v1/send", `{"to":"a","to":"b","message":"c"}`, json, 400, mesh.BadJSON},
		{"wrong case", "/v1/send", `{"To":"a","message":"c"}`, json, 400, mesh.BadJSON},
		{"20,000 levels", "/v1/send", strings.Repeat(`{"a":`, 20000) + `1` + strings.Repeat("}", 20000), json, 400, mesh.BadJSON},
		{"bad UTF-8", "/v1/send", "{\"to\":\"a\",\"message\":\"\xff\"}", json, 400, mesh.BadJSON},
		{"plain text", "/v1/send", `{"to":"a","message":"b"}`, map[string]string{"Content-Type": "text/plain"}, 415, mesh.UnsupportedMedia},
		{"no recipient", "/v1/send", `{"message":"b"}`, json, 400, mesh.BadRequest},
		{"no message", "/v1/send", `{"to":"a"}`, json, 400, mesh.BadRequest},
		{"bad priority", "/v1/send", `{"to":"a","message":"b","priority":"soon"}`, json, 400, mesh.BadRequest},
		{"bad meta", "/v1/send", `{"to":"a","message":"b","meta":[1]}`, json, 400, mesh.BadRequest},
		{"NUL in the recipient", "/v1/send", `{"to":"a\u0000b","message":"b"}`, json, 400, mesh.BadRequest},
		{"NUL in the reply id", "/v1/send", `{"to":"a","message":"b","reply_to_id":"a\u0000"}`, json, 400, mesh.BadRequest},
		{"nothing joined", "/v1/send", `{"to":"a","message":"b"}`, json, 404, mesh.NothingJoined},
		{"unknown mesh", "/v1/send", `{"to":"a","message":"b","mesh":"m"}`, json, 404, mesh.MeshNotAttached},
	} {
		t.Run(tt.name, func(t *testing.T) { // not parallel: the outbox is counted when all have ended
			status, e := w.do(t, ask{false, http.MethodPost, tt.path, tt.body, tt.header})
			if status != tt.status || e.Code != tt.code {
				t.Errorf("got %d %s (%s), want %d %s", status, e.Code, e.Detail, tt.status, tt.code)
			}
		})
	}
	rows := must(w.server.Outbox.List(context.Background(), outbox.Filter{}))(t)
	if len(rows) != 0 {
		t.Errorf("the outbox has %d rows, want none: what was refused leaves nothing", len(rows))
	}
}

// What cannot be read in a query is refused: it was meant to narrow (daemon 25, row 30).
func TestQueriesAreNeverIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{
		"/v1/inbox?since=yesterday", "/v1/inbox?limit=x", "/v1/inbox?limit=-1", "/v1/inbox?limit=1001", "/v1/inbox?unread_only=maybe",
		"/v1/inbox?before=2020", "/v1/inbox?mesh=a&mesh=b", "/v1/outbox?status=sent", "/v1/outbox?limit=0x10", "/v1/peers?offline=2",
	} {
		if status, e := w.do(t, ask{false, http.MethodGet, path, "", nil}); status != http.StatusBadRequest {
			t.Errorf("GET %s: got %d %s, want 400", path, status, e.Code)
		}
	}
	for _, id := range []string{"x", "-1", "1.5"} {
		if status, e := w.do(t, ask{false, http.MethodGet, "/v1/events", "", map[string]string{"Last-Event-ID": id}}); status != http.StatusBadRequest {
			t.Errorf("events behind %s: got %d %s, want 400", id, status, e.Code)
		}
	}
	put(t, w, "one")
	for _, query := range []string{
		"before=", "before=garbage", "before=2020-01-01", "before=2999-01-01T00:00:00Z", "mesh=", "mesh=a&mesh=b", "all=true", "befor=2020-01-01T00:00:00Z", "%zz",
	} {
		if status, e := w.do(t, ask{false, http.MethodDelete, "/v1/inbox?" + query, "", nil}); status != http.StatusBadRequest {
			t.Errorf("DELETE ?%s: got %d %s, want 400", query, status, e.Code)
		}
	}
	rows, err := w.inbox.After(context.Background(), inbox.All(), 0, 10)
	if err != nil || len(rows) != 1 {
		t.Errorf("%d messages are left, %v; want all of them", len(rows), err)
	}
	if status, e := w.do(t, ask{false, http.MethodDelete, "/v1/inbox/two", "", nil}); status != http.StatusNotFound {
		t.Errorf("DELETE of an id that is not there: got %d %s, want 404", status, e.Code)
	}
	if status, e := w.do(t, ask{false, http.MethodDelete, "/v1/inbox/one", "", nil}); status != http.StatusOK {
		t.Errorf("DELETE of one: got %d %s, want 200", status, e.Code)
	}
}

// put lays a message into the inbox.
func put(t *testing.T, w *world, id string) int64 {
	t.Helper()
	body := "text of " + id
	row, _, err := w.inbox.Put(context.Background(), inbox.Draft{
		MeshID: "m", Mesh: "m", ClientID: mesh.ClientID(id), BrokerID: mesh.ID(id), To: "k", Kind: inbox.Member, Body: &body,
		From: inbox.Author{Key: "s", Name: "ann"}, Priority: mesh.Next,
	})
	if err != nil {
		t.Fatal(err)
	}
	return row.Seq
}

// A subscriber sees new messages, resumes behind an id, and hears a keepalive.
func TestEventsFollowTheInbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := put(t, w, "one")
	conn := must(net.Dial("unix", w.socket))(t)
	defer conn.Close()
	must(io.WriteString(conn, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 0\r\n\r\n"))(t)
	read := func(until string) string {
		var got bytes.Buffer
		buf := make([]byte, 4096)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second)) // fails only on a closed connection, which the read shows
		for !strings.Contains(got.String(), until) {
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("waiting for %q, got %q: %v", until, got.String(), err)
			}
			got.Write(buf[:n])
		}
		return got.String()
	}
	if text := read("text of one"); first != 1 || !strings.Contains(text, "id: 1\nevent: message\ndata: {\"ts\":\"") {
		t.Errorf("got %q, want the first message as event 1", text)
	}
	put(t, w, "two")
	if text := read("text of two"); strings.Contains(text, "text of one") {
		t.Errorf("got %q, want the second message only", text)
	}
}
