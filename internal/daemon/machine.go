package daemon

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/claudemesh/claudemesh/internal/daemon/clone"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/upkeep"
)

// What clone_policy says.
const (
	cloneRefuse = "refuse"
	cloneWarn   = "warn"
)

// sameMachine refuses to start, or says, where the folder was made on another machine.
func sameMachine(ctx context.Context, opt Options) error {
	if opt.Machine == nil {
		return nil
	}
	here, path := opt.Machine(ctx), opt.Home.Daemon.HostFingerprint()
	verdict, stored, err := clone.Check(path, here, opt.Now())
	if err != nil {
		return err
	}
	switch verdict {
	case clone.First:
		opt.Log.Info("host_fingerprint_written", slog.String(logkey.Path, path))
	case clone.Unknown:
		opt.Log.Warn("nobody can tell whether this is the machine on which the folder was made", slog.String(logkey.Path, path))
	case clone.Drifted:
		opt.Log.Warn("the network hardware is another one, and this system has no other name for the machine", slog.String(logkey.Path, path))
	case clone.Other:
		err = elsewhere(opt.Home.Daemon, stored, here.HostID)
		if opt.Settings.ClonePolicy == cloneRefuse {
			return err
		}
		if opt.Settings.ClonePolicy == cloneWarn {
			opt.Log.Warn("the folder was made on another machine", slog.Any(logkey.Err, err))
		}
	case clone.Same:
	}
	return nil
}

func elsewhere(dir paths.Daemon, stored, here string) error {
	return mesh.Errorf(mesh.HostMismatch, "%s was made on another machine (%s) than this one (%s): with the same keys on both, messages reach one of them only",
		dir.Dir, cmp.Or(stored, "unnamed"), cmp.Or(here, "unnamed"))
}

// moved says whether the folder was made on another machine: host_mismatch. It writes nothing.
func moved(ctx context.Context, at upkeep.Site) error {
	here := clone.Here(ctx)
	verdict, stored := clone.Look(at.Home.Daemon.HostFingerprint(), here)
	if verdict == clone.Other {
		return elsewhere(at.Home.Daemon, stored, here.HostID)
	}
	return nil
}

// accept makes this machine the one of the folder.
func accept(ctx context.Context, at upkeep.Site) (upkeep.Accepted, error) {
	if err := paths.EnsureDir(at.Home.Daemon.Dir, paths.DirMode); err != nil {
		return upkeep.Accepted{}, err
	}
	prefix, err := clone.Accept(at.Home.Daemon.HostFingerprint(), clone.Here(ctx), at.Now())
	return upkeep.Accepted{Prefix: prefix}, err
}
