// Package ipc serves the daemon's socket: HTTP over a Unix socket, for this user and the sessions of this machine.
package ipc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/daemon/gate"
	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Options are what the routes work on. All fields are required, but Token.
type Options struct {
	Node     *node.Node
	Registry *registry.Registry
	Inbox    *inbox.Inbox
	Outbox   *outbox.Outbox
	DB       *localdb.DB
	Settings config.Daemon
	User     string // <user>@<host>
	PID      int
	Token    string // bearer token of the TCP listener; empty where there is none
	Now      mesh.Clock
	Log      *slog.Logger
}

// Server answers the routes. It may be used by many connections.
type Server struct {
	Options
	mux      *http.ServeMux
	requests chan struct{} // places for requests; a full house is answered 429
	streams  chan struct{} // places for event streams
	notices  gate.Limiter
	talks    gate.Talks
	opened   bell // rings when the gate may let through what it held
	moods    moods
	showing
	began   time.Time
	tcp     bool // what is served comes by TCP: the bearer token is needed
	ending  chan struct{}
	deliver deliverers
}

// New returns a server with every route of package localapi.
func New(opt Options) *Server {
	s := &Server{
		Options: opt, mux: http.NewServeMux(), began: opt.Now(), ending: make(chan struct{}), deliver: newDeliverers(), showing: newShowing(opt),
		notices: gate.Limiter{Every: opt.Settings.NoticeInterval}, opened: newBell(),
		requests: make(chan struct{}, opt.Settings.IPCRequests), streams: make(chan struct{}, opt.Settings.IPCStreams),
	}
	s.bind()
	bindApprovals(s)
	return s
}

// bind lists the handlers.
func (s *Server) bind() {
	m, h, t := meshRoutes{s}, sessionRoutes{s}, trustRoutes{s}
	handle(s, localapi.Version, s.version)
	handle(s, localapi.Health, s.health)
	handle(s, localapi.Send, s.send)
	handle(s, localapi.SendMany, s.sendMany)
	handle(s, localapi.MessageStatus, s.messageStatus)
	handle(s, localapi.Outbox, outboxRoutes{s}.list)
	handle(s, localapi.OutboxInspect, outboxRoutes{s}.inspect)
	handle(s, localapi.OutboxRequeue, outboxRoutes{s}.requeue)
	handle(s, localapi.OutboxCancel, outboxRoutes{s}.cancel)
	handle(s, localapi.Inbox, inboxRoutes{s}.list)
	handle(s, localapi.InboxSeen, inboxRoutes{s}.seen)
	handle(s, localapi.InboxFlush, inboxRoutes{s}.flush)
	handle(s, localapi.InboxDelete, inboxRoutes{s}.delete)
	handle(s, localapi.InboxOffered, inboxRoutes{s}.offered)
	handle(s, localapi.InboxHeld, reviewRoutes{s}.held)
	handle(s, localapi.InboxReview, reviewRoutes{s}.review)
	handle(s, localapi.Pauses, pauseRoutes{s}.list)
	handle(s, localapi.PauseBegin, pauseRoutes{s}.begin)
	handle(s, localapi.PauseEnd, pauseRoutes{s}.end)
	handle(s, localapi.Letters, letterRoutes{s}.list)
	handle(s, localapi.Redeliver, letterRoutes{s}.redeliver)
	handle(s, localapi.MessageTrace, receiptRoutes{s}.trace)
	stream(s, localapi.StatusWatch, receiptRoutes{s}.watch)
	handle(s, localapi.InboxSurfaced, receiptRoutes{s}.surfaced)
	handle(s, localapi.InboxAcknowledge, receiptRoutes{s}.acknowledge)
	handle(s, localapi.Peers, m.peers)
	handle(s, localapi.Meshes, m.meshes)
	handle(s, localapi.Groups, m.groups)
	handle(s, localapi.GroupJoin, m.groupJoin)
	handle(s, localapi.GroupLeave, m.groupLeave)
	handle(s, localapi.MeshCreate, m.meshCreate)
	handle(s, localapi.MeshJoin, m.meshJoin)
	handle(s, localapi.MeshLeave, m.meshLeave)
	handle(s, localapi.MeshUpdate, m.meshUpdate)
	handle(s, localapi.MemberUpdate, m.memberUpdate)
	handle(s, localapi.Invites, m.invites)
	handle(s, localapi.InviteCreate, m.inviteCreate)
	handle(s, localapi.InviteRevoke, m.inviteRevoke)
	handle(s, localapi.Moderate, orderRoutes{s}.moderate)
	handle(s, localapi.Bans, orderRoutes{s}.bans)
	handle(s, localapi.Grant, orderRoutes{s}.grant)
	handle(s, localapi.Grants, orderRoutes{s}.grants)
	handle(s, localapi.SessionRegister, h.sessionRegister)
	handle(s, localapi.SessionLaunch, h.sessionLaunch)
	handle(s, localapi.SessionDeregister, h.sessionDeregister)
	handle(s, localapi.SessionMe, h.sessionMe)
	handle(s, localapi.Sessions, h.sessions)
	handle(s, localapi.Whoami, h.whoami)
	handle(s, localapi.Hook, hookRoutes{s}.hook)
	handle(s, localapi.StatusLine, hookRoutes{s}.statusLine)
	pathRoutes{s}.bind()
	p := presenceRoutes{s}
	handle(s, localapi.ProfileSet, p.set)
	handle(s, localapi.Profiles, p.profiles)
	handle(s, localapi.Members, p.members)
	handle(s, localapi.Info, p.info)
	handle(s, localapi.PingBrokers, p.ping)
	stream(s, localapi.PeersWatch, p.watch)
	handle(s, localapi.Trust, t.trust)
	handle(s, localapi.TrustAccept, t.trustAccept)
	handle(s, localapi.TrustReject, t.trustReject)
	handle(s, localapi.Verify, t.verify)
	skillRoutes{s}.bind()
	stream(s, localapi.Events, s.events)
	s.mux.HandleFunc("/", s.nowhere)
}

