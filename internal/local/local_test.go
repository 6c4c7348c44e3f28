package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func get(path string) localapi.Request { return localapi.Request{Method: http.MethodGet, Path: path} }

func post(path, body string) localapi.Request {
	return localapi.Request{Method: http.MethodPost, Path: path, Body: []byte(body)}
}

// client is one that is closed when the test ends.
func client(t *testing.T, socket string) *Client {
	t.Helper()
	c := New(socket, time.Now)
	t.Cleanup(func() { _ = c.Close() }) // some tests have closed it
	return c
}

// check makes a request and compares the body of its answer.
func check(t *testing.T, c *Client, r localapi.Request, want string) {
	t.Helper()
	resp, err := c.Do(t.Context(), r)
	if err != nil || string(resp.Body) != want || resp.Status != http.StatusOK {
		t.Fatalf("%s %s: got %d %q, %v, want 200 %q", r.Method, r.Path, resp.Status, resp.Body, err, want)
	}
}

// echo answers with all that it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a broken one shows in the answer
	fmt.Fprintf(w, "%s %s host=%s type=%s length=%d token=%s body=%s", r.Method, r.URL, r.Host, r.Header.Get("Content-Type"), r.ContentLength, r.Header.Get("X-Claudemesh-Session"), body)
}

func TestRequestsArriveWhole(t *testing.T) {
	t.Parallel()
	s := serve(t, echo)
	c := client(t, s.socket)
	check(t, c, get("/v1/inbox?mesh=a+b"), "GET /v1/inbox?mesh=a+b host=localhost type= length=0 token= body=")
	check(t, c, post("/v1/send", `{"to":"ann"}`), `POST /v1/send host=localhost type=application/json length=12 token= body={"to":"ann"}`)
	check(t, c, localapi.Request{Method: "DELETE", Path: "/v1/meshes/a"}, "DELETE /v1/meshes/a host=localhost type= length=0 token= body=")
	large := strings.Repeat("x", 3<<20)
	check(t, c, post("/large", large), "POST /large host=localhost type=application/json length=3145728 token= body="+large)
	if n := s.connections(); n != 1 {
		t.Errorf("got %d connections, want one that is kept", n)
	}
}

func TestTokenIsReadForEachRequest(t *testing.T) {
	t.Parallel()
	s := serve(t, echo)
	c := client(t, s.socket)
	tokens := []string{"", "abc", "def", "ev\r\nil: x"}
	c.Token = func() string { token := tokens[0]; tokens = tokens[1:]; return token }
	for _, want := range []string{"", "abc", "def", ""} {
		check(t, c, get("/"), "GET / host=localhost type= length=0 token="+want+" body=")
	}
}

func TestAnswersOfEveryForm(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunked":
			for range 3 {
				fmt.Fprint(w, "part,")
				w.(http.Flusher).Flush()
			}
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/refused":
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `{"code":"slug_taken"}`)
		case "/closing":
			w.Header().Set("Connection", "close")
			fmt.Fprint(w, "last")
		}
	})
	c := client(t, s.socket)
	for _, tt := range []struct {
		path   string
		status int
		body   string
	}{
		{"/chunked", 200, "part,part,part,"}, {"/empty", 204, ""}, {"/refused", 409, `{"code":"slug_taken"}`}, {"/closing", 200, "last"}, {"/chunked", 200, "part,part,part,"},
	} {
		resp, err := c.Do(t.Context(), get(tt.path))
		if err != nil || resp.Status != tt.status || string(resp.Body) != tt.body {
			t.Errorf("%s: got %d %q, %v, want %d %q", tt.path, resp.Status, resp.Body, err, tt.status, tt.body)
		}
	}
	if n := s.connections(); n != 2 {
		t.Errorf("got %d connections, want another one after the daemon closed the first", n)
	}
}

func TestCallsTakeTurns(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	c := client(t, s.socket)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			path := "/" + strconv.Itoa(i)
			resp, err := c.Do(t.Context(), get(path))
			if err != nil || string(resp.Body) != path {
				t.Errorf("%s: got %q, %v", path, resp.Body, err)
			}
		})
	}
	wg.Wait()
	if n := s.connections(); n != 1 {
		t.Errorf("got %d connections, want one", n)
	}
}

