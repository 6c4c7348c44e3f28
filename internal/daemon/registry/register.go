package registry

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// maxSessions bounds the sessions of one machine; the next one is refused with capacity.
const maxSessions = 256

// Bounds of what a session says of itself.
const (
	maxIDBytes   = 128
	maxTextBytes = 256
	maxCWDBytes  = 4096
	maxGroups    = 64
)

// Caller is the process at the other end of a socket.
type Caller struct{ PID, UID int }

// Register takes a session in, or replaces the registration of the same session id, and answers when it is on the
// disk. forbidden: the caller does not descend from the process it names, or the process that is registered lives
// and the old token is missing. bad_request, mesh_not_attached, and capacity at 256 sessions.
func (r *Registry) Register(ctx context.Context, req localapi.RegisterRequest, c Caller) (localapi.RegisterAnswer, error) {
	req, err := check(req)
	if err != nil {
		return localapi.RegisterAnswer{}, err
	}
	p, err := host.Find(req.PID)
	if err != nil || c.UID != os.Getuid() || !descends(c.PID, p) {
		return localapi.RegisterAnswer{}, mesh.Errorf(mesh.Forbidden, "only a process of the session may register it")
	}
	if err := r.turn.take(ctx); err != nil {
		return localapi.RegisterAnswer{}, err
	}
	defer r.turn.release()
	called := req.SessionID
	req.SessionID = r.table.place(called, p, c)
	if err := r.mayReplace(req); err != nil {
		return localapi.RegisterAnswer{}, err
	}
	e, err := r.newEntry(req, p, called)
	if err != nil {
		return localapi.RegisterAnswer{}, err
	}
	token := mesh.NewToken()
	e.setToken(hash(token))
	if err := r.keep(ctx, e, token); err != nil {
		return localapi.RegisterAnswer{}, err
	}
	r.install(e)
	r.opt.Log.Info("session registered", slog.String(logkey.Session, e.ID), slog.Int(logkey.PID, p.PID),
		slog.String(logkey.Name, e.Name), slog.String(logkey.Host, e.Host.Name))
	return localapi.RegisterAnswer{OK: true, Token: token, Sessions: e.views()}, nil
}

