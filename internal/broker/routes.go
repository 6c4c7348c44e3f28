package broker

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/invite"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// maxBodyBytes bounds the body of a plain request.
const maxBodyBytes = 64 << 10

// routes are the plain requests that are answered, and the way to a WebSocket (design B6).
func (s *server) routes() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc(protocol.PathSocket, s.method(http.MethodGet, s.socket))
	m.HandleFunc(protocol.PathHealth, s.method(http.MethodGet, s.health))
	m.HandleFunc(protocol.PathMetrics, s.method(http.MethodGet, s.metrics))
	m.HandleFunc(protocol.PathInvitePage, s.method(http.MethodGet, s.invitePage))
	m.HandleFunc(protocol.PathMeshes, s.method(http.MethodPost, s.createMesh))
	m.HandleFunc(protocol.PathClaim, s.method(http.MethodPost, s.claim))
	m.HandleFunc(protocol.PathJoin, s.method(http.MethodPost, joinHandler(s)))
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, mesh.Errorf(mesh.NotFound, "there is nothing here"))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer")
		if err := s.guard(r); err != nil {
			s.fail(w, r, err)
			return
		}
		m.ServeHTTP(w, r)
	})
}

// guard refuses who does not address this broker by a name of its own: a page in the user's browser whose name
// points here, or any page of another origin (design F2).
func (s *server) guard(r *http.Request) error {
	if len(s.hosts.dialled(r.Host, local(r))) == 0 {
		return mesh.Errorf(mesh.Forbidden, "this broker is not called %.80q; its operator can add that to allowed_hosts", r.Host)
	}
	if _, sent := r.Header["Origin"]; sent && s.hosts.foreign(r.Header.Get("Origin"), local(r)) {
		return mesh.Errorf(mesh.Forbidden, "this broker does not answer pages of other origins")
	}
	return nil
}

// local is this end of the request's connection; nil where the server does not know.
func local(r *http.Request) net.Addr {
	addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return addr
}

// method answers 405 to other methods. Who may GET may ask for the head of it.
func (s *server) method(want string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != want && (want != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", want)
			s.respond(w, http.StatusMethodNotAllowed, protocol.HTTPError{Error: "this route takes " + want, Code: mesh.BadRequest})
			return
		}
		h(w, r)
	}
}

// socket turns a request into a connection. The target is exactly the path: old brokers know no other (wire 1).
func (s *server) socket(w http.ResponseWriter, r *http.Request) {
	if r.RequestURI != protocol.PathSocket {
		s.fail(w, r, mesh.Errorf(mesh.NotFound, "the address of the socket has no query"))
		return
	}
	visit, err := s.parts.visitors.connect(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	c, err := s.accept(w, r, s.hosts.signed(s.hosts.dialled(r.Host, local(r))))
	if err != nil {
		visit.leave()
		s.log.Debug("no upgrade", slog.Any(logkey.Err, err))
		return
	}
	c.visit = visit
	if !s.crowd.add(c) {
		visit.leave()
		_ = c.ws.CloseNow() // it comes back to the next broker
		return
	}
	go func() { // a goroutine of its own has a smaller stack than that of the request; crowd waits for it
		defer s.crowd.remove(c)
		defer visit.leave()
		c.run()
	}()
}

// createMesh makes a mesh for whom the settings allow it (design C1).
func (s *server) createMesh(w http.ResponseWriter, r *http.Request) {
	if err := s.mayCreate(r); err != nil {
		s.fail(w, r, err)
		return
	}
	serve(s, w, r, http.StatusCreated, func(req protocol.MeshCreateRequest) (protocol.MeshCreateAnswer, error) {
		return s.parts.admission.CreateMesh(r.Context(), s.hosts.signed(s.hosts.dialled(r.Host, local(r))), req)
	})
}

func (s *server) mayCreate(r *http.Request) error {
	switch s.set.Create {
	case "open":
		return s.parts.visitors.ask(r)
	case "token":
		err := s.bearer(r)
		if err == nil {
			return nil
		}
		if often := s.parts.visitors.ask(r); often != nil {
			return often
		}
		return err
	}
	return mesh.Errorf(mesh.Forbidden, "this broker makes no new meshes")
}

// bearer wants the create-token.
func (s *server) bearer(r *http.Request) error {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return mesh.Errorf(mesh.MissingToken, "this route wants the create-token of the broker")
	}
	sum := sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(sum[:], s.token[:]) != 1 {
		return mesh.Errorf(mesh.BadToken, "this is not the create-token of the broker")
	}
	return nil
}

