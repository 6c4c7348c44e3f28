package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// hash is how a token is kept: who reads the database learns no token (daemon 18.2).
func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// keep writes a session to the disk: its row, then the mark of its process, then the file by which verbs find the token.
// When a file cannot be written the row is put back, so that the token of before goes on to work.
func (r *Registry) keep(ctx context.Context, e *entry, token string) error {
	if err := r.opt.DB.SaveSession(ctx, e.row()); err != nil {
		return err
	}
	err := paths.EnsureDir(r.opt.Daemon.Sessions(), paths.DirMode)
	if err == nil {
		err = host.WriteMark(r.opt.Daemon.SessionProcess(e.ID), e.Process)
	}
	for _, id := range append([]string{e.ID}, e.aliases...) {
		if err == nil {
			err = leave(r, id, e.ID, token)
		}
	}
	if err == nil {
		return nil
	}
	if old := r.table.find(e.ID); old != nil {
		return errors.Join(err, r.opt.DB.SaveSession(ctx, old.row()))
	}
	return errors.Join(err, r.opt.DB.EndSession(ctx, e.ID, r.opt.Now()))
}

// leave puts the token of a session where verbs find it that know the session by an id. Those of others whose hosts call
// them so, too, stay; an empty token takes the session's own away.
func leave(r *Registry, id, sessionID, token string) error {
	path := r.opt.Daemon.SessionToken(id)
	text, _, err := paths.ReadSecret(path)
	if err != nil {
		text = nil // there is none, or it is made anew
	}
	var tokens []string
	for t := range strings.SplitSeq(strings.TrimSpace(string(text)), ",") {
		if t != "" && r.table.others(sessionID, hash(t)) {
			tokens = append(tokens, t)
		}
	}
	if token != "" {
		tokens = append(tokens, token)
	}
	if len(tokens) == 0 {
		r.drop(path)
		return nil
	}
	return paths.WriteSecret(path, []byte(strings.Join(tokens, ",")+"\n"))
}

// others reports whether a session that lives, other than the one of an id, has the token of a hash.
func (t *table) others(id, tokenHash string) bool {
	return slices.ContainsFunc(t.list(), func(e *entry) bool { return e.ID != id && e.has(tokenHash) && e.lives() })
}

// ByToken returns the session of a token, or of the one among several with commas between them that is the caller's;
// session_unknown when there is none or the caller's process does not descend from the session's (design C6).
func (r *Registry) ByToken(tokens string, c Caller) (Session, error) {
	var outside *entry
	for token := range strings.SplitSeq(tokens, ",") {
		sum := hash(token)
		for _, e := range r.table.list() {
			if !e.has(sum) {
				continue
			}
			if c.UID == os.Getuid() && descends(c.PID, e.Process) {
				return e.Session, nil
			}
			outside = e
		}
	}
	if outside != nil {
		r.opt.Log.Warn("session token from outside of its session", slog.String(logkey.Session, outside.ID), slog.Int(logkey.PID, c.PID))
	}
	return Session{}, mesh.Errorf(mesh.SessionUnknown, "no session of the caller has this token")
}

// descends reports whether a process is p or has it among its ancestors.
func descends(pid int, p host.Process) bool {
	for a := range host.Ancestry(pid) {
		if a.PID == p.PID {
			return a.Start == p.Start
		}
	}
	return false
}

// Inside reports whether a process is one of a registered session, or descends from one.
func (r *Registry) Inside(pid int) bool {
	var all []host.Process
	for _, e := range r.table.list() {
		all = append(all, e.Process)
	}
	return host.Within(pid, all)
}

// sweepFiles removes the token, lock and process files of sessions that are not registered.
func (r *Registry) sweepFiles() {
	keep := map[string]bool{}
	for _, e := range r.table.list() {
		for _, id := range append([]string{e.ID}, e.aliases...) {
			keep[r.opt.Daemon.SessionToken(id)], keep[r.opt.Daemon.SessionLock(id, e.Process.PID)] = true, true
			keep[r.opt.Daemon.SessionProcess(id)] = true
		}
	}
	files, _ := os.ReadDir(r.opt.Daemon.Sessions()) // no folder, no files
	for _, f := range files {
		path := filepath.Join(r.opt.Daemon.Sessions(), f.Name())
		if ext := filepath.Ext(path); !keep[path] && (ext == ".token" || ext == ".lock" || host.IsMark(path)) {
			r.drop(path)
		}
	}
}

// drop removes a file of a session that is over.
func (r *Registry) drop(path string) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.opt.Log.Warn("file of an ended session stays", slog.String(logkey.Path, path), slog.Any(logkey.Err, err))
	}
}
