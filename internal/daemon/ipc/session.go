package ipc

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// sessionRoutes answers what is about host sessions.
type sessionRoutes struct{ *Server }

func (s sessionRoutes) sessionRegister(ctx context.Context, c caller, req localapi.RegisterRequest) (localapi.RegisterAnswer, error) {
	return s.Registry.Register(ctx, req, c.process)
}

func (s sessionRoutes) sessionLaunch(ctx context.Context, c caller, req localapi.LaunchRequest) (localapi.LaunchAnswer, error) {
	accepts, err := node.Trust{Node: s.Node}.Named(ctx, req.AcceptFrom, req.Mesh)
	if err != nil {
		return localapi.LaunchAnswer{}, err
	}
	return localapi.LaunchAnswer{Accepted: accepts}, registry.Hooks{Registry: s.Registry}.Launch(c.process, accepts)
}

func (s sessionRoutes) sessionDeregister(ctx context.Context, c caller, req localapi.DeregisterRequest) (localapi.DeregisterAnswer, error) {
	session, err := s.Registry.Deregister(ctx, req.Token, c.process)
	return localapi.DeregisterAnswer{OK: err == nil, TokenPrefix: session.Prefix}, err
}

func (s sessionRoutes) sessionMe(_ context.Context, c caller, _ localapi.None) (localapi.Session, error) {
	if c.session == nil {
		return localapi.Session{}, mesh.Errorf(mesh.SessionUnknown, "this is no registered session")
	}
	return s.describe(*c.session), nil
}

func (s sessionRoutes) sessions(_ context.Context, c caller, _ localapi.None) (localapi.SessionsAnswer, error) {
	answer := localapi.SessionsAnswer{Sessions: []localapi.Session{}}
	for _, session := range s.Registry.List() {
		if c.session == nil || c.session.ID == session.ID {
			answer.Sessions = append(answer.Sessions, s.describe(session))
		}
	}
	return answer, nil
}

// describe gives a session without its secrets: each field is copied on purpose (daemon 18.2).
func (s sessionRoutes) describe(session registry.Session) localapi.Session {
	rules := s.Registry.Rules(session.ID)
	out := localapi.Session{
		SessionID: session.ID, PID: session.Process.PID, CWD: session.CWD, DisplayName: session.Name, Role: session.Role,
		Groups: node.NewGroups(s.Node).Of(session.ID), MessageMode: session.MessageMode, Host: session.Host,
		Mode: string(rules.Mode), Holds: rules.Mode.Unattended(), TokenPrefix: session.Prefix,
		AcceptFrom: registry.Hooks{Registry: s.Registry}.Accepted(session.ID), Sessions: []localapi.SessionMesh{}, Registered: mesh.FormatTime(session.Registered),
	}
	for _, l := range session.Lines {
		out.Sessions = append(out.Sessions, localapi.SessionMesh{
			Mesh: l.Slug, SessionPubkey: l.Pubkey(), DisplayName: session.Name, Status: s.Node.SessionState(l.MeshID, session.ID),
		})
	}
	return out
}

func (s sessionRoutes) whoami(ctx context.Context, c caller, _ localapi.None) (localapi.WhoamiAnswer, error) {
	meshes, err := s.Node.Memberships().List(ctx)
	if err != nil {
		return localapi.WhoamiAnswer{}, err
	}
	answer := localapi.WhoamiAnswer{User: s.User, Meshes: meshes.Meshes, ConfigPath: meshes.ConfigPath}
	if c.session != nil {
		session := s.describe(*c.session)
		answer.Session = &session
	}
	return answer, nil
}

// refresh gives the sessions their place in a mesh that came, or takes it from one that went.
func (s *Server) refresh(ctx context.Context, failed error) {
	if failed != nil {
		return
	}
	if err := s.Registry.Refresh(ctx); err != nil {
		s.Log.Warn("sessions not refreshed", logkey.Err, err)
	}
}
