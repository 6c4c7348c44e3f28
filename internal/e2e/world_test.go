//go:build unix

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/claudemesh/claudemesh/internal/paths"
)

// slots bounds the worlds that exist at once: each is a handful of processes.
var slots = make(chan struct{}, 2)

// world is what one test has: a folder, an address for a broker, and homes.
type world struct {
	t      testing.TB
	dir    string
	listen string // of its broker
	homes  []*home
}

// newWorld makes an empty world. Everything that is started in it is ended when the test ends, also when it fails.
func newWorld(t testing.TB) *world {
	t.Helper()
	slots <- struct{}{}
	t.Cleanup(func() { <-slots })
	dir, err := os.MkdirTemp("", "cme") // short: the path of a socket has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, listen: freeAddress(t)}
	t.Cleanup(w.end)
	return w
}

// taken are the ports given out so far.
var taken = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// freeAddress finds a free port below those that the system gives to outgoing connections: one of them, on its way to a
// broker that is down, could take the port, or even reach itself.
func freeAddress(t testing.TB) string {
	t.Helper()
	taken.Lock()
	defer taken.Unlock()
	for range 100 {
		port := 20000 + rand.IntN(12000)
		if taken.ports[port] {
			continue
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		ln, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		taken.ports[port] = true
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	t.Fatal("no free port")
	return ""
}

// home gives the home of a user, which is made at the first call.
func (w *world) home(user string) *home {
	w.t.Helper()
	for _, h := range w.homes {
		if h.user == user {
			return h
		}
	}
	dir := filepath.Join(w.dir, user)
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		w.t.Fatal(err)
	}
	h := &home{
		t: w.t, user: user, dir: dir, paths: paths.At(filepath.Join(dir, ".claudemesh")),
		env: []string{
			"PATH=" + builtIn + string(os.PathListSeparator) + os.Getenv("PATH"),
			"HOME=" + dir, "USERPROFILE=" + dir, "USER=" + user, "TMPDIR=" + filepath.Join(dir, "tmp"), "NO_COLOR=1",
			"CLAUDEMESH_BROKER_LISTEN=" + w.listen, "CLAUDEMESH_BROKER_URL=ws://" + w.listen + "/ws",
			"GORACE=atexit_sleep_ms=0 log_path=" + filepath.Join(w.dir, "race"),
		},
	}
	w.homes = append(w.homes, h)
	return h
}

// pair gives two homes of one mesh, anna's and ben's. The broker is in anna's.
func (w *world) pair() (anna, ben *home) {
	w.t.Helper()
	anna, ben = w.home("anna"), w.home("ben")
	anna.must("up")
	ben.must("join", anna.link())
	return anna, ben
}

// end stops what runs, shows the logs of a test that failed, and looks for races and panics.
func (w *world) end() {
	for _, h := range w.homes {
		h.end()
	}
	for _, h := range w.homes {
		h.checkLogs()
		if w.t.Failed() {
			h.showLogs()
		}
	}
	reports, _ := filepath.Glob(filepath.Join(w.dir, "race.*")) // the pattern is well formed
	for _, path := range reports {
		report, err := os.ReadFile(path)
		w.t.Errorf("the race detector found, in %s (%v):\n%s", filepath.Base(path), err, report)
	}
	if err := os.RemoveAll(w.dir); err != nil {
		w.t.Error(err)
	}
}
