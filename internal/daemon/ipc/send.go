package ipc

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/gate"
	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func (s *Server) send(ctx context.Context, c caller, req localapi.SendRequest) (localapi.SendAnswer, error) {
	return s.Node.Send(ctx, c.id(), allowed(s, c), req)
}

func (s *Server) sendMany(ctx context.Context, c caller, req localapi.SendManyRequest) (localapi.SendManyAnswer, error) {
	return node.SendMany(ctx, s.Node, c.id(), allowed(s, c), req)
}

// allowed says to whom a caller may send, and notes to whom a session does.
func allowed(s *Server, c caller) node.Allow {
	if c.session == nil {
		return nil
	}
	rules := s.Registry.Rules(c.id())
	return func(id mesh.ID, key mesh.Key) error {
		_, local := s.Registry.ByKey(id, key)
		if err := gate.Send(rules, local); err != nil {
			return err
		}
		s.talks.Said(c.id(), key, s.Now())
		return nil
	}
}

func (s *Server) messageStatus(ctx context.Context, _ caller, req localapi.StatusRequest) (localapi.StatusAnswer, error) {
	return s.Node.MessageStatus(ctx, req)
}
