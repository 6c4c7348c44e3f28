package ipc

import (
	"cmp"
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/gate"
	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// reviewRoutes answer the human about what is held.
type reviewRoutes struct{ *Server }

// Bounds of a list of what is held.
const (
	heldLimit    = 100
	maxHeldLimit = 1000
)

func (s reviewRoutes) held(ctx context.Context, _ caller, req localapi.HeldRequest) (localapi.HeldAnswer, error) {
	answer := localapi.HeldAnswer{Held: []localapi.HeldMessage{}}
	limit := cmp.Or(req.Limit, heldLimit)
	if limit < 1 || limit > maxHeldLimit || req.After < 0 {
		return answer, mesh.Errorf(mesh.BadRequest, "limit is 1 to %d", maxHeldLimit)
	}
	var readers []reader
	for _, session := range s.Registry.List() {
		readers = append(readers, reader{session, s.verdicts(ctx, session.ID)})
	}
	human := s.verdicts(ctx, "")
	for after := req.After; len(readers) > 0; {
		rows, err := inbox.Waiting(ctx, s.Inbox, after, maxHeldLimit)
		if err != nil {
			return answer, err
		}
		for _, r := range rows {
			after = r.Seq
			if from := heldFrom(readers, r); len(from) > 0 {
				answer.Held = append(answer.Held, localapi.HeldMessage{Message: human.item(r), From: from})
			}
			if len(answer.Held) == limit {
				return answer, nil
			}
		}
		if len(rows) < maxHeldLimit {
			break
		}
	}
	return answer, nil
}

// reader is a session, and what it may be shown.
type reader struct {
	registry.Session
	verdicts
}

// heldFrom lists the sessions that a message is for and that are not shown it. What is muted is nothing to be asked about.
func heldFrom(readers []reader, r inbox.Row) []localapi.HeldFrom {
	var all []localapi.HeldFrom
	for _, session := range readers {
		if !inbox.Only(session.Keys()...).Sees(r) {
			continue
		}
		if _, reason := session.judge(r, gate.Push); reason != gate.None && reason != gate.Muted {
			all = append(all, localapi.HeldFrom{SessionID: session.ID, DisplayName: session.Name, Reason: string(reason)})
		}
	}
	return all
}

// review does what the human says. A word that lasts is about the sender's member, so that it cannot come back as another
// session.
func (s reviewRoutes) review(ctx context.Context, _ caller, req localapi.ReviewRequest) (localapi.ReviewAnswer, error) {
	r, err := s.Inbox.Find(ctx, inbox.All(), req.ID)
	if err != nil {
		return localapi.ReviewAnswer{}, err
	}
	member := cmp.Or(r.SenderMember, r.Sender)
	answer := localapi.ReviewAnswer{
		ID: r.ID, Mesh: r.Mesh, Decision: req.Decision, SenderName: s.verdicts(ctx, "").standing(r).Name, Pubkey: member,
	}
	trust := localapi.TrustDecision{Peer: string(member), Mesh: r.Mesh, Unattended: req.Decision == localapi.ReviewUnattended}
	switch req.Decision {
	case localapi.ReviewOnce:
	case localapi.ReviewUnattended, localapi.ReviewAlways:
		if trust.Unattended && !r.Verified {
			return answer, mesh.Errorf(mesh.BadRequest, "the sender of this message proves nothing, so nobody could tell its next one from another's: only this one can be let through")
		}
		if _, err := (node.Trust{Node: s.Node}).Accept(ctx, trust); err != nil {
			return answer, err
		}
	case localapi.ReviewBlock:
		order, err := node.OrderOf(s.Node, r.Mesh)
		if err != nil {
			return answer, err
		}
		done, err := order.Change(ctx, localapi.GrantRequest{Verb: localapi.VerbBlock, Peer: string(member), Mesh: r.Mesh})
		answer.BrokerTold = done.BrokerTold
		return answer, err
	default:
		return answer, mesh.Errorf(mesh.BadRequest, "say once, always, unattended or block")
	}
	err = inbox.Release(ctx, s.Inbox, r.Seq)
	answer.Released = err == nil
	letThrough(s.Server) // an accepted sender may have others that wait
	return answer, err
}
