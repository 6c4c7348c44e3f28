package shell

import (
	"os"
	"runtime"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/install"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Outside refuses what a human does inside a host session (design E4): one that the environment names, or whose process is
// this one's or among its ancestors. It needs no daemon, and no variable that is taken away helps.
func Outside(a *App, what string) error {
	if a.Env.Claude.Inside || a.Env.Claude.SessionID != "" || host.Within(os.Getpid(), host.Marked(a.Home.Daemon.Sessions())) {
		return mesh.Errorf(mesh.HumanOnly, "%s by the human, outside the session", what)
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
