package ipc

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// orderRoutes answers what keeps people apart: moderation, and what members let each other do.
type orderRoutes struct{ *Server }

func (s orderRoutes) moderate(ctx context.Context, _ caller, req localapi.ModerateRequest) (localapi.ModerateAnswer, error) {
	o, err := node.OrderOf(s.Node, req.Mesh)
	if err != nil {
		return localapi.ModerateAnswer{}, err
	}
	return o.Moderate(ctx, req)
}

func (s orderRoutes) bans(ctx context.Context, _ caller, req localapi.BansRequest) (localapi.BansAnswer, error) {
	o, err := node.OrderOf(s.Node, req.Mesh)
	if err != nil {
		return localapi.BansAnswer{}, err
	}
	return o.Bans(ctx)
}

func (s orderRoutes) grant(ctx context.Context, _ caller, req localapi.GrantRequest) (localapi.GrantAnswer, error) {
	o, err := node.OrderOf(s.Node, req.Mesh)
	if err != nil {
		return localapi.GrantAnswer{}, err
	}
	return o.Change(ctx, req)
}

func (s orderRoutes) grants(_ context.Context, _ caller, req localapi.GrantsRequest) (localapi.GrantsAnswer, error) {
	o, err := node.OrderOf(s.Node, req.Mesh)
	if err != nil {
		return localapi.GrantsAnswer{}, err
	}
	return o.Grants(), nil
}
