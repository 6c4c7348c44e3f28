package node

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// The places where something happens to a message.
const (
	atDaemon    = "daemon"
	atBroker    = "broker"
	atRecipient = "recipient"
	atHost      = "host"
)

// trace gathers the way of one message.
type trace struct {
	node   *Node
	answer localapi.TraceAnswer
}

// Trace gives the way of a message that left from here, that came to rows here, or both.
func (n *Node) Trace(ctx context.Context, sent *outbox.Message, received []inbox.Row) (localapi.TraceAnswer, error) {
	t := trace{node: n}
	if sent != nil {
		if err := t.sent(ctx, *sent); err != nil {
			return localapi.TraceAnswer{}, err
		}
	}
	for _, r := range received {
		if err := t.received(ctx, r); err != nil {
			return localapi.TraceAnswer{}, err
		}
	}
	slices.SortStableFunc(t.answer.Hops, func(a, b localapi.Hop) int {
		if a.At == "" || b.At == "" {
			return cmp.Compare(b.At, a.At) // what has no time comes last
		}
		return cmp.Or(cmp.Compare(a.At, b.At), a.State.Compare(b.State))
	})
	return t.answer, nil
}

func (t *trace) add(at time.Time, h localapi.Hop) {
	h.At = mesh.FormatTime(at)
	t.answer.Hops = append(t.answer.Hops, h)
}

// sent adds what the outbox knows.
func (t *trace) sent(ctx context.Context, m outbox.Message) error {
	t.answer = localapi.TraceAnswer{
		TraceID: m.TraceID, MessageID: m.BrokerID, ClientMessageID: m.ClientID, Mesh: m.Mesh, TargetSpec: m.TargetSpec, Sent: true, State: m.State,
	}
	t.add(m.EnqueuedAt, localapi.Hop{Where: atDaemon, Event: string(mesh.StateQueued), State: mesh.StateQueued, Who: m.Mesh, Verified: true})
	if m.Attempts > 0 && m.LastError != "" {
		t.add(time.Time{}, localapi.Hop{Where: atBroker, Event: "refused", Detail: "tried " + strconv.Itoa(m.Attempts) + " times, last: " + m.LastError, Verified: true})
	}
	if !m.AcceptedAt.IsZero() {
		t.add(m.AcceptedAt, localapi.Hop{Where: atBroker, Event: string(mesh.StateAccepted), State: mesh.StateAccepted, Who: t.broker(m.MeshID)})
	}
	if !m.AbortedAt.IsZero() {
		t.add(m.AbortedAt, localapi.Hop{Where: atDaemon, Event: "cancelled", State: mesh.StateRejected, Who: m.AbortedBy, Detail: m.Reason(), Verified: true})
	}
	steps, err := outbox.Steps(ctx, t.node.opt.Outbox, m.ClientID)
	if err != nil {
		return err
	}
	names := map[mesh.Key]string{}
	for _, r := range copies(ctx, t.node, m) {
		names[r.Pubkey] = r.Name
	}
	for _, s := range steps {
		where := atRecipient
		if s.State.Failed() {
			where = atBroker
		}
		t.add(s.At, localapi.Hop{
			Where: where, Event: string(s.State), State: s.State, Who: cmp.Or(names[s.Key], s.Key.Short()), Pubkey: s.Key, Detail: s.Reason, Verified: s.Verified,
		})
	}
	return nil
}

// broker is the address of a mesh's broker; empty for a mesh that was left.
func (t *trace) broker(id mesh.ID) string {
	at, err := t.node.byID(id)
	if err != nil {
		return ""
	}
	return at.Mesh.BrokerURL
}

// received adds what the inbox knows of one copy.
func (t *trace) received(ctx context.Context, r inbox.Row) error {
	if !t.answer.Sent && !t.answer.Received {
		t.answer = localapi.TraceAnswer{TraceID: r.TraceID, MessageID: r.BrokerID, ClientMessageID: r.ClientID, Mesh: r.Mesh, TargetSpec: r.Topic}
		if !r.CreatedAt.IsZero() {
			t.add(r.CreatedAt, localapi.Hop{Where: atBroker, Event: string(mesh.StateAccepted), State: mesh.StateAccepted, Who: t.broker(r.MeshID)})
		}
	}
	t.answer.Received = true
	hop := func(at time.Time, where, event, who, detail string) {
		if !at.IsZero() {
			t.add(at, localapi.Hop{Where: where, Event: event, Who: who, Pubkey: r.Recipient, Detail: detail, Verified: true})
		}
	}
	hop(r.ReceivedAt, atDaemon, "received", string(r.RecipientKind)+" mailbox", "")
	hop(r.SeenAt, atDaemon, "seen", "", "")
	notices := inbox.NoticesOf(t.node.opt.Inbox)
	offers, err := notices.Offers(ctx, r.Seq)
	if err != nil {
		return err
	}
	for _, o := range offers {
		hop(o.Claimed, atDaemon, "claimed", o.Surface, "")
		hop(o.Offered, atHost, "offered", o.Surface, o.Path)
		hop(o.Surfaced, atHost, string(mesh.StateSurfaced), o.Surface, "")
	}
	done, err := notices.Of(ctx, r.Seq)
	for _, d := range done {
		hop(d.At, atDaemon, string(d.State), "", "sender: "+cmp.Or(string(d.Fate), "due"))
	}
	return err
}