// check refuses what no host says and fills in defaults.
func check(req localapi.RegisterRequest) (localapi.RegisterRequest, error) {
	if req.MessageMode == "" {
		req.MessageMode = localapi.ModePush
	}
	switch {
	case req.SessionID == "" || len(req.SessionID) > maxIDBytes || !printable(req.SessionID):
		return req, mesh.Errorf(mesh.BadRequest, "session_id has 1 to %d characters that can be seen", maxIDBytes)
	case len(req.CWD) > maxCWDBytes || !filepath.IsAbs(req.CWD) || !utf8.ValidString(req.CWD):
		return req, mesh.Errorf(mesh.BadRequest, "cwd is a full path of at most %d bytes", maxCWDBytes)
	case !slices.Contains(localapi.Modes(), req.MessageMode):
		return req, mesh.Errorf(mesh.BadRequest, "message_mode is push, inbox or off")
	case len(req.Groups) > maxGroups:
		return req, mesh.Errorf(mesh.BadRequest, "a session is in at most %d groups", maxGroups)
	}
	for _, text := range []string{req.DisplayName, req.Role, req.Host.Name, req.Host.Version} {
		if len(text) > maxTextBytes || !printable(text) {
			return req, mesh.Errorf(mesh.BadRequest, "names, role and version have at most %d characters that can be seen", maxTextBytes)
		}
	}
	groups := make([]protocol.Group, 0, len(req.Groups))
	for _, g := range req.Groups {
		name, err := mesh.ParseGroup(g.Name)
		if err != nil {
			return req, err
		}
		if len(g.Role) > maxTextBytes || !printable(g.Role) {
			return req, mesh.Errorf(mesh.BadRequest, "a role has at most %d characters that can be seen", maxTextBytes)
		}
		groups = append(groups, protocol.Group{Name: name, Role: g.Role})
	}
	req.Groups = groups
	return req, nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// mayReplace refuses a session id that is taken by a process that lives, unless the caller has its token.
func (r *Registry) mayReplace(req localapi.RegisterRequest) error {
	old := r.table.find(req.SessionID)
	if old == nil {
		if len(r.table.list()) >= maxSessions {
			return mesh.Errorf(mesh.Capacity, "this machine has %d sessions already", maxSessions)
		}
		return nil
	}
	if !old.lives() || slices.ContainsFunc(strings.Split(req.OldToken, ","), func(token string) bool { return old.has(hash(token)) }) {
		return nil
	}
	return mesh.Errorf(mesh.Forbidden, "session %s is registered and runs: replacing it takes its token", req.SessionID)
}

// place is the id under which a process is to be the session that its host calls by an id: the one that it has, where its
// program was started again; that id; or where the conversation goes on in another process, too, one of its own.
func (t *table) place(id string, p host.Process, c Caller) string {
	if old := t.calledBy(id, p); old != nil {
		return old.ID
	}
	old := t.find(id)
	if old == nil || old.of(p) || !old.lives() || descends(c.PID, old.Process) {
		return id
	}
	return id + "~" + strconv.Itoa(p.PID)
}

// newEntry makes a session of a request, without a token; called is how its host calls it.
func (r *Registry) newEntry(req localapi.RegisterRequest, p host.Process, called string) (*entry, error) {
	joined, err := r.opt.Book.List()
	if err != nil {
		return nil, err
	}
	e := &entry{Session: Session{
		ID: req.SessionID, Process: p, CWD: req.CWD, Groups: req.Groups, Host: req.Host, Registered: r.opt.Now(),
	}}
	linesOf := func(e *entry, joined []membership.Mesh) ([]Line, error) { return ownLines(r, e, joined) }
	if old := r.table.find(e.ID); old != nil && old.of(p) { // the session goes on
		e.Registered, e.kept, e.heard, e.aliases = old.Registered, old.kept, old.heard, old.aliases
		linesOf = r.lines
	} else if called != e.ID {
		e.kept.Called, e.aliases = called, []string{called}
	}
	e.kept.Given = req.DisplayName
	if accepts := r.launches.allowed(p); accepts != nil {
		e.kept.Accepts = accepts
	}
	e.rules = reader(e.Session)
	if e.only, err = limit(joined, req.Mesh); err != nil {
		return nil, err
	}
	if e.Lines, err = linesOf(e, joined); err != nil {
		return nil, err
	}
	r.table.amend(e, req)
	return e, nil
}

func reader(s Session) *host.Reader {
	return host.NewReader(host.Subject{Program: s.Host.Name, PID: s.Process.PID, WorkDir: s.CWD})
}

// limit finds the mesh of a slug; empty limits nothing.
func limit(joined []membership.Mesh, slug string) ([]mesh.ID, error) {
	if slug == "" {
		return nil, nil
	}
	var slugs []string
	for _, m := range joined {
		if m.Slug == slug {
			return []mesh.ID{m.ID}, nil
		}
		slugs = append(slugs, m.Slug)
	}
	return nil, mesh.Errorf(mesh.MeshNotAttached, "no mesh %q is joined here", slug).With(mesh.Details{Attached: slugs})
}

// lines makes the lines of a session in the joined meshes that it wants; its keys are made where they are missing.
func (r *Registry) lines(e *entry, joined []membership.Mesh) ([]Line, error) {
	var lines []Line
	for _, m := range joined {
		if len(e.only) > 0 && !slices.Contains(e.only, m.ID) {
			continue
		}
		secret, err := r.opt.Book.SessionSecret(m, e.keyID(), r.opt.Now())
		if err != nil {
			return nil, fmt.Errorf("get the session's key in %s: %w", m.Slug, err)
		}
		lines = append(lines, Line{m.ID, m.Slug, m.Pubkey(), secret})
	}
	slices.SortFunc(lines, func(a, b Line) int { return strings.Compare(a.Slug, b.Slug) })
	return lines, nil
}

// ownLines is lines for a session that has just become what it is. Where another one that lives has its keys, because a
// conversation was taken up in two places, it gets others.
func ownLines(r *Registry, e *entry, joined []membership.Mesh) ([]Line, error) {
	for e.kept.Copy = 0; ; e.kept.Copy = max(2, e.kept.Copy+1) {
		lines, err := r.lines(e, joined)
		if err != nil || !r.table.taken(e.ID, lines) {
			return lines, err
		}
	}
}

// install makes an entry the session of its id, for everyone to see, and brings its connections in line.
func (r *Registry) install(e *entry) {
	old := r.table.find(e.ID)
	r.table.change(e.ID, e)
	if old != nil {
		for _, l := range old.Lines {
			if now, ok := e.Line(l.MeshID); !ok || now.Pubkey() != l.Pubkey() {
				r.opt.Lines.Detach(old.Session, l)
			}
		}
	}
	for _, l := range e.Lines {
		r.opt.Lines.Attach(e.Session, l)
	}
	r.watched.add(e.Process)
}

// row is what is kept of an entry.
func (e *entry) row() localdb.Session {
	return localdb.Session{
		ID: e.ID, PID: e.Process.PID, StartTime: e.Process.Start, CWD: e.CWD, Name: e.Name, Role: e.Role, Groups: e.Groups,
		MessageMode: e.MessageMode, HostName: e.Host.Name, HostVersion: e.Host.Version, HostMode: string(e.rules.Rules().Mode),
		TokenHash: e.tokenHash, Meshes: e.only, Registered: e.Registered, Amended: e.kept.text(),
	}
}

// views is what the session is told of itself.
func (e *entry) views() []localapi.SessionMesh {
	list := make([]localapi.SessionMesh, len(e.Lines))
	for i, l := range e.Lines {
		list[i] = localapi.SessionMesh{Mesh: l.Slug, SessionPubkey: l.Pubkey(), DisplayName: e.Name}
	}
	return list
}

// fallbackName is for a session that nothing names.
const fallbackName = "session"

// proposeName is the name a session wants: given, else its host's, else its folder's (design C5).
func proposeName(given, hostName, cwd string) string {
	folder := strings.Trim(filepath.Base(cwd), `/\`) // the root has no name
	for _, text := range []string{given, hostName, folder} {
		if name := mesh.SafeName(text, ""); name != "" {
			return name
		}
	}
	return fallbackName
}
