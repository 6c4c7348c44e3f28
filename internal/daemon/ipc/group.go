package ipc

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

func (s meshRoutes) groups(ctx context.Context, c caller, req localapi.GroupsRequest) (localapi.GroupsAnswer, error) {
	return node.NewGroups(s.Node).List(ctx, c.id(), req)
}

func (s meshRoutes) groupJoin(ctx context.Context, c caller, req localapi.GroupRequest) (localapi.GroupAnswer, error) {
	return node.NewGroups(s.Node).Join(ctx, c.id(), req)
}

func (s meshRoutes) groupLeave(ctx context.Context, c caller, req localapi.GroupRequest) (localapi.GroupAnswer, error) {
	return node.NewGroups(s.Node).Leave(ctx, c.id(), req)
}
