// Package broker is the server of a mesh: it listens, lets members in, hands their frames to the features, and keeps
// what waits for who is away. It holds no feature itself; bind.go lists them.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/admission"
	"github.com/claudemesh/claudemesh/internal/broker/authority"
	"github.com/claudemesh/claudemesh/internal/broker/invite"
	"github.com/claudemesh/claudemesh/internal/broker/moderation"
	"github.com/claudemesh/claudemesh/internal/broker/presence"
	"github.com/claudemesh/claudemesh/internal/broker/queue"
	"github.com/claudemesh/claudemesh/internal/broker/replay"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Options are what a broker runs with.
type Options struct {
	Settings config.Broker
	Data     paths.Broker // made when it is not there; one broker at a time
	Now      mesh.Clock
	Log      *slog.Logger
	Listener net.Listener   // nil listens on Settings.Listen; Run closes it once it serves
	Ready    func(net.Addr) // called once it answers; may be nil
}

// Run serves until ctx ends, then tells its peers, answers what it accepted, and returns nil; it returns store_failed when the
// store has failed and a restart is needed, already_running
// when another broker has the data folder, port_in_use when another program has the port.
func Run(ctx context.Context, opt Options) error {
	release, err := occupy(ctx, opt.Data)
	if err != nil {
		return err
	}
	defer release()
	token, err := createToken(opt.Data, opt.Log)
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, opt.Data.DB(), opt.Now, opt.Log)
	if err != nil {
		return openFault(err)
	}
	cert, err := openCertificate(opt.Settings, opt.Data, opt.Now, opt.Log)
	if err != nil {
		return errors.Join(err, closeGiven(opt.Listener), db.Close())
	}
	count := newMetrics()
	listener, err := listen(ctx, opt.Settings, opt.Listener, cert, count)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	err = run(ctx, opt, listener, parent{db: db, token: token, cert: cert, count: count})
	if errors.Is(err, errStuck) {
		return err
	}
	return errors.Join(err, db.Close())
}

// parent is what a server is made of that is opened before it.
type parent struct {
	db    *sqlite.DB
	token token
	cert  *certificate // nil for a broker without TLS
	count *metrics
}

// closeGiven closes a listener that nothing will serve.
func closeGiven(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// openFault gives what is wrong with the database its code of the table.
func openFault(err error) error {
	for _, known := range []struct {
		cause error
		code  mesh.Code
	}{
		{sqlite.ErrNewerSchema, mesh.StoreNewer}, {sqlite.ErrBusy, mesh.StoreLocked}, {sqlite.ErrFull, mesh.StorageFull},
		{sqlite.ErrCorrupt, mesh.StoreCorrupt}, {sqlite.ErrNotDatabase, mesh.StoreCorrupt}, {sqlite.ErrDrift, mesh.StoreCorrupt},
		{sqlite.ErrForeign, mesh.StoreCorrupt},
	} {
		if errors.Is(err, known.cause) {
			return mesh.Errorf(known.code, "%w", err)
		}
	}
	return mesh.Errorf(mesh.IOError, "%w", err)
}

// run serves on a listener and a database that are open, until ctx ends or serving fails, and stops in order.
func run(ctx context.Context, opt Options, listener net.Listener, from parent) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s := newServer(work, opt, listener.Addr(), from)
	if err := s.presence.Load(work); err != nil {
		return errors.Join(openFault(err), listener.Close())
	}
	web := s.web(opt.Log)
	failed := make(chan error, 2)
	var core, edge sync.WaitGroup
	core.Go(func() { failed <- s.queue.Run(work) })
	core.Go(func() { s.presence.Run(work) })
	edge.Go(func() { s.watch(work) })
	edge.Go(func() { failed <- web.Serve(listener) })
	s.announce(listener.Addr(), opt.Ready)

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	case <-from.db.Failed():
		err = sqlite.Coded(from.db.Failure()) // nothing is taken until a restart: who starts it again must see that it is over
	}
	s.crowd.close()
	grace, cancel := context.WithTimeout(work, opt.Settings.ShutdownGrace)
	_ = web.Shutdown(grace) // a request that is not done by then is cut
	cancel()
	_ = web.Close() // as above
	stop()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	if !within(opt.Settings.ShutdownGrace+stopTime, func() {
		core.Wait() // everything that was accepted is answered
		s.dismiss()
		edge.Wait()
	}) {
		opt.Log.Error("broker did not come to an end: it ends all the same, and what was not stored is sent again")
		return errors.Join(err, errStuck)
	}
	opt.Log.Info("broker stopped")
	return err
}

