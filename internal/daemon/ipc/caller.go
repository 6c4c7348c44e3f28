package ipc

import (
	"context"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// caller is who asks: the user, one of its sessions, or a process inside a session that cannot show the session's
// token, which counts as nobody (design C6).
type caller struct {
	process registry.Caller
	session *registry.Session
	nobody  bool
	distant bool // it came by TCP, with the bearer token
}

// id is the session's id; empty for the user outside of one.
func (c caller) id() string {
	if c.session == nil {
		return ""
	}
	return c.session.ID
}

// current is a caller that may have gone on as another peer, or have joined a mesh, since it began to ask.
func current(s *Server, c caller) caller {
	if now, ok := s.Registry.Find(c.id()); ok {
		c.session = &now
	}
	return c
}

// scope is what of the inbox the caller sees.
func (c caller) scope() inbox.Scope {
	switch {
	case c.nobody:
		return inbox.Scope{}
	case c.session != nil:
		return inbox.Only(c.session.Keys()...)
	}
	return inbox.All()
}

// may checks the scope of a route.
func (c caller) may(s localapi.Scope) error {
	switch {
	case s == localapi.Anyone:
		return nil
	case s == localapi.HumanOnly && (c.session != nil || c.nobody):
		return mesh.Errorf(mesh.HumanOnly, "this is for the human outside the session")
	case s == localapi.HumanOnly && c.distant:
		return mesh.Errorf(mesh.HumanOnly, "this is for the human in a terminal: over TCP nobody can tell which process asks")
	case c.nobody:
		return mesh.Errorf(mesh.SessionUnknown, "a process inside a session needs that session's token")
	}
	return nil
}

// border makes the first checks of daemon 7, in their order: no token in the address, a Host of this machine, no Origin.
func (s *Server) border(r *http.Request) error {
	if err := s.checkQuery(r.URL); err != nil {
		return err
	}
	if !localHost(r.Host) {
		return mesh.Errorf(mesh.Forbidden, "forbidden host")
	}
	if len(r.Header.Values("Origin")) > 0 {
		return mesh.Errorf(mesh.Forbidden, "forbidden origin")
	}
	return nil
}

// admit makes the checks of daemon 7 and finds out who asks.
func (s *Server) admit(r *http.Request) (caller, error) {
	if err := s.border(r); err != nil {
		return caller{}, err
	}
	process, _ := r.Context().Value(peerKey{}).(registry.Caller)
	if process.UID != os.Getuid() {
		return caller{}, mesh.Errorf(mesh.Forbidden, "the socket belongs to another user")
	}
	c := caller{process: process, distant: r.Context().Value(tcpKey{}) != nil}
	if token := sessionToken(r); token != "" {
		if session, err := s.Registry.ByToken(token, process); err == nil {
			c.session = &session
			return c, nil
		}
	}
	c.nobody = process.PID != 0 && s.Registry.Inside(process.PID)
	return c, nil
}

// sessionHeader carries the token of a session; older clients put it into Authorization.
const sessionHeader = "X-Claudemesh-Session"

// checkQuery refuses a query with a token, which would stand in logs, and one that cannot be read: what is left out would
// make the request mean more than it says.
func (s *Server) checkQuery(u *url.URL) error {
	if u.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if query.Has("token") {
		s.Log.Warn("token in a query refused", logkey.Path, u.Path)
		return mesh.Errorf(mesh.BadRequest, "a token goes into the Authorization header, never into the address")
	}
	if err != nil {
		return mesh.Errorf(mesh.BadRequest, "the query cannot be read")
	}
	return nil
}

// sessionToken is the token of a session, in either of its headers (daemon 7).
func sessionToken(r *http.Request) string {
	if t := r.Header.Get(sessionHeader); t != "" {
		return t
	}
	t, _ := strings.CutPrefix(r.Header.Get("Authorization"), "ClaudeMesh-Session ")
	if t == r.Header.Get("Authorization") {
		return ""
	}
	return t
}

// localHost reports whether a Host header names this machine: a page that rebinds its name does not.
func localHost(host string) bool {
	if host == "" {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	if strings.EqualFold(name, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && (ip == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || ip == netip.IPv6Loopback())
}

// tcpKey marks requests that came by TCP.
type tcpKey struct{}

// bearer is the server behind TCP: who has the token is the user.
type bearer struct{ *Server }

// ServeHTTP checks the bearer token, then answers as over the socket.
func (b bearer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	outside := b.border(r)
	switch {
	case outside != nil:
		writeError(w, outside)
	case b.Settings.TCPPublicHealth && asksHealth(r):
		writeJSON(w, http.StatusOK, alive{true})
	case !ok:
		writeError(w, mesh.Errorf(mesh.MissingToken, "missing bearer token"))
	case b.Token == "" || subtle.ConstantTimeCompare([]byte(token), []byte(b.Token)) != 1:
		b.Log.Warn("bearer token refused")
		writeError(w, mesh.Errorf(mesh.BadToken, "invalid bearer token"))
	default:
		b.Server.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tcpKey{}, true)))
	}
}

// alive is all that somebody without a token hears, where the settings allow it.
type alive struct {
	OK bool `json:"ok"`
}

// asksHealth reports whether a program asks without a token whether the daemon lives.
func asksHealth(r *http.Request) bool {
	return r.Method+" "+r.URL.Path == localapi.Health.Route && r.URL.RawQuery == "" && r.Header.Get("Authorization") == ""
}