func TestCloseIsNotTheEnd(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	c := client(t, s.socket)
	for range 2 {
		check(t, c, get("/"), "ok")
		for range 2 {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	}
	if n := s.connections(); n != 2 {
		t.Errorf("got %d connections, want one after each Close", n)
	}
}

// A daemon that was restarted has closed the connection while it was idle. Every request survives that, and arrives
// once.
func TestIdleConnectionThatWasClosed(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	count := map[string]int{}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		count[r.Method]++
		mu.Unlock()
		fmt.Fprint(w, "ok")
	})
	c := client(t, s.socket)
	check(t, c, get("/"), "ok")
	for _, r := range []localapi.Request{get("/"), post("/", "{}"), {Method: "DELETE", Path: "/"}} {
		_ = (<-s.idle).Close() // as a server that stops does
		check(t, c, r, "ok")
	}
	if diff := cmp.Diff(map[string]int{"GET": 2, "POST": 1, "DELETE": 1}, count); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// once answers one request and takes the next one without an answer; silent takes one without an answer.
func once(w net.Conn, next func() *http.Request) {
	next()
	respond(w, "first")
	next()
}

func silent(_ net.Conn, next func() *http.Request) { next() }

func faithful(w net.Conn, next func() *http.Request) {
	for next() != nil {
		respond(w, "again")
	}
}

func TestLostAnswers(t *testing.T) {
	t.Parallel()
	half := func(w net.Conn, next func() *http.Request) {
		next()
		respond(w, "first")
		next()
		_, _ = w.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")) // and no more
	}
	headless := func(w net.Conn, next func() *http.Request) {
		next()
		respond(w, "first")
		next()
		_, _ = w.Write([]byte("H")) // and no more
	}
	tests := []struct {
		name  string
		conns []func(net.Conn, func() *http.Request)
		ask   localapi.Request
		code  mesh.Code
		asked []string
	}{
		{"a question is asked again", []func(net.Conn, func() *http.Request){once, faithful}, get("/x"), "", []string{"GET /", "GET /x", "GET /x"}},
		{"once", []func(net.Conn, func() *http.Request){once, silent, faithful}, get("/x"), mesh.Timeout, []string{"GET /", "GET /x", "GET /x"}},
		{"what may have been done is not", []func(net.Conn, func() *http.Request){once, faithful}, post("/x", "{}"), mesh.Timeout, []string{"GET /", "POST /x"}},
		{"nor what was half answered", []func(net.Conn, func() *http.Request){half, faithful}, get("/x"), mesh.Timeout, []string{"GET /", "GET /x"}},
		{"not even by a byte", []func(net.Conn, func() *http.Request){headless, faithful}, get("/x"), mesh.Timeout, []string{"GET /", "GET /x"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			socket, asked := script(t, tt.conns...)
			c := client(t, socket)
			check(t, c, get("/"), "first")
			resp, err := c.Do(t.Context(), tt.ask)
			if mesh.CodeOf(err) != tt.code || err == nil && string(resp.Body) != "again" {
				t.Errorf("got %q, %v, want code %q", resp.Body, err, tt.code)
			}
			if diff := cmp.Diff(tt.asked, asked()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// On a new connection nothing can have been closed meanwhile.
func TestLostAnswerOfANewConnection(t *testing.T) {
	t.Parallel()
	socket, asked := script(t, silent, faithful)
	c := client(t, socket)
	if _, err := c.Do(t.Context(), get("/x")); !mesh.IsCode(err, mesh.Timeout) {
		t.Errorf("got %v, want %s", err, mesh.Timeout)
	}
	check(t, c, get("/y"), "again")
	if diff := cmp.Diff([]string{"GET /x", "GET /y"}, asked()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// A daemon that refuses a large body answers before it has read it, and closes.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	socket, _ := script(t, func(w net.Conn, next func() *http.Request) {
		next()
		_, _ = w.Write([]byte("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")) // the client notices
	}, faithful)
	c := client(t, socket)
	resp, err := c.Do(t.Context(), post("/", strings.Repeat("x", 8<<20)))
	if err != nil || resp.Status != http.StatusRequestEntityTooLarge || string(resp.Body) != "no" {
		t.Errorf("got %d %q, %v, want the refusal", resp.Status, resp.Body, err)
	}
	check(t, c, get("/"), "again")
}

// What was not written whole was not done, so it is no timeout.
func TestRequestThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	socket, _ := script(t, func(w net.Conn, _ func() *http.Request) { _ = w.Close() }, faithful)
	c := client(t, socket)
	if _, err := c.Do(t.Context(), post("/", strings.Repeat("x", 8<<20))); !mesh.IsCode(err, mesh.DaemonDown) {
		t.Errorf("got %v, want %s", err, mesh.DaemonDown)
	}
	check(t, c, get("/"), "again")
}

func TestGivingUp(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{}, 2)
	hang := func(w net.Conn, next func() *http.Request) {
		next()
		_, _ = w.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")) // and no more
		reached <- struct{}{}
		next() // until the client closes
	}
	socket, _ := script(t, hang, hang, faithful)
	c := client(t, socket)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-reached; cancel() }()
	if _, err := c.Do(ctx, get("/")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled in the middle of an answer: got %v", err)
	}
	if _, err := c.Do(ctx, get("/")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: got %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Do(ctx, get("/")); !errors.Is(err, context.DeadlineExceeded) || mesh.CodeOf(err) != mesh.Timeout {
		t.Errorf("deadline: got %v", err)
	}
	check(t, c, get("/"), "again")
}

// Whoever waits for its turn can give up, too.
func TestGivingUpTheTurn(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}), make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		close(reached)
		<-release
		fmt.Fprint(w, "ok")
	})
	c := client(t, s.socket)
	first := make(chan error, 1)
	go func() {
		_, err := c.Do(context.Background(), get("/"))
		first <- err
	}()
	<-reached
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Do(ctx, get("/")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Errorf("the call under way: %v", err)
	}
}

