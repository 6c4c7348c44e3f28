package registry

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Hooks is a registry for what hooks of hosts say.
type Hooks struct{ *Registry }

// Around returns the session whose process is the nearest among a process and its ancestors. What another Claude Code does that
// was started inside of the session, and is not registered itself, is not the session's.
func (r Hooks) Around(pid int) (Session, bool) {
	all := r.table.list()
	for a := range host.Ancestry(pid) {
		i := slices.IndexFunc(all, func(e *entry) bool { return e.Process.PID == a.PID && e.Process.Start == a.Start })
		if i >= 0 {
			return all[i].Session, true
		}
		if host.IsClaude(a.PID) {
			break
		}
	}
	return Session{}, false
}

// News is what a hook says of its session. Empty fields say nothing.
type News struct {
	Mode   host.Mode
	Called string // the id by which the host calls it now
	Source string // why it began anew: startup, resume, clear, compact or fork
}

// Heard takes what the host's latest hook says. The mode holds until it is said anew, or the daemon ends: then flags and
// settings count until the next hook. Under its new id the session's shell finds its token too.
//
// A conversation that was cleared is the same peer under another id, and stays it when that id is resumed later. Where the
// program went on with another conversation, or with a copy of its own, it is another peer: the one that it was with that
// conversation, or a new one.
func (r Hooks) Heard(ctx context.Context, id string, news News) error {
	old := r.table.find(id)
	if old == nil {
		return mesh.Errorf(mesh.SessionUnknown, "the session has ended")
	}
	changed := news.Mode != "" && news.Mode != old.heard
	if !changed && !r.another(old, news.Called) {
		return nil
	}
	if err := r.turn.take(ctx); err != nil {
		return err
	}
	defer r.turn.release()
	if old = r.table.find(id); old == nil {
		return mesh.Errorf(mesh.SessionUnknown, "the session has ended")
	}
	e := *old
	e.heard = cmp.Or(news.Mode, old.heard)
	if !r.another(old, news.Called) {
		r.table.change(id, &e)
		return nil
	}
	if err := r.alias(&e, news.Called); err != nil {
		return err
	}
	if err := r.succeed(ctx, &e, news); err != nil {
		return err
	}
	r.install(&e)
	r.opt.Log.Info("session goes on under another id", slog.String(logkey.Session, id), slog.String(logkey.Name, e.Name), slog.String(logkey.Reason, news.Source))
	return nil
}

// another reports whether a host calls a session by an id that is new for it.
func (r Hooks) another(e *entry, id string) bool {
	return id != "" && len(id) <= maxIDBytes && printable(id) && id != e.hostID()
}

// alias puts the token where a shell finds it that knows a later id of the session.
func (r Hooks) alias(e *entry, id string) error {
	if id == e.ID || slices.Contains(e.aliases, id) {
		return nil
	}
	text, _, err := paths.ReadSecret(r.opt.Daemon.SessionToken(e.ID))
	if err != nil {
		return mesh.Errorf(mesh.IOError, "read the session's token: %w", err)
	}
	for token := range strings.SplitSeq(strings.TrimSpace(string(text)), ",") {
		if !e.has(hash(token)) {
			continue
		}
		if err := leave(r.Registry, id, e.ID, token); err != nil {
			return err
		}
	}
	for len(e.aliases) >= maxAliases {
		if err := leave(r.Registry, e.aliases[0], e.ID, ""); err != nil {
			return err
		}
		e.aliases = e.aliases[1:]
	}
	e.aliases = append(slices.Clone(e.aliases), id)
	return nil
}

// succeed makes a session what it is under its new id: the same peer, which keeps its key, or another one. It is on the disk
// then.
func (r Hooks) succeed(ctx context.Context, e *entry, news News) error {
	joined, err := r.opt.Book.List()
	if err != nil {
		return err
	}
	before := e.keyID()
	if news.Source == "resume" || news.Source == "fork" || r.table.elsewhere(news.Called, e) {
		if err := depart(ctx, r.Registry, e); err != nil {
			return err
		}
		e.kept.Called = news.Called
		e.Lines, err = ownLines(r.Registry, e, joined)
	} else {
		e.kept.Called, e.kept.Copy = news.Called, 0
		for _, m := range joined {
			if _, ok := e.Line(m.ID); ok && err == nil {
				err = membership.CopySession(r.opt.Book, m, before, news.Called, r.opt.Now())
			}
		}
		if err == nil {
			e.Lines, err = r.lines(e, joined)
		}
	}
	if err != nil {
		return err
	}
	r.table.name(e)
	return r.opt.DB.SaveSession(ctx, e.row())
}

// depart notes that the peer which a session is by its host's id has ended.
func depart(ctx context.Context, r *Registry, e *entry) error {
	was := localdb.Departed{ID: e.keyID(), Name: e.Name, Role: e.Role, CWD: e.CWD}
	return localdb.Depart(ctx, r.opt.DB, was, r.opt.Now())
}

// maxAliases bounds the names of a session that is cleared again and again; the oldest is forgotten.
const maxAliases = 8

// renameEvery is how often the names are looked at that hosts give their sessions.
const renameEvery = 3 * time.Second

// followNames calls sessions as their hosts call them now, where their user has set no name.
func followNames(ctx context.Context, r *Registry) {
	for _, e := range r.table.list() {
		if err := followName(ctx, r, e); err != nil && ctx.Err() == nil {
			r.opt.Log.Warn("session is not called as its host calls it", slog.String(logkey.Session, e.ID), slog.Any(logkey.Err, err))
		}
	}
}

func followName(ctx context.Context, r *Registry, seen *entry) error {
	name := mesh.SafeName(seen.rules.SessionName(seen.hostID()), "")
	if name == "" || name == seen.proposed || seen.kept.Given != "" || deref(seen.kept.Name) != "" {
		return nil
	}
	if err := r.turn.take(ctx); err != nil {
		return err
	}
	defer r.turn.release()
	if r.table.find(seen.ID) != seen {
		return nil // it has changed otherwise: next time
	}
	e := *seen
	r.table.name(&e)
	if err := r.opt.DB.SaveSession(ctx, e.row()); err != nil {
		return err
	}
	r.install(&e)
	r.opt.Log.Info("session renamed by its host", slog.String(logkey.Session, e.ID), slog.String(logkey.Name, e.Name))
	return nil
}