// stopTime is how long the end of a broker may take beyond the grace of its connections. A store that hangs must not keep
// the process for ever.
const stopTime = 10 * time.Second

// errStuck is the end of a broker some part of which did not end. Its database is not to be closed: that would wait, too.
var errStuck = mesh.Errorf(mesh.StoreFailed, "the broker did not come to an end within its time: check the disk")

// within runs fn and reports whether it came to its end in time.
func within(limit time.Duration, fn func()) bool {
	done := make(chan struct{})
	go func() { // beyond its time it is left behind, by a process that ends
		fn()
		close(done)
	}()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-done:
		return true
	case <-late.C:
		return false
	}
}

// newServer puts the parts of a broker together. Nothing runs yet.
func newServer(work context.Context, opt Options, addr net.Addr, from parent) *server {
	db := from.db
	seen := replay.New(replayTime, opt.Now)
	count := from.count
	s := &server{
		set: opt.Settings, now: opt.Now, log: opt.Log, started: opt.Now(), work: work, token: from.token, db: db,
		mux: wire.NewMux[*session.Session](),
		doors: &doors{
			db: db, set: opt.Settings, now: opt.Now, seen: seen,
			seats: newSeats(opt.Settings, count.reached), hellos: newPace[seat](opt.Settings.MemberHellos),
			requests: newPace[seat](opt.Settings.MemberRequests),
		},
		hosts: newHosts(opt.Settings, addr),
		count: count,
	}
	s.presence = presence.New(presence.Options{
		DB: db, Settings: opt.Settings, Now: opt.Now, Log: opt.Log,
		SetStatus: func(id mesh.ConnID, status mesh.Status) { s.queue.SetStatus(id, status) },
		Sees:      func(member mesh.ID, by, key mesh.Key) bool { return s.queue.Guard().Sees(member, by, key) },
	})
	s.queue = queue.New(queue.Options{DB: db, Settings: opt.Settings, Now: opt.Now, Log: opt.Log, Watch: watcher{s.presence}, Reached: count.reachedBy})
	s.crowd.conns, s.crowd.ended = map[mesh.ConnID]*conn{}, map[mesh.ID]bool{}
	signed := &authority.Authority{Now: opt.Now, Once: seen.First}
	s.parts = parts{
		invites: &invite.Invites{DB: db, Now: opt.Now, Owner: signed, SelfSigned: opt.Settings.SelfSigned},
		moderation: &moderation.Moderation{
			DB: db, Queue: s.queue, Authority: signed, Now: opt.Now, Log: opt.Log,
			Silent: func(id mesh.ConnID) time.Duration { return time.Duration(s.crowd.silence(id)) * tickTime(s.set) },
		},
		admission: &admission.Admission{DB: db, Now: opt.Now, Once: seen.First, Close: s.queue.CloseMember},
		visitors:  newVisitors(opt.Settings, opt.Now, count.reached),
		cert:      from.cert,
	}
	s.bind()
	return s
}

// connKey finds the connection of a request in its context.
type connKey struct{}

// What a plain request may take. A WebSocket has its own times.
const (
	headTime    = 5 * time.Second
	bodyTime    = 10 * time.Second
	idleTime    = 30 * time.Second
	headerBytes = 16 << 10
)

// web is the HTTP server in front of the routes.
func (s *server) web(log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           s.routes(),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ReadHeaderTimeout: headTime,
		ReadTimeout:       bodyTime,
		WriteTimeout:      bodyTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // of strangers' mistakes
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
}

// announce says where the broker answers, and warns of what others on the way could read.
func (s *server) announce(addr net.Addr, ready func(net.Addr)) {
	s.log.Info("broker answers", slog.String(logkey.Addr, addr.String()), slog.String(logkey.Version, buildinfo.Version()))
	here, known := addrOf(addr)
	if known && !here.IsLoopback() && !s.set.TLS() && !strings.HasPrefix(s.set.PublicURL, "https:") {
		s.log.Warn("connections are not encrypted beyond this machine: set tls_cert and tls_key, or put a proxy in front",
			slog.String(logkey.Addr, addr.String()))
	}
	if ready != nil {
		ready(addr)
	}
}