func TestAnswerOverTheLimit(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	c := client(t, s.socket)
	c.limitBytes = 5
	check(t, c, get("/abcd"), "/abcd")
	if _, err := c.Do(t.Context(), get("/abcde")); !mesh.IsCode(err, mesh.Internal) {
		t.Errorf("got %v, want internal", err)
	}
	check(t, c, get("/abcd"), "/abcd")
	if n := s.connections(); n != 2 {
		t.Errorf("got %d connections, want a new one: what is left of the answer belongs to nobody", n)
	}
}

func TestNonsenseIsATimeout(t *testing.T) {
	t.Parallel()
	socket, _ := script(t, func(w net.Conn, next func() *http.Request) {
		next()
		_, _ = w.Write([]byte("SSH-2.0-OpenSSH\r\n\r\n")) // the client notices
	})
	if _, err := client(t, socket).Do(t.Context(), get("/")); !mesh.IsCode(err, mesh.Timeout) {
		t.Errorf("got %v, want %s: the daemon may have done it", err, mesh.Timeout)
	}
}

func TestNoDaemon(t *testing.T) {
	t.Parallel()
	ln, dead := listen(t)
	ln.SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	for _, socket := range []string{dead, filepath.Join(t.TempDir(), "daemon.sock"), filepath.Join(t.TempDir(), "no", "daemon.sock")} {
		_, err := client(t, socket).Do(t.Context(), get("/"))
		if !mesh.IsCode(err, mesh.DaemonDown) || err.Error() != "the daemon does not run" {
			t.Errorf("%s: got %v, want %s", socket, err, mesh.DaemonDown)
		}
	}
}

func TestRefusalsComeThroughTyped(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		status, body := localapi.EncodeError(mesh.Errorf(mesh.AmbiguousTarget, "two of them").With(mesh.Details{
			Candidates: []mesh.Candidate{{Name: "ann", Key: "aa", Mesh: "team"}},
		}))
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":%q,"code":%q,"detail":%q,"candidates":[{"name":"ann","pubkey":"aa","mesh":"team","online":false}]}`, body.Error, body.Code, body.Detail)
	})
	_, err := localapi.Send.Do(t.Context(), client(t, s.socket), localapi.SendRequest{To: "ann", Message: "x"})
	var e *mesh.Error
	if !errors.As(err, &e) || e.Code != mesh.AmbiguousTarget || len(e.Details.Candidates) != 1 || e.Error() != "two of them" {
		t.Errorf("got %+v, want the refusal with its candidate", err)
	}
}

func TestThreat32DialRefusesWhatIsNotOurSocket(t *testing.T) {
	t.Parallel()
	_, socket := listen(t)
	dir := folder(t)
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(socket, link); err != nil {
		t.Fatal(err)
	}
	refused := []string{file, link, dir}
	if os.Getuid() == 0 { // only root can give a socket away
		_, foreign := listen(t)
		if err := os.Chown(foreign, 12345, -1); err != nil {
			t.Fatal(err)
		}
		refused = append(refused, foreign)
	}
	for _, path := range refused {
		if _, err := Dial(t.Context(), path); !mesh.IsCode(err, mesh.Forbidden) {
			t.Errorf("%s: got %v, want %s", path, err, mesh.Forbidden)
		}
		if _, err := client(t, path).Do(t.Context(), get("/")); !mesh.IsCode(err, mesh.Forbidden) {
			t.Errorf("%s: got %v, want %s", path, err, mesh.Forbidden)
		}
	}
	conn, err := Dial(t.Context(), socket)
	if err != nil {
		t.Fatalf("our own socket: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Dial(ctx, socket); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}
