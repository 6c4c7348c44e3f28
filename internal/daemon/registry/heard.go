package registry

import (
	"context"
	"slices"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Hooks is a registry for what hooks of hosts say.
type Hooks struct{ *Registry }

// Around returns the session whose process is the nearest among a process and its ancestors.
func (r Hooks) Around(pid int) (Session, bool) {
	all := r.table.list()
	for a := range host.Ancestry(pid) {
		i := slices.IndexFunc(all, func(e *entry) bool { return e.Process.PID == a.PID && e.Process.Start == a.Start })
		if i >= 0 {
			return all[i].Session, true
		}
	}
	return Session{}, false
}

// Heard takes what the host's latest hook says: the mode that the session is in, and the id by which the host calls it
// now. Both hold until they are said anew, or the daemon ends: then flags and settings count until the next hook. Under
// its new id the session's shell finds its token too. An empty mode or id says nothing.
func (r Hooks) Heard(ctx context.Context, id string, mode host.Mode, alias string) error {
	old := r.table.find(id)
	if old == nil {
		return mesh.Errorf(mesh.SessionUnknown, "the session has ended")
	}
	news := mode != "" && mode != old.heard
	named := alias != "" && alias != id && !slices.Contains(old.aliases, alias) && r.table.find(alias) == nil
	if !news && !named {
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
	if news {
		e.heard = mode
	}
	if named {
		token, _, err := paths.ReadSecret(r.opt.Daemon.SessionToken(id))
		if err != nil {
			return mesh.Errorf(mesh.IOError, "read the session's token: %w", err)
		}
		if err := paths.WriteSecret(r.opt.Daemon.SessionToken(alias), token); err != nil {
			return err
		}
		for len(e.aliases) >= maxAliases {
			r.drop(r.opt.Daemon.SessionToken(e.aliases[0]))
			e.aliases = e.aliases[1:]
		}
		e.aliases = append(slices.Clone(e.aliases), alias)
	}
	r.table.change(id, &e)
	return nil
}

// maxAliases bounds the names of a session that is cleared again and again; the oldest is forgotten.
const maxAliases = 8
