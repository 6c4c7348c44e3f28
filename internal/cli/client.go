package cli

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Times of a call: an ordinary verb waits for callTime, within which the daemon may have to be started; a living daemon
// answers a probe within probeTime (daemon 16.2).
const (
	callTime  = 20 * time.Second
	probeTime = 2500 * time.Millisecond
)

// call makes a typed call to the daemon, starting it when it is down (design A8), within the given time.
func call[Req, Resp any](ctx context.Context, a *app, c localapi.Call[Req, Resp], limit time.Duration, req Req) (Resp, error) {
	var none Resp
	d, err := a.daemon(ctx)
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.Do(ctx, d, req)
}

// ask makes a typed call to a daemon that runs; it never starts one.
func ask[Req, Resp any](ctx context.Context, a *app, c localapi.Call[Req, Resp], limit time.Duration, req Req) (Resp, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	client := a.newClient()
	defer func() { _ = client.Close() }() // its answer has been read
	return c.Do(ctx, client, req)
}

// daemon gives the way to the daemon.
func (a *app) daemon(ctx context.Context) (localapi.Doer, error) {
	if a.client != nil {
		return a.client, nil
	}
	if a.noDaemon() {
		doer, closer, err := a.sys.Services.InProcess(ctx, a.daemonService(nil))
		if err != nil {
			return nil, err
		}
		a.client, a.closer = doer, closer
		return doer, nil
	}
	if err := paths.CheckSocket(a.home.Daemon.Socket()); err != nil {
		return nil, err
	}
	c := a.newClient()
	a.client, a.closer = &starting{app: a, Client: c}, c
	return a.client, nil
}

func (a *app) newClient() *local.Client {
	c := local.New(a.home.Daemon.Socket(), a.sys.Now)
	c.Token = a.sessionToken
	return c
}

// noDaemon and strict: a flag beats a variable, and --no-daemon beats --strict (daemon 19).
func (a *app) noDaemon() bool {
	return a.global.noDaemon || a.env.NoDaemon && !a.global.strict
}

func (a *app) strict() bool {
	return !a.noDaemon() && (a.global.strict || a.env.StrictDaemon)
}

// sessionToken is the token of the host session around this verb, if it is registered (design C6).
func (a *app) sessionToken() string {
	id := a.env.Claude.SessionID
	if id == "" {
		return ""
	}
	token, _, err := paths.ReadSecret(a.home.Daemon.SessionToken(id))
	if err != nil {
		return "" // not registered: the daemon knows by the process tree that it is inside a session
	}
	return strings.TrimSpace(string(token))
}

func (a *app) starter() *local.Starter {
	return &local.Starter{
		Daemon: a.home.Daemon, Executable: a.sys.Executable, Environ: a.sys.Environ,
		Forbidden: a.env.NoAutospawn, Now: a.sys.Now,
	}
}

// starting is a client that starts the daemon when nobody listens.
type starting struct {
	*local.Client
	app *app
}

// Do carries a request (localapi.Doer).
func (s *starting) Do(ctx context.Context, r localapi.Request) (localapi.Response, error) {
	resp, err := s.Client.Do(ctx, r)
	if !mesh.IsCode(err, mesh.DaemonDown) || s.app.strict() {
		return resp, err
	}
	took, err := s.app.starter().Start(ctx)
	if err != nil {
		return resp, err
	}
	s.app.notice("info daemon restarted automatically (took %dms)", took.Milliseconds())
	return s.Client.Do(ctx, r)
}

// versionPeriod is how often a verb compares its version with the daemon's.
const versionPeriod = 24 * time.Hour

// noticeVersion says on a terminal, at most once a day, that the daemon is of another version than this program
// (cli-lessons 1.1). A new program asks at once: the mark holds the version that asked.
func (a *app) noticeVersion(ctx context.Context) {
	s, ok := a.client.(*starting)
	if !ok || !a.err.TTY || a.global.quiet || a.global.json.On {
		return
	}
	mark, mine := a.home.Daemon.VersionCheck(), buildinfo.Version()
	seen, _ := os.ReadFile(mark) // without it the daemon is asked
	if info, err := os.Stat(mark); err == nil && string(seen) == mine && a.sys.Now().Sub(info.ModTime()).Abs() < versionPeriod {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	answer, err := localapi.Version.Do(ctx, s.Client, localapi.None{})
	if err != nil {
		return // the verb is done; the next one asks again
	}
	if answer.DaemonVersion != mine {
		a.notice("warn the daemon is version %s, this program %s: `claudemesh daemon down` ends it, the next verb starts the new one", answer.DaemonVersion, mine)
	}
	_ = os.WriteFile(mark, []byte(mine), paths.FileMode) // without it the next verb asks again
}