// Times of the HTTP server. Bodies are small and local; answers may wait for a state (send --wait).
const (
	headerTime = 5 * time.Second
	idleTime   = 2 * time.Minute
	maxHeader  = 16 << 10
)

// Serve answers on a listener until ctx ends; then streams end, and what is under way has a moment to finish.
// overTCP makes the bearer token and the Host check count.
func (s *Server) Serve(ctx context.Context, ln net.Listener, overTCP bool) error {
	h := http.Handler(s)
	if overTCP {
		h = bearer{s}
	}
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, credentials(c))
		},
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	<-failed
	return err
}

// shutdownTime is how long answers under way may take when the daemon stops; `down` waits longer (daemon 5.2).
const shutdownTime = 2 * time.Second

// End makes every event stream end. Call it once, before the context of Serve ends.
func (s *Server) End() { close(s.ending) }

// ServeHTTP answers one request that came over the Unix socket, or from within this process.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// peerKey finds the process at the other end of a connection.
type peerKey struct{}

// nowhere answers what no route takes: an unknown path, or a known one by another method (daemon 7).
func (s *Server) nowhere(w http.ResponseWriter, r *http.Request) {
	_, err := s.admit(r)
	if err == nil {
		err = mesh.Errorf(mesh.NotFound, "no such route")
	}
	writeError(w, err)
}

// handle binds a route to a handler.
func handle[Req, Resp any](s *Server, c localapi.Call[Req, Resp], fn func(context.Context, caller, Req) (Resp, error)) {
	limit := min(c.Limit(), s.Settings.IPCBodyBytes)
	s.mux.HandleFunc(c.Route, func(w http.ResponseWriter, r *http.Request) {
		resp, err := answer(s, r, c, limit, fn)
		if err != nil {
			s.logFailure(c.Route, err)
			writeError(w, err)
			return
		}
		status := http.StatusOK
		if st, ok := any(resp).(interface{ HTTPStatus() int }); ok {
			status = st.HTTPStatus()
		}
		writeJSON(w, status, resp)
	})
}

func answer[Req, Resp any](s *Server, r *http.Request, c localapi.Call[Req, Resp], limit int64, fn func(context.Context, caller, Req) (Resp, error)) (Resp, error) {
	var none Resp
	who, err := s.admit(r)
	if err == nil {
		err = who.may(c.Scope)
	}
	if err != nil {
		return none, err
	}
	select {
	case s.requests <- struct{}{}:
		defer func() { <-s.requests }()
	default:
		return none, mesh.Errorf(mesh.RateLimited, "the daemon serves %d requests already", cap(s.requests))
	}
	body, err := readBody(r, limit)
	if err != nil {
		return none, err
	}
	var query url.Values
	if r.URL.RawQuery != "" {
		query = r.URL.Query()
	}
	req, err := c.Decode(body, query, r.PathValue)
	if err != nil {
		return none, err
	}
	if headed, ok := any(&req).(localapi.Headed); ok {
		headed.TakeHeaders(r.Header)
	}
	return fn(r.Context(), who, req)
}

// readBody reads a JSON body within its limit.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.Method == http.MethodGet || r.Method == http.MethodDelete {
		return nil, nil
	}
	if ct := r.Header.Get("Content-Type"); ct != "application/json" && ct != "application/json; charset=utf-8" {
		return nil, mesh.Errorf(mesh.UnsupportedMedia, "the body is not application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, mesh.Errorf(mesh.BadRequest, "read the body: %w", err)
	}
	if int64(len(body)) > limit {
		_, _ = io.CopyN(io.Discard, r.Body, limit) // who is still writing would not read why
		return nil, mesh.Errorf(mesh.PayloadTooLarge, "the body is over %d bytes", limit).With(mesh.Details{LimitBytes: limit})
	}
	return body, nil
}

// logFailure logs what is our fault; refusals are the caller's to see.
func (s *Server) logFailure(route string, err error) {
	switch mesh.CodeOf(err) {
	case mesh.Internal, mesh.IOError, mesh.StoreFailed, mesh.StorageFull, mesh.StoreCorrupt:
		s.Log.Error("request failed", logkey.Route, route, logkey.Err, err)
	default:
		s.Log.Debug("request refused", logkey.Route, route, logkey.Code, string(mesh.CodeOf(err)))
	}
}

func writeError(w http.ResponseWriter, err error) {
	status, body := localapi.EncodeError(err)
	writeJSON(w, status, body)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := wire.Encode(v)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":"internal","code":"internal"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data) // a caller that has gone asks again
}
