package ipc

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// trustRoutes answer about keys and what is thought of them.
type trustRoutes struct{ *Server }

func (s trustRoutes) trust(ctx context.Context, _ caller, req localapi.TrustRequest) (localapi.TrustAnswer, error) {
	return node.Trust{Node: s.Node}.List(ctx, req.Mesh)
}

func (s trustRoutes) trustAccept(ctx context.Context, _ caller, req localapi.TrustDecision) (localapi.TrustedAnswer, error) {
	answer, err := node.Trust{Node: s.Node}.Accept(ctx, req)
	if err == nil {
		letThrough(s.Server)
	}
	return answer, err
}

func (s trustRoutes) trustReject(ctx context.Context, _ caller, req localapi.TrustDecision) (localapi.TrustedAnswer, error) {
	return node.Trust{Node: s.Node}.Reject(ctx, req)
}

func (s trustRoutes) verify(ctx context.Context, _ caller, req localapi.VerifyRequest) (localapi.VerifyAnswer, error) {
	return node.Trust{Node: s.Node}.Verify(ctx, req)
}
