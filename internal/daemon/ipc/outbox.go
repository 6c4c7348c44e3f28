package ipc

import (
	"context"
	"encoding/hex"

	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// outboxRoutes answers what was sent from here, and changes what has not left.
type outboxRoutes struct{ *Server }

func (s outboxRoutes) list(ctx context.Context, _ caller, req localapi.OutboxRequest) (localapi.OutboxAnswer, error) {
	filter, err := outbox.ParseFilter(req)
	if err != nil {
		return localapi.OutboxAnswer{}, err
	}
	rows, err := s.Outbox.List(ctx, filter)
	if err != nil {
		return localapi.OutboxAnswer{}, err
	}
	if len(rows) == 0 { // of a mesh that was left there may still be rows
		if err := node.CheckMesh(s.Node, req.Mesh); err != nil {
			return localapi.OutboxAnswer{}, err
		}
	}
	answer := localapi.OutboxAnswer{Items: make([]localapi.OutboxItem, 0, len(rows))}
	for _, r := range rows {
		answer.Items = append(answer.Items, outboxItem(r))
	}
	return answer, nil
}

func outboxItem(r outbox.Row) localapi.OutboxItem {
	return localapi.OutboxItem{
		ID: r.ID, ClientMessageID: r.ClientID, Status: string(r.Status), Mesh: r.Mesh, TargetSpec: r.TargetSpec, TargetName: r.TargetName, Encrypted: r.Encrypted(),
		Attempts:   r.Attempts,
		EnqueuedAt: timeOrNull(r.EnqueuedAt), NextAttemptAt: timeOrNull(r.NextAttemptAt), DeliveredAt: timeOrNull(r.AcceptedAt),
		BrokerMessageID: orNull(r.BrokerID), LastError: orNull(r.LastError), AbortedAt: timeOrNull(r.AbortedAt),
		AbortedBy: orNull(r.AbortedBy), SupersededBy: orNull(r.SupersededBy), PayloadBytes: r.BodyBytes,
	}
}

// of is the outbox as a caller sees it.
func (s outboxRoutes) of(c caller) node.Outbox {
	o := node.Outbox{Node: s.Node, User: c.session == nil, May: allowed(s.Server, c)}
	if c.session != nil {
		o.Keys = c.session.Keys()
	}
	return o
}

func (s outboxRoutes) inspect(ctx context.Context, c caller, req localapi.InspectRequest) (localapi.InspectAnswer, error) {
	l, recipients, err := s.of(c).Inspect(ctx, req.ID, req.Mesh)
	if err != nil {
		return localapi.InspectAnswer{}, err
	}
	answer := localapi.InspectAnswer{
		OutboxItem: outboxItem(l.Row), Priority: l.Priority, ReplyToID: l.ReplyTo, SenderPubkey: l.Sender,
		TraceID: l.TraceID, FingerprintPrefix: hex.EncodeToString(l.Fingerprint[:min(len(l.Fingerprint), prefixBytes)]), State: l.State,
		MayBeSent: l.MayBeSent(), Recipients: recipients,
	}
	if !l.Blanked {
		answer.Body = new(string(l.Body))
	}
	return answer, nil
}

// prefixBytes is how much of a fingerprint is shown, as in a conflict (daemon 8.2).
const prefixBytes = 8

func (s outboxRoutes) requeue(ctx context.Context, c caller, req localapi.RequeueRequest) (localapi.RequeueAnswer, error) {
	return s.of(c).Requeue(ctx, req)
}

func (s outboxRoutes) cancel(ctx context.Context, c caller, req localapi.CancelRequest) (localapi.CancelAnswer, error) {
	return s.of(c).Cancel(ctx, req)
}
