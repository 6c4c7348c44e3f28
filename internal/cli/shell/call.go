package shell

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Times of a call: an ordinary verb waits for CallTime, within which the daemon may have to be started; a living daemon
// answers a probe within ProbeTime (daemon 16.2).
const (
	CallTime  = 20 * time.Second
	ProbeTime = 2500 * time.Millisecond
)

// Call makes a typed call to the daemon, starting it when it is down (design A8), within the given time.
func Call[Req, Resp any](ctx context.Context, a *App, c localapi.Call[Req, Resp], limit time.Duration, req Req) (Resp, error) {
	var none Resp
	if c.Scope == localapi.HumanOnly { // the daemon asks too, where it can tell which process it is
		if err := Outside(a, "this is decided"); err != nil {
			return none, err
		}
	}
	d, err := a.daemon(ctx)
	if err != nil {
		return none, err
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := c.Do(limited, d, req)
	return answer, late(ctx, limit, err)
}

// late names the daemon in an error that says no more than that the time was over.
func late(ctx context.Context, limit time.Duration, err error) error {
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return mesh.Errorf(mesh.Timeout, "the daemon did not answer within %s", limit)
	}
	return err
}

// Insist is Call that asks again when no answer came: whether the daemon did it is unknown, and a request with an id
// does nothing twice (daemon 25, row 38).
func Insist[Req, Resp any](ctx context.Context, a *App, c localapi.Call[Req, Resp], limit time.Duration, req Req) (Resp, error) {
	answer, err := Call(ctx, a, c, limit, req)
	if mesh.IsCode(err, mesh.Timeout) && ctx.Err() == nil {
		answer, err = Call(ctx, a, c, limit, req)
	}
	return answer, err
}

// Ask makes a typed call to a daemon that runs; it never starts one.
func Ask[Req, Resp any](ctx context.Context, a *App, c localapi.Call[Req, Resp], limit time.Duration, req Req) (Resp, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	client := a.newClient()
	defer func() { _ = client.Close() }() // its answer has been read
	answer, err := c.Do(limited, client, req)
	return answer, late(ctx, limit, err)
}

// daemon gives the way to the daemon.
func (a *App) daemon(ctx context.Context) (localapi.Doer, error) {
	if a.client != nil {
		return a.client, nil
	}
	if a.NoDaemon() {
		doer, closer, err := a.Sys.Services.InProcess(ctx, a.DaemonService(nil))
		if err != nil {
			return nil, err
		}
		a.client, a.closer = doer, closer
		return doer, nil
	}
	if err := paths.CheckSocket(a.Home.Daemon.Socket()); err != nil {
		return nil, err
	}
	if err := Renew(ctx, a); err != nil {
		return nil, err
	}
	c := a.newClient()
	a.client, a.closer = &starting{app: a, Client: c}, c
	return a.client, nil
}

func (a *App) newClient() *local.Client {
	c := local.New(a.Home.Daemon.Socket(), a.Sys.Now)
	c.Token = a.sessionToken
	return c
}

// NoDaemon reports whether the work is to be done in this process. As with strict, a flag beats a variable, and --no-daemon
// beats --strict (daemon 19).
func (a *App) NoDaemon() bool {
	return a.Flags.NoDaemon || a.Env.NoDaemon && !a.Flags.Strict
}

func (a *App) strict() bool {
	return !a.NoDaemon() && (a.Flags.Strict || a.Env.StrictDaemon)
}

// sessionToken is the token of the host session around this verb, if it is registered (design C6).
func (a *App) sessionToken() string {
	id := a.Env.Claude.SessionID
	if id == "" {
		return ""
	}
	token, _, err := paths.ReadSecret(a.Home.Daemon.SessionToken(id))
	if err != nil {
		return "" // not registered: the daemon knows by the process tree that it is inside a session
	}
	return strings.TrimSpace(string(token))
}

// CheckSocket refuses a socket whose path no system opens.
func CheckSocket(a *App) error { return paths.CheckSocket(a.Home.Daemon.Socket()) }

// Starter starts the daemon and tells whether it lives.
func (a *App) Starter() *local.Starter {
	return &local.Starter{
		Daemon: a.Home.Daemon, Executable: a.Sys.Executable, Environ: a.Sys.Environ,
		Forbidden: a.Env.NoAutospawn, Now: a.Sys.Now,
		Manager: func(ctx context.Context) (bool, error) { return startUnit(ctx, a) },
	}
}
