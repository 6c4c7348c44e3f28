package broker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/gofrs/flock"
	"go.uber.org/goleak"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A second broker on the same folder, and a lock and pid of a process that is gone.
func TestThreat34OneBrokerAFolder(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	second := Options{Settings: config.DefaultBroker(), Data: s.data, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	second.Settings.Listen = "127.0.0.1:0"
	err := Run(t.Context(), second)
	if !mesh.IsCode(err, mesh.AlreadyRunning) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("got %v, want already_running with the process", err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.data.PID()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the pid file is still there: %v", err)
	}
	if err := os.WriteFile(s.data.PID(), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	openSite(t, func(o *Options) { o.Data = s.data })
}

// Verbs ask for a moment whether the lock is held, and hold it themselves while they do.
func TestWhoAsksForTheLockKeepsNoBrokerFromStarting(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	asking := flock.New(s.data.Lock(), flock.SetFlag(os.O_RDONLY))
	if ok, err := asking.TryRLock(); !ok || err != nil {
		t.Fatalf("got %t, %v; want the lock", ok, err)
	}
	asked := time.AfterFunc(100*time.Millisecond, func() { _ = asking.Unlock() }) // closes the file, at the latest with the test
	defer asked.Stop()
	openSite(t, func(o *Options) { o.Data = s.data })
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	opt := Options{Settings: config.DefaultBroker(), Data: paths.At(t.TempDir()).Broker, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	opt.Settings.Listen = l.Addr().String()
	if err := Run(t.Context(), opt); !mesh.IsCode(err, mesh.PortInUse) || mesh.PortInUse.Hint() == "" {
		t.Errorf("got %v, want port_in_use with a hint", err)
	}
	if _, err := os.Stat(opt.Data.PID()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the pid file is still there: %v", err)
	}
}

func TestFilesArePrivateAndTheTokenStays(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	err := filepath.WalkDir(s.data.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.token) != 64 {
		t.Errorf("got a token of %d characters, want 64", len(s.token))
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	again := openSite(t, func(o *Options) { o.Data = s.data })
	if again.token != s.token {
		t.Error("the token changed at the second start")
	}
	m.site = again
	m.enter(t, m.first, nil) // the mesh is still there
}

func TestDamagedDatabaseIsNamed(t *testing.T) {
	t.Parallel()
	data := paths.At(t.TempDir()).Broker
	if err := os.MkdirAll(data.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(data.DB(), bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), Options{Settings: config.DefaultBroker(), Data: data, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if !mesh.IsCode(err, mesh.StoreCorrupt) {
		t.Errorf("got %v, want store_corrupt", err)
	}
}

func TestStopTellsPeersAndAnswersWhatItTook(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	stranger := s.connect(t)
	sender := m.enter(t, m.first, nil)
	const sends = 50
	for i := range sends {
		sender.send(t, must(protocol.Send.Encode("", protocol.SendRequest{
			ID: strconv.Itoa(i), TargetSpec: m.first.pub(), Priority: "next", Nonce: seal.NewNonce().String(), Ciphertext: seal.Base64(make([]byte, 32)),
			ClientMessageID: mesh.ClientID(strconv.Itoa(i)), RequestFingerprint: strings.Repeat("0", 64),
		})))
	}
	for i := 0; i < sends; {
		if got := sender.next(t); strings.Contains(got, `"type":"ack"`) {
			i++
			if i == sends/2 {
				go func() { _ = s.stop() }()
			}
		}
	}
	sender.wantClose(t, websocket.StatusGoingAway, "shutting down")
	stranger.wantClose(t, websocket.StatusGoingAway, "shutting down")
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestStopDoesNotWaitForWhoDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := openSite(t, func(o *Options) { o.Settings.ShutdownGrace = 200 * time.Millisecond })
	for range 3 {
		s.upgradeRaw(t) // never reads
	}
	start := time.Now()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("stopping took %v, want the grace and little more", took)
	}
}

// wire 1.1: a ping every 30 s; who is silent for 75 s is cut without a close frame.
func TestLesson116Liveness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSite(t, nil)
		m := s.found(t)
		time.Sleep(time.Second)
		alive := m.enter(t, m.first, nil) // its library answers pings
		dead := s.upgradeRaw(t)
		if err := dead.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		hello := m.hello(m.first, func(r *protocol.HelloRequest) { r.Timestamp++; r.Presence.SessionID = "other" })
		frame := append(clientFrame(0x81, uint64(len(hello)), 0), hello...)
		if _, err := dead.Write(frame); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		got, err := io.ReadAll(dead.r) // until it is cut
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 75*time.Second || took > 85*time.Second {
			t.Errorf("cut after %v, want 75 s", took)
		}
		if n := bytes.Count(got, []byte{0x89, 0}); n != 2 && n != 3 {
			t.Errorf("got %d pings, want one each 30 s", n)
		}
		time.Sleep(10 * time.Minute)
		alive.send(t, []byte(`{"type":"list_peers","_reqId":"1"}`))
		if got := alive.next(t); !strings.Contains(got, "peers_list") {
			t.Errorf("got %s", got)
		}
	})
}

// Every request of the protocol has a handler here, and every handler a declaration.
func TestEveryRequestHasAHandler(t *testing.T) {
	t.Parallel()
	opt := Options{Settings: config.DefaultBroker(), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	s := newServer(t.Context(), opt, &net.TCPAddr{}, parent{count: newMetrics()})
	var declared []string
	for _, e := range wire.Catalogue() {
		if e.Event {
			continue
		}
		declared = append(declared, e.Type)
		if s.mux.Entry(e.Type) != e {
			t.Errorf("%s has no handler", e.Type)
		}
	}
	for _, typ := range s.mux.Types() {
		if !slices.Contains(declared, typ) {
			t.Errorf("%s has a handler and no declaration", typ)
		}
	}
}

// T23: handshakes that fail leave no goroutine behind. TestMain looks for them.
func TestFailedHandshakesLeaveNothing(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	var clients sync.WaitGroup
	for i := range 50 {
		clients.Go(func() {
			for j := range 10 {
				failHandshake(t, s, m, i+j)
			}
		})
	}
	clients.Wait()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// failHandshake connects and breaks off in one of several ways.
func failHandshake(t *testing.T, s *site, m *team, way int) {
	ctx := context.Background()
	switch way % 6 {
	case 0: // the target is none
		s.do(t, s.request(t, http.MethodGet, "/ws?x", nil))
		return
	case 1: // nothing behind the upgrade
		_ = s.upgradeRaw(t).Close()
		return
	case 2: // a frame against the protocol
		c := s.upgradeRaw(t)
		_, _ = c.Write([]byte{0x81, 2, '{', '}'})
		_ = c.closeCode(t)
		_ = c.Close()
		return
	}
	ws, _, err := websocket.Dial(ctx, s.base+"/ws", &websocket.DialOptions{HTTPClient: s.web})
	if err != nil {
		t.Error(err)
		return
	}
	frame := []byte("{")
	switch way % 6 {
	case 4:
		frame = m.hello(m.first, func(r *protocol.HelloRequest) { r.MeshID = "nowhere" })
	case 5:
		frame = bytes.Repeat([]byte("x"), 20_000)
	}
	if err := ws.Write(ctx, websocket.MessageText, frame); err == nil {
		_, _, err = ws.Read(ctx)
		for err == nil {
			_, _, err = ws.Read(ctx)
		}
	}
	_ = ws.CloseNow()
}
