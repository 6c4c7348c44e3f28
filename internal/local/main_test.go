package local

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/claudemesh/claudemesh/internal/paths"
)

// fakeMode makes this test binary play a daemon. Its folder is that of the daemon.
const (
	fakeMode   = "LOCAL_TEST_DAEMON"
	fakeFolder = "LOCAL_TEST_FOLDER"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(fakeMode); mode != "" {
		os.Exit(playDaemon(mode, paths.Daemon{Dir: os.Getenv(fakeFolder)}))
	}
	os.Exit(m.Run())
}

// playDaemon plays a daemon that serves, is mute, breaks, or finds another one running. It leaves a line in "starts".
func playDaemon(mode string, d paths.Daemon) int {
	starts, err := os.OpenFile(filepath.Join(d.Dir, "starts"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 1
	}
	fmt.Fprintf(starts, "%d %s\n", os.Getpid(), strings.Join(os.Args[1:], " "))
	if err := os.WriteFile(filepath.Join(d.Dir, "environ"), []byte(strings.Join(os.Environ(), "\n")), 0o600); err != nil {
		return 1
	}
	switch mode {
	case "breaks":
		fmt.Fprintf(os.Stderr, "{\"level\":\"ERROR\"}\nclaudemesh: the settings cannot be read\nhint: mend them\n")
		return 3
	case "ends":
		return 0
	case "killed", "killed once":
		if _, err := os.Stat(filepath.Join(d.Dir, "again")); mode == "killed" || err != nil {
			_ = os.WriteFile(filepath.Join(d.Dir, "again"), nil, 0o600) // without it the test sees too many starts
			return killSelf()
		}
	case "taken":
		return 6
	case "mute":
		untilStopped(d.Dir)
		return 0
	}
	lock := flock.New(d.Lock())
	if free, err := lock.TryLock(); err != nil || !free {
		return 6
	}
	ln, err := net.Listen("unix", d.Socket())
	if err != nil {
		return 1
	}
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"pid":%d}`, os.Getpid()) }))
	untilStopped(d.Dir)
	_ = ln.Close() // which removes the socket
	return 0
}

// killSelf ends this process as a crash from outside does.
func killSelf() int {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		_ = self.Kill() // that is its end
	}
	select {}
}

// untilStopped returns when the test wants the daemon to end, or has gone.
func untilStopped(dir string) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		_, err := os.Stat(filepath.Join(dir, "stop"))
		if _, gone := os.Stat(dir); err == nil || errors.Is(gone, fs.ErrNotExist) {
			return
		}
	}
}

// eventually waits for what another process or goroutine does.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// folder is one whose name is short enough for a socket.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // of the test's own making
	return dir
}

// listen opens a socket in a folder of its own.
func listen(t *testing.T) (*net.UnixListener, string) {
	t.Helper()
	socket := filepath.Join(folder(t), "daemon.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() }) // some tests have closed it
	return ln.(*net.UnixListener), socket
}

// server is a real HTTP server on a socket, which counts its connections and keeps them.
type server struct {
	*http.Server
	socket string

	mu    sync.Mutex
	conns []net.Conn
	idle  chan net.Conn // each connection that waits for its next request
}

func serve(t *testing.T, handler http.HandlerFunc) *server {
	t.Helper()
	ln, socket := listen(t)
	s := &server{socket: socket, idle: make(chan net.Conn, 1000)}
	s.Server = &http.Server{Handler: handler, ConnState: func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
		case http.StateIdle:
			s.idle <- c
		}
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(ln) // ends with Close
	}()
	t.Cleanup(func() {
		_ = s.Close() // it is only a test's
		<-done
	})
	return s
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// script serves connections one after the other, each by the next of the functions, which read requests and write
// what they want. It counts the requests.
func script(t *testing.T, conns ...func(w net.Conn, next func() *http.Request)) (socket string, asked func() []string) {
	t.Helper()
	ln, socket := listen(t)
	var mu sync.Mutex
	var seen []string
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, play := range conns {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(conn)
			play(conn, func() *http.Request {
				r, err := http.ReadRequest(in)
				if err != nil {
					return nil
				}
				mu.Lock()
				seen = append(seen, r.Method+" "+r.URL.Path)
				mu.Unlock()
				return r
			})
			_ = conn.Close() // the end of the scene
		}
	})
	t.Cleanup(func() {
		_ = ln.Close() // lets Accept return
		wg.Wait()
	})
	return socket, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), seen...)
	}
}

// respond writes a whole answer.
func respond(w net.Conn, body string) {
	_, _ = w.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)) // the client notices
}
