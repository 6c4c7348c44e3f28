package doctor

import (
	"context"
	"strconv"
	"time"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

func lookDaemon(_ context.Context, p *patient) finding {
	switch {
	case p.silent == nil:
		up := time.Duration(p.health.UptimeS) * time.Second
		return fine(shell.Facts("pid "+strconv.Itoa(p.health.PID), "up "+shell.Span(up)))
	case p.lives:
		return fail("it runs and does not answer: "+refusal(p.silent), "read "+p.app.Home.Daemon.Log()+"; `claudemesh daemon down` ends it")
	}
	return fail("it does not run", "`claudemesh daemon up`, or --fix; any verb that needs it starts it, too")
}

// mendDaemon starts a daemon where none runs. One that runs and does not answer is left to its human.
func mendDaemon(ctx context.Context, p *patient) error {
	if p.lives {
		return nil
	}
	s := p.app.Starter()
	s.Insist = true
	_, err := s.Start(ctx)
	return err
}

// lookVersion compares the daemon with this program.
func lookVersion(_ context.Context, p *patient) finding {
	if mine := buildinfo.Version(); p.health.Version != "" && p.health.Version != mine {
		return fail(p.health.Version+", this program is "+mine, "`claudemesh daemon restart`, or --fix where the daemon is the older one")
	}
	return fine(p.health.Version)
}

// mendVersion replaces a daemon that is older than this program, as every verb does.
func mendVersion(ctx context.Context, p *patient) error { return shell.Renew(ctx, p.app) }

// lookService looks whether the system starts the daemon, and whether it would be this one.
func lookService(ctx context.Context, p *patient) finding {
	there, same := shell.UnitState(p.app)
	switch {
	case there && same:
		return fine("the system starts the daemon at each login")
	case there:
		return fail("the system starts another program as the daemon", "`claudemesh daemon install-service`, or --fix")
	}
	change, err := p.unit(ctx, p.app, true)
	switch {
	case err != nil:
		return warn(refusal(err), "")
	case change.Action == shell.UnitUnavailable:
		return fine(change.Reason + "; the first verb or session starts the daemon")
	}
	return warn("the system does not start the daemon; the first verb or session does", "`claudemesh install`, or `claudemesh daemon install-service`")
}

// mendService has the system start this program where it started another one.
func mendService(ctx context.Context, p *patient) error {
	if there, same := shell.UnitState(p.app); !there || same {
		return nil
	}
	_, err := p.unit(ctx, p.app, false)
	return err
}

// lookSession holds that verbs in a host session speak as it.
func lookSession(ctx context.Context, p *patient) finding {
	id := p.app.Env.Claude.SessionID
	if id == "" && !p.app.Env.Claude.Inside {
		return fine("outside of every session")
	}
	me, err := shell.Ask(ctx, p.app, localapi.Whoami, shell.ProbeTime, localapi.None{})
	_, warning, tokenErr := paths.ReadSecret(p.app.Home.Daemon.SessionToken(id))
	switch {
	case err == nil && me.Session != nil && warning == "":
		return fine(me.Session.DisplayName)
	case warning != "":
		return fail(string(warning), "--fix, outside of the session")
	case tokenErr != nil:
		return fail("it has no token: its MCP server is not there", "`claudemesh install`, then start the session again")
	case mesh.IsCode(err, mesh.SessionUnknown):
		return fail("the daemon does not know it", "start the session again")
	}
	return fail("verbs do not speak as it", "start the session again")
}

// lookBroker measures the way to the broker of a mesh.
func lookBroker(m localapi.MeshHealth) func(context.Context, *patient) finding {
	return func(ctx context.Context, p *patient) finding {
		answer, err := shell.Ask(ctx, p.app, localapi.PingBrokers, shell.CallTime, localapi.PingRequest{Mesh: m.Mesh})
		switch {
		case err != nil:
			return fail(refusal(err), "")
		case len(answer.Meshes) != 1 || !answer.Meshes[0].OK:
			detail := m.Status
			if m.LastError != "" {
				detail = shell.Facts(m.Status, m.LastError)
			}
			return fail(detail, brokerAdvice(answer.Meshes))
		}
		took := time.Duration(answer.Meshes[0].RoundTripMS * float64(time.Millisecond))
		return fine(took.Round(10 * time.Microsecond).String())
	}
}

// brokerAdvice is what to do about a broker that does not answer.
func brokerAdvice(pings []localapi.Ping) string {
	if len(pings) == 1 && pings[0].Code != "" && pings[0].Code != mesh.BrokerDown {
		if hint := pings[0].Code.Hint(); hint != "" {
			return hint
		}
	}
	return "look at the network, and whether the broker runs; messages wait"
}

// lookDead counts messages that will not arrive by themselves.
func lookDead(_ context.Context, p *patient) finding {
	dead := 0
	for _, m := range p.health.Meshes {
		dead += m.OutboxDead
	}
	if dead > 0 {
		return warn(strconv.Itoa(dead), "`claudemesh message dead` says why, `claudemesh message redeliver` tries again")
	}
	return fine("none")
}
