package shell

import (
	"context"
	"os"
	"time"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/upkeep"
)

// starting is a client that starts the daemon when nobody listens.
type starting struct {
	*local.Client
	app    *App
	failed error // of the start that was tried; a second one would fail as long
	told   bool  // the user was told of a start
}

// starts bounds how often one request starts a daemon, while others end it.
const starts = 3

// Do carries a request (localapi.Doer).
func (s *starting) Do(ctx context.Context, r localapi.Request) (localapi.Response, error) {
	for tried := 0; ; tried++ {
		resp, err := s.Client.Do(ctx, r)
		if !mesh.IsCode(err, mesh.DaemonDown) || s.app.strict() || tried == starts {
			return resp, err
		}
		if err := s.start(ctx); err != nil {
			return resp, err
		}
	}
}

// start starts the daemon, and says so once (daemon 16.5).
func (s *starting) start(ctx context.Context) error {
	if s.failed != nil {
		return s.failed
	}
	took, err := s.app.Starter().Start(ctx)
	if err != nil {
		if mesh.IsCode(err, mesh.DaemonStartFailed) {
			if moved := Moved(ctx, s.app); mesh.IsCode(moved, mesh.HostMismatch) {
				err = moved
			}
		}
		if ctx.Err() == nil {
			s.failed = err
		}
		return err
	}
	if !s.told {
		s.app.Notice("info daemon restarted automatically (took %dms)", took.Milliseconds())
	}
	s.told = true
	return nil
}

// Moved is host_mismatch where the daemon's files were made on another machine, and its settings have it refuse them.
func Moved(ctx context.Context, a *App) error {
	settings, err := config.LoadDaemon(config.Sources{File: a.Home.Config.Settings(), Env: a.Sys.Lookup})
	if err != nil || settings.ClonePolicy != "refuse" {
		return err
	}
	return a.Sys.Services.DaemonKeeper.Moved(ctx, upkeep.Site{Home: a.Home, Now: a.Sys.Now})
}

// Renew replaces a daemon that is older than this program, before the first call: the verb may need what only the new one
// has. The file is a hint that costs nothing; the daemon itself is asked before it is ended. One that does not end is used
// as it is.
func Renew(ctx context.Context, a *App) error {
	mine := buildinfo.Version()
	hint, err := os.ReadFile(a.Home.Daemon.Version())
	if err != nil || !buildinfo.Older(string(hint), mine) || a.strict() {
		return nil
	}
	if s, err := Unit(a); err == nil {
		if there, same := s.Installed(); there && !same {
			return nil // its unit starts another program, which is older: `install-service` mends that
		}
	}
	old := string(hint)
	took, err := a.Starter().Replace(ctx, func() bool {
		answer, err := Ask(ctx, a, localapi.Version, ProbeTime, localapi.None{})
		old = answer.DaemonVersion
		return err == nil && buildinfo.Older(old, mine)
	})
	switch {
	case err == nil && took > 0:
		a.Notice("info daemon of version %s replaced by %s (took %dms)", old, mine, took.Milliseconds())
	case mesh.IsCode(err, mesh.Timeout), mesh.IsCode(err, mesh.IOError):
		a.Warn("the daemon is version %s, and could not be replaced: %s", old, mesh.PublicText(err))
		return nil
	}
	return err
}

// versionPeriod is how often a verb compares its version with the daemon's.
const versionPeriod = 24 * time.Hour

// noticeVersion says on a terminal, at most once a day, that the daemon is of another version than this program
// (cli-lessons 1.1). A new program asks at once: the mark holds the version that asked.
func (a *App) noticeVersion(ctx context.Context) {
	s, ok := a.client.(*starting)
	if !ok || !a.Err.TTY || a.Flags.Quiet || a.Flags.JSON.On {
		return
	}
	mark, mine := a.Home.Daemon.VersionCheck(), buildinfo.Version()
	seen, _ := os.ReadFile(mark) // without it the daemon is asked
	if info, err := os.Stat(mark); err == nil && string(seen) == mine && a.Now().Sub(info.ModTime()).Abs() < versionPeriod {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, ProbeTime)
	defer cancel()
	answer, err := localapi.Version.Do(ctx, s.Client, localapi.None{})
	if err != nil {
		return // the verb is done; the next one asks again
	}
	if answer.DaemonVersion != mine {
		a.Notice("warn the daemon is version %s, this program %s: `claudemesh daemon down` ends it, the next verb starts the new one", answer.DaemonVersion, mine)
	}
	_ = os.WriteFile(mark, []byte(mine), paths.FileMode) // without it the next verb asks again
}
