package ipc

import (
	"bytes"
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/approval"
	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// approvalRoutes answer about the permissions that sessions want.
type approvalRoutes struct{ *Server }

func bindApprovals(s *Server) {
	a := approvalRoutes{s}
	handle(s, localapi.ApprovalAsk, a.ask)
	handle(s, localapi.Approvals, a.list)
	handle(s, localapi.ApprovalAllow, a.allow)
	handle(s, localapi.ApprovalDeny, a.deny)
}

func (s approvalRoutes) approvals() node.Approvals { return node.Approvals{Node: s.Node} }

// ask asks for the session of the caller. A hook that has no token is of the session around it.
func (s approvalRoutes) ask(ctx context.Context, c caller, req localapi.ApprovalAskRequest) (localapi.ApprovalAskAnswer, error) {
	var answer localapi.ApprovalAskAnswer
	if c.session == nil {
		around, ok := registry.Hooks{Registry: s.Registry}.Around(c.process.PID)
		if !ok {
			return answer, mesh.Errorf(mesh.SessionUnknown, "no registered session asks this")
		}
		c.session = &around
	}
	input, err := seal.Canonical(req.Input)
	if err != nil || !bytes.HasPrefix(input, []byte("{")) {
		return answer, mesh.Errorf(mesh.BadRequest, "the input of a tool is a JSON object")
	}
	if req.Channel && s.approvals().Board().Waiting(c.id(), req.Tool) {
		return localapi.ApprovalAskAnswer{Reason: "a hook asks it already"}, nil
	}
	o, err := s.approvals().Ask(ctx, *c.session, approval.Question{Tool: req.Tool, Input: input, Partial: req.Partial})
	return localapi.ApprovalAskAnswer{Decision: o.Decision, Reason: o.Reason}, err
}

// sees reports whether a caller may know of a question: a session of its own, the user of all.
func (c caller) sees(q approval.Question) bool {
	return c.session == nil || q.Asker == "" && q.Session == c.session.ID
}

func (s approvalRoutes) list(_ context.Context, c caller, req localapi.ApprovalsRequest) (localapi.ApprovalsAnswer, error) {
	answer := localapi.ApprovalsAnswer{Approvals: []localapi.Approval{}, Relay: s.approvals().On()}
	if err := node.CheckMesh(s.Node, req.Mesh); err != nil {
		return answer, err
	}
	for _, q := range s.approvals().Board().List() {
		if v := s.view(q); c.sees(q) && (req.Mesh == "" || v.Mesh == req.Mesh) {
			answer.Approvals = append(answer.Approvals, v)
		}
	}
	return answer, nil
}

func (s approvalRoutes) view(q approval.Question) localapi.Approval {
	v := localapi.Approval{
		ID: q.Nonce, Mesh: q.Places[0].Mesh, Session: q.Name, Tool: q.Tool, Input: q.Input, InputSHA: q.SumText(), Partial: q.Partial,
		AskedAt: mesh.FormatTime(q.Asked), ExpiresAt: mesh.FormatTime(q.Expires),
	}
	if q.Asker != "" {
		v.Device = s.approvals().NameOf(q)
	}
	return v
}

// allow is for the human: a caller whose process nobody knows may be anything, also the session that asks.
func (s approvalRoutes) allow(ctx context.Context, c caller, req localapi.ApprovalDecision) (localapi.ApprovalDecided, error) {
	if c.process.PID == 0 {
		return localapi.ApprovalDecided{}, mesh.Errorf(mesh.HumanOnly, "permissions are given over the local socket alone")
	}
	return s.decide(ctx, c, req, seal.ApprovalAllow)
}

func (s approvalRoutes) deny(ctx context.Context, c caller, req localapi.ApprovalDecision) (localapi.ApprovalDecided, error) {
	return s.decide(ctx, c, req, seal.ApprovalDeny)
}

func (s approvalRoutes) decide(ctx context.Context, c caller, req localapi.ApprovalDecision, decision string) (localapi.ApprovalDecided, error) {
	q, err := s.approvals().Board().Find(req.ID, c.sees)
	if err != nil {
		return localapi.ApprovalDecided{}, err
	}
	if decision == seal.ApprovalAllow && req.InputSHA != q.SumText() {
		return localapi.ApprovalDecided{}, mesh.Errorf(mesh.Forbidden, "the permission is for another input than the one that was shown")
	}
	delivered, err := s.approvals().Decide(ctx, q, decision)
	return localapi.ApprovalDecided{Approval: s.view(q), Decision: decision, Delivered: delivered}, err
}