// claim redeems an invite.
func (s *server) claim(w http.ResponseWriter, r *http.Request) {
	if err := s.parts.visitors.ask(r); err != nil {
		s.fail(w, r, err)
		return
	}
	visit := invite.Visit{Hosts: s.hosts.signed(s.hosts.dialled(r.Host, local(r))), BrokerURL: s.socketURL(r)}
	serve(s, w, r, http.StatusOK, func(req protocol.ClaimRequest) (protocol.ClaimAnswer, error) {
		return s.parts.invites.Claim(r.Context(), visit, r.PathValue("code"), req)
	})
}

// joinHandler redeems invites of version 1. Its refusals have the shape that clients of the TypeScript system read.
func joinHandler(s *server) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req protocol.JoinRequest
		err := s.parts.visitors.ask(r)
		if err == nil {
			err = readBody(w, r, &req)
		}
		var answer protocol.JoinAnswer
		if err == nil {
			answer, err = s.parts.invites.Join(r.Context(), req)
		}
		if err == nil {
			s.respond(w, http.StatusOK, answer)
			return
		}
		code := note(s.log, w, r, err)
		status := code.Status()
		if code == mesh.InviteRefused {
			status = http.StatusBadRequest
		}
		s.respond(w, status, protocol.JoinRefusal{Error: string(code) + ": " + mesh.PublicText(err), Code: code})
	}
}

// socketURL is where a new member connects: the public address, else the one that was dialled.
func (s *server) socketURL(r *http.Request) string {
	u := &url.URL{Scheme: "http", Host: r.Host}
	if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok && secure(conn) {
		u.Scheme = "https"
	}
	if public, err := url.Parse(s.set.PublicURL); err == nil && public.Host != "" {
		u = public
	}
	u = u.JoinPath(protocol.PathSocket)
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	return u.String()
}

// invitePage says how to join, the same for every code.
func (s *server) invitePage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", invite.PagePolicy)
	s.count.requests.add("200")
	_, _ = w.Write(invite.Page) // the reader may be gone
}

// serve reads one JSON object, does the work, and writes its answer.
func serve[Req, Resp any](s *server, w http.ResponseWriter, r *http.Request, status int, work func(Req) (Resp, error)) {
	var req Req
	err := readBody(w, r, &req)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	resp, err := work(req)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.respond(w, status, resp)
}

// readBody decodes the body strictly. A page cannot send this type without asking first.
func readBody(w http.ResponseWriter, r *http.Request, into any) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return mesh.Errorf(mesh.UnsupportedMedia, "the body is to be application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return mesh.Errorf(mesh.PayloadTooLarge, "the body has more than %d bytes", maxBodyBytes)
	case err != nil:
		return mesh.Errorf(mesh.BadRequest, "read the body: %w", err)
	}
	return wire.Decode(bytes.TrimSpace(body), into)
}

// respond writes a JSON answer.
func (s *server) respond(w http.ResponseWriter, status int, body any) {
	data, err := wire.Encode(body)
	if err != nil {
		s.log.Error("answer not written", slog.Any(logkey.Err, err))
		status, data = http.StatusInternalServerError, []byte(`{"error":"internal error","code":"internal"}`)
	}
	s.count.requests.add(strconv.Itoa(status))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // the reader may be gone
}

// fail writes a refusal. Its cause is for the log only where it is ours.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := note(s.log, w, r, err)
	s.respond(w, code.Status(), protocol.HTTPError{Error: mesh.PublicText(err), Code: code, Hint: code.Hint()})
}

// note logs what is our fault, and sets the headers that go with a refusal.
func note(log *slog.Logger, w http.ResponseWriter, r *http.Request, err error) mesh.Code {
	code := mesh.CodeOf(err)
	if code == mesh.Internal {
		log.Error("request failed", slog.String(logkey.Route, r.Method+" "+r.Pattern), slog.Any(logkey.Err, err))
	}
	switch code {
	case mesh.MissingToken, mesh.BadToken:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case mesh.RateLimited, mesh.Capacity:
		w.Header().Set("Retry-After", retryAfter(err))
	}
	return code
}

// patienceSeconds is after how long to ask again where nothing tells.
const patienceSeconds = 5

// retryAfter is when to ask again after a refusal, in whole seconds.
func retryAfter(err error) string {
	var often tooOften
	if !errors.As(err, &often) {
		return strconv.Itoa(patienceSeconds)
	}
	return strconv.Itoa(wholeSeconds(often.wait))
}

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
