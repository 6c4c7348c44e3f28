package shell

import (
	"context"
	"runtime"

	"github.com/claudemesh/claudemesh/internal/install"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Outside refuses what a human does inside a host session that the environment names (design E4). It needs no daemon.
func Outside(a *App, what string) error {
	if a.Env.Claude.Inside {
		return mesh.Errorf(mesh.HumanOnly, "%s by the human, outside the session", what)
	}
	return nil
}

// HumanOnly refuses inside a host session (design E4): one that the environment names, or that the daemon finds among the
// ancestors of this process. A daemon that does not run knows of no session.
func HumanOnly(ctx context.Context, a *App) error {
	inside := a.Env.Claude.Inside
	if !inside {
		me, err := Ask(ctx, a, localapi.Whoami, ProbeTime, localapi.None{})
		inside = me.Session != nil || mesh.IsCode(err, mesh.SessionUnknown)
	}
	if inside {
		return mesh.Errorf(mesh.HumanOnly, "this is for the human outside the session")
	}
	return nil
}

// Places are the folders in which other programs keep their settings.
func Places(a *App) (install.Places, error) {
	home, config, err := paths.UserFolders(runtime.GOOS, a.Sys.Lookup)
	if err != nil {
		return install.Places{}, err
	}
	path, _ := a.Sys.Lookup("PATH")
	return install.Places{Home: home, Config: config, Claude: a.Env.Claude.ConfigDir, System: runtime.GOOS, Path: path}, nil
}
