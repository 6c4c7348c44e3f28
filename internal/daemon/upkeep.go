package daemon

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/upkeep"
)

// Upkeep looks after the files of a daemon.
func Upkeep() upkeep.Keeper {
	return custodian{cost: seal.DefaultBackupCost}.keeper()
}

// custodian encrypts backups at a cost.
type custodian struct{ cost seal.BackupCost }

func (c custodian) keeper() upkeep.Keeper {
	return upkeep.Keeper{Check: check, Backup: c.backup, Restore: restore, Repair: repair, Moved: moved, Accept: accept}
}

// stored is one database of a daemon.
type stored struct {
	path  string
	opt   sqlite.Options
	rules []sqlite.Rule
}

// storesOf lists the databases that are there.
func storesOf(home paths.Daemon, now mesh.Clock) ([]stored, error) {
	var found []stored
	for path, open := range map[string]func() (sqlite.Options, []sqlite.Rule, error){
		home.Outbox(): outbox.Stored, home.Inbox(): inbox.Stored, home.DB(): localdb.Stored,
	} {
		opt, rules, err := open()
		if err != nil {
			return nil, err
		}
		opt.Now, opt.Log = now, slog.New(slog.DiscardHandler)
		found = append(found, stored{path, opt, rules})
	}
	return slices.SortedFunc(slices.Values(found), func(a, b stored) int { return cmp.Compare(a.path, b.path) }), nil
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// check reads every database, also those of a daemon that runs.
func check(ctx context.Context, at upkeep.Site) ([]upkeep.Store, error) {
	stores, err := storesOf(at.Home.Daemon, at.Now)
	if err != nil {
		return nil, err
	}
	results := []upkeep.Store{}
	for _, s := range stores {
		faults, err := sqlite.Verify(ctx, s.path, s.opt, s.rules)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case errors.Is(err, sqlite.ErrNotDatabase):
			faults = []string{mesh.PublicText(sqlite.Coded(err))}
		case err != nil:
			return nil, sqlite.Coded(err)
		}
		results = append(results, upkeep.Store{File: s.path, Bytes: sizeOf(s.path), Faults: append([]string{}, faults...)})
	}
	if len(results) == 0 {
		return nil, mesh.Errorf(mesh.NotFound, "no daemon has run with %s", at.Home.Daemon.Dir)
	}
	return results, nil
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0 // it was there a moment ago, and tells people only
	}
	return info.Size()
}

// Marks of files that something took the place of.
const (
	beforeRestore = "before-restore"
	corrupt       = "corrupt"
)

// repair makes new databases of what can be read of those whose structure is damaged.
func repair(ctx context.Context, at upkeep.Site) ([]upkeep.Repaired, error) {
	if !there(at.Home.Daemon.Dir) {
		return nil, mesh.Errorf(mesh.NotFound, "no daemon has run with %s", at.Home.Daemon.Dir)
	}
	lock, err := occupy(ctx, at.Home.Daemon)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Unlock() }() // ends with the process anyway
	stores, err := storesOf(at.Home.Daemon, at.Now)
	if err != nil {
		return nil, err
	}
	done := []upkeep.Repaired{}
	for _, s := range stores {
		faults, err := sqlite.Verify(ctx, s.path, s.opt, nil)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && len(faults) == 0:
			continue
		case err != nil && !errors.Is(err, sqlite.ErrNotDatabase):
			return done, sqlite.Coded(err)
		}
		r, err := mend(ctx, s, at.Now)
		if err != nil {
			return done, mesh.Errorf(mesh.CodeOf(sqlite.Coded(err)), "repair %s: %w", filepath.Base(s.path), err)
		}
		done = append(done, r)
	}
	return done, nil
}

// mend keeps one damaged database aside. What cannot be read at all has no successor: the next start makes one.
func mend(ctx context.Context, s stored, now mesh.Clock) (upkeep.Repaired, error) {
	r := upkeep.Repaired{File: s.path, Tables: []upkeep.Table{}}
	fresh := s.path + ".repairing"
	if err := removeStore(fresh); err != nil { // of a repair that was ended
		return r, err
	}
	saved, err := sqlite.Rescue(ctx, s.path, fresh, s.opt)
	if errors.Is(err, sqlite.ErrNotDatabase) {
		r.Aside, err = sqlite.SetAside(s.path, corrupt, now())
		return r, err
	}
	if err != nil {
		return r, err
	}
	for _, t := range saved {
		r.Tables = append(r.Tables, upkeep.Table{Name: t.Table, Rows: t.Rows, Holes: t.Holes})
	}
	r.Aside, err = sqlite.Swap(s.path, fresh, corrupt, now())
	return r, errors.Join(err, removeStore(fresh))
}

// removeStore deletes a database with what lies beside it.
func removeStore(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return mesh.Errorf(mesh.IOError, "remove %s: %w", path, err)
		}
	}
	return nil
}
