package machine

import (
	"context"
	"os"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/install"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// PutUnit has the system start the daemon at each login, as install-service does, but leaves a unit alone that does so
// already. Where that cannot be, on a CI system or without a service manager, the change says why, and nothing is wrong. A
// dry run writes nothing.
func PutUnit(ctx context.Context, a *shell.App, dry bool) (shell.UnitChange, error) {
	s, err := shell.Unit(a)
	if err != nil {
		return shell.UnitChange{}, err
	}
	v := shell.UnitChange{Action: install.Added, Path: s.File}
	there, same := s.Installed()
	switch _, textErr := s.Text(); {
	case a.Env.CI != "":
		v.Action, v.Reason = shell.UnitUnavailable, a.Env.CI+" says that this is a CI system"
		return v, nil
	case textErr != nil:
		v.Action, v.Reason = shell.UnitUnavailable, mesh.PublicText(textErr)
		return v, nil
	case there && same:
		v.Action = install.Unchanged
		return v, nil
	}
	if exists(s.File) {
		v.Action = install.Updated
	}
	if probe := s.Probe(); probe != nil {
		if err := manage(ctx, a, probe); err != nil {
			v.Action, v.Reason = shell.UnitUnavailable, "no service manager serves this user here"
			return v, nil
		}
	}
	if dry {
		return v, nil
	}
	health, err := startUnit(ctx, a, s)
	if err != nil {
		return v, err
	}
	_, v.Waiting = reached(health)
	return v, nil
}

// DropUnit has the system no longer start the daemon, which ends with that.
func DropUnit(ctx context.Context, a *shell.App, dry bool) (shell.UnitChange, error) {
	s, err := shell.Unit(a)
	if err != nil {
		return shell.UnitChange{}, err
	}
	v := shell.UnitChange{Action: install.Absent, Path: s.File}
	if !exists(s.File) {
		return v, nil
	}
	v.Action = install.Removed
	if dry {
		return v, nil
	}
	if err := manage(ctx, a, s.Remove()...); err != nil {
		a.Warn("the manager did not forget it: %s", mesh.PublicText(err))
	}
	_, err = s.Delete()
	return v, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
