package ipc

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// letterRoutes answers what came and could not be shown, and what left and got nowhere.
type letterRoutes struct{ *Server }

func (s letterRoutes) of(ctx context.Context, c caller) node.Letters {
	return node.Letters{Outbox: outboxRoutes(s).of(c), Scope: c.scope(), Admit: admits(ctx, s.Server, c)}
}

func (s letterRoutes) list(ctx context.Context, c caller, req localapi.LettersRequest) (localapi.LettersAnswer, error) {
	return s.of(ctx, c).List(ctx, req)
}

func (s letterRoutes) redeliver(ctx context.Context, c caller, req localapi.RedeliverRequest) (localapi.RedeliverAnswer, error) {
	return s.of(ctx, c).Redeliver(ctx, req)
}
