package registry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Restore takes the sessions of the last run whose process lives still, and forgets the others. Call it once, before
// Run and before callers are let in.
func (r *Registry) Restore(ctx context.Context) error {
	if err := r.turn.take(ctx); err != nil {
		return err
	}
	defer r.turn.release()
	rows, err := r.opt.DB.ListSessions(ctx)
	if err != nil {
		return err
	}
	joined, err := r.opt.Book.List()
	if err != nil {
		return err
	}
	for _, row := range rows {
		if e := r.revive(row, joined); e != nil {
			r.install(e)
			if err := host.WriteMark(r.opt.Daemon.SessionProcess(e.ID), e.Process); err != nil { // an older version left none
				r.opt.Log.Warn("process of a session is not marked", slog.String(logkey.Session, e.ID), slog.Any(logkey.Err, err))
			}
			continue
		}
		if err := r.opt.DB.EndSession(ctx, row.ID, r.opt.Now()); err != nil {
			return err
		}
	}
	r.sweepFiles()
	return nil
}

// revive makes an entry of a row; nil when its process is gone.
func (r *Registry) revive(row localdb.Session, joined []membership.Mesh) *entry {
	p, err := host.Find(row.PID)
	if err != nil || p.Start != row.StartTime || len(row.TokenHash) != len(hash("")) {
		return nil
	}
	e := &entry{only: row.Meshes, kept: readKept(row.Amended), Session: Session{
		ID: row.ID, Process: p, CWD: row.CWD, Name: row.Name, Role: row.Role, Groups: row.Groups, MessageMode: row.MessageMode,
		Host: localapi.Host{Name: row.HostName, Version: row.HostVersion}, Registered: row.Registered,
	}}
	e.rules = reader(e.Session)
	if name := mesh.SafeName(e.rules.SessionName(e.hostID()), ""); numbered(e.Name, name) {
		e.proposed = name
	}
	if e.hostID() != e.ID {
		e.aliases = []string{e.hostID()} // by which its shell finds the token
	}
	e.setToken(row.TokenHash)
	e.Lines = r.linesOrLess(e, joined)
	return e
}

// linesOrLess is lines for a session that is registered already: when its keys cannot be had it is without lines
// until the next Refresh.
func (r *Registry) linesOrLess(e *entry, joined []membership.Mesh) []Line {
	lines, err := r.lines(e, joined)
	if err != nil {
		r.opt.Log.Warn("session stays without connections", slog.String(logkey.Session, e.ID), slog.Any(logkey.Err, err))
	}
	return lines
}

// Refresh attaches and detaches connections after the joined meshes changed, and marks the keys of all sessions as used.
func (r *Registry) Refresh(ctx context.Context) error {
	if err := r.turn.take(ctx); err != nil {
		return err
	}
	defer r.turn.release()
	joined, err := r.opt.Book.List()
	if err != nil {
		return err
	}
	for _, old := range r.table.list() {
		e := *old
		e.Lines = r.linesOrLess(&e, joined)
		if !sameLines(old.Lines, e.Lines) {
			r.install(&e)
		}
	}
	return nil
}

func sameLines(a, b []Line) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].MeshID != b[i].MeshID || a[i].Slug != b[i].Slug || a[i].Member != b[i].Member || a[i].Pubkey() != b[i].Pubkey() {
			return false
		}
	}
	return true
}

// Deregister ends the registration of a token and returns it; session_unknown.
func (r *Registry) Deregister(ctx context.Context, token string, c Caller) (Session, error) {
	if err := r.turn.take(ctx); err != nil {
		return Session{}, err
	}
	defer r.turn.release()
	s, err := r.ByToken(token, c)
	if err != nil {
		return Session{}, err
	}
	return s, r.forget(ctx, s)
}

// forget ends a session: its connections, its row, its token.
func (r *Registry) forget(ctx context.Context, s Session) error {
	if err := r.opt.DB.EndSession(ctx, s.ID, r.opt.Now()); err != nil {
		return err
	}
	if e := r.table.find(s.ID); e != nil {
		if err := depart(ctx, r, e); err != nil {
			return err
		}
		for _, id := range append([]string{s.ID}, e.aliases...) {
			if err := leave(r, id, s.ID, ""); err != nil {
				return err
			}
			r.drop(r.opt.Daemon.SessionLock(id, s.Process.PID))
		}
	}
	r.table.change(s.ID, nil)
	for _, l := range s.Lines {
		r.opt.Lines.Detach(s, l)
	}
	r.drop(r.opt.Daemon.SessionProcess(s.ID))
	return nil
}

// Run watches the processes of the sessions until ctx ends: one that exited is forgotten within 5 s (daemon 18.2), and one
// that its host calls by another name is called so here.
func (r *Registry) Run(ctx context.Context) error {
	var watchers sync.WaitGroup
	defer watchers.Wait()
	look := time.NewTicker(renameEvery)
	defer look.Stop()
	for {
		for _, p := range r.watched.take() {
			watchers.Go(func() { r.reap(ctx, p) })
		}
		select {
		case <-r.watched.wake:
		case <-look.C:
			followNames(ctx, r)
		case <-ctx.Done():
			return nil
		}
	}
}

// reap forgets the sessions of a process when it has exited.
func (r *Registry) reap(ctx context.Context, p host.Process) {
	if host.Exited(ctx, p.PID, p.Start) != nil {
		return // the daemon stops; Restore will see to it
	}
	for ctx.Err() == nil {
		err := r.bury(ctx, p)
		if err == nil || ctx.Err() != nil {
			return
		}
		r.opt.Log.Error("sessions of an ended process are not forgotten", slog.Int(logkey.PID, p.PID), slog.Any(logkey.Err, err))
		select {
		case <-time.After(reapAgain):
		case <-ctx.Done():
		}
	}
}

// reapAgain is how long the database has to come back.
const reapAgain = 5 * time.Second

// bury forgets the sessions of a process that has exited.
func (r *Registry) bury(ctx context.Context, p host.Process) error {
	if err := r.turn.take(ctx); err != nil {
		return err
	}
	defer r.turn.release()
	r.watched.remove(p)
	for _, e := range r.table.list() {
		if e.Process.PID != p.PID || e.Process.Start != p.Start {
			continue
		}
		if err := r.forget(ctx, e.Session); err != nil {
			return err
		}
		r.opt.Log.Info("session ended", slog.String(logkey.Session, e.ID), slog.Int(logkey.PID, p.PID))
	}
	return nil
}
