package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// MessageStatus tells how far a sent message has come. Under the id that several were sent with it tells of all of them.
func (n *Node) MessageStatus(ctx context.Context, req localapi.StatusRequest) (localapi.StatusAnswer, error) {
	parts, err := n.opt.Outbox.Parts(ctx, mesh.ClientID(req.ID), req.Mesh)
	if err != nil {
		return localapi.StatusAnswer{}, err
	}
	if len(parts) > 1 {
		return together(ctx, n, mesh.ClientID(req.ID), parts), nil
	}
	m, err := n.opt.Outbox.Status(ctx, req.ID, req.Mesh)
	if err != nil {
		return localapi.StatusAnswer{}, err
	}
	return statusOf(ctx, n, m), nil
}

// together is what became of one text to several: the least of its parts, and the recipients of all.
func together(ctx context.Context, n *Node, id mesh.ClientID, parts []outbox.Message) localapi.StatusAnswer {
	all := statusOf(ctx, n, parts[0])
	all.MessageID, all.ClientMessageID = "", id
	for _, m := range parts[1:] {
		one := statusOf(ctx, n, m)
		if !all.State.Failed() && (one.State.Failed() || !one.State.Reached(all.State)) {
			all.State = one.State
		}
		if !strings.Contains(","+all.Mesh+",", ","+one.Mesh+",") {
			all.Mesh += "," + one.Mesh
		}
		all.TargetSpec += "," + one.TargetSpec
		all.Encrypted, all.Settled = all.Encrypted && one.Encrypted, all.Settled && one.Settled
		all.Recipients = append(all.Recipients, one.Recipients...)
		all.DeliveredTo += one.DeliveredTo
		all.RecipientCount += one.RecipientCount
		all.Attempts = max(all.Attempts, one.Attempts)
		all.LastError, all.WaitsBehind = cmp.Or(all.LastError, one.LastError), cmp.Or(all.WaitsBehind, one.WaitsBehind)
		if d := one.DeliveredAt; d != nil && (all.DeliveredAt == nil || *d > *all.DeliveredAt) {
			all.DeliveredAt = d
		}
	}
	if all.Delivered = all.State.Reached(mesh.StateDelivered); !all.Delivered {
		all.DeliveredAt = nil
	}
	return all
}

// statusOf is what became of one message.
func statusOf(ctx context.Context, n *Node, m outbox.Message) localapi.StatusAnswer {
	answer := localapi.StatusAnswer{
		MessageID: m.BrokerID, ClientMessageID: m.ClientID, Mesh: m.Mesh, TargetSpec: m.TargetSpec, State: m.State,
		Delivered: m.State.Reached(mesh.StateDelivered), Encrypted: m.Encrypted(), Recipients: copies(ctx, n, m),
		Attempts: m.Attempts, LastError: m.Reason(), EnqueuedAt: mesh.FormatTime(m.EnqueuedAt), WaitsBehind: m.Behind,
	}
	addTelling(ctx, n, m.MeshID, answer.Recipients)
	answer.DeliveredTo = count(answer.Recipients, mesh.StateDelivered)
	answer.RecipientCount = max(m.Mailboxes, len(answer.Recipients))
	answer.Settled = settled(answer)
	if len(answer.Recipients) == 0 && tookForNobody(n, m) {
		answer.LastError, answer.Settled = nobodyText(m), true
	}
	if answer.Delivered {
		var last time.Time
		for _, r := range m.Recipients {
			if r.At.After(last) {
				last = r.At
			}
		}
		text := mesh.FormatTime(last)
		answer.DeliveredAt = &text
	}
	return answer
}

// count is how many copies have come so far.
func count(copies []localapi.Recipient, state mesh.State) int {
	n := 0
	for _, c := range copies {
		if c.State.Reached(state) {
			n++
		}
	}
	return n
}

// statusTime bounds a question for the copies of one message.
const statusTime = 2 * time.Second

// copies lists the recipients of a message. Of a message to many the broker knows them all; without it, those are known
// who have it.
func copies(ctx context.Context, n *Node, m outbox.Message) []localapi.Recipient {
	all := make([]localapi.Recipient, 0, len(m.Recipients))
	for _, r := range m.Recipients {
		all = append(all, localapi.Recipient{
			Name: r.Name, Pubkey: r.Key, State: r.State, At: mesh.FormatTime(r.At), Reason: r.Reason, Verified: r.Verified,
		})
	}
	if m.Encrypted() || m.BrokerID == "" || len(m.BrokerID) < protocol.MinStatusID {
		return all
	}
	at, err := n.byID(m.MeshID)
	if err != nil {
		return all // the mesh was left
	}
	told, err := attachment.Ask(context.WithoutCancel(ctx), at, statusTime, protocol.MessageStatus, protocol.StatusRequest{MessageID: string(m.BrokerID)})
	if err != nil {
		n.opt.Log.Debug("copies not asked for", logkey.Mesh, m.Mesh, logkey.Err, err)
		return all
	}
	return merge(all, told.Recipients)
}

// merge adds to the copies with receipts what the broker says of all: their names, and who is missing.
func merge(known []localapi.Recipient, told []protocol.RecipientStatus) []localapi.Recipient {
	for _, t := range told {
		name := mesh.SafeName(t.Name, t.Pubkey.Short())
		if i := slices.IndexFunc(known, func(r localapi.Recipient) bool { return r.Pubkey == t.Pubkey }); i >= 0 {
			known[i].Name = name
			continue
		}
		if t.State.Known() {
			known = append(known, localapi.Recipient{Name: name, Pubkey: t.Pubkey, State: t.State, At: t.At, Reason: t.Reason})
		}
	}
	slices.SortFunc(known, func(a, b localapi.Recipient) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Pubkey, b.Pubkey))
	})
	return known
}

// await is outbox.Wait; when it took too long the error names who is missing.
func (l letter) await(ctx context.Context, id mesh.ClientID, want mesh.State) (outbox.Message, error) {
	n := l.node
	first := want
	if want.Reached(mesh.StateAccepted) {
		first = mesh.StateAccepted
	}
	m, err := n.opt.Outbox.Wait(ctx, id, first)
	switch {
	case err != nil || m.State.Failed():
		return m, err
	case want != first && tookForNobody(n, m):
		return m, mesh.Errorf(mesh.Undelivered, "%s", nobodyText(m)).With(mesh.Details{State: m.State})
	case want != first:
		m, err = n.opt.Outbox.Wait(ctx, id, want)
	}
	if !mesh.IsCode(err, mesh.WaitTimeout) || m.Encrypted() {
		return m, err
	}
	all := copies(ctx, n, m)
	var missing []string
	for _, c := range all {
		if !c.State.Reached(want) {
			missing = append(missing, cmp.Or(c.Name, c.Pubkey.Short()))
		}
	}
	return m, mesh.Errorf(mesh.WaitTimeout, "the message is %s for %d of %d%s",
		want, count(all, want), max(m.Mailboxes, len(all)), missingText(missing)).With(mesh.Details{State: m.State, Missing: missing})
}

// tookForNobody reports whether the broker took a message to many and put it into no mailbox. Other brokers than ours
// say nothing of mailboxes.
func tookForNobody(n *Node, m outbox.Message) bool {
	if m.Encrypted() || m.Mailboxes != 0 || m.Status != outbox.Done {
		return false
	}
	at, err := n.byID(m.MeshID)
	return err == nil && at.Link.Has(protocol.CapGo)
}

func nobodyText(m outbox.Message) string {
	who := "nobody is in " + m.TargetSpec
	if m.TargetSpec == "*" || m.TargetSpec == "@all" {
		who = "nobody else is there"
	}
	return who + ": the broker took the message for no one"
}

// maxMissing bounds the names in the text of an error; its details have all of them.
const maxMissing = 8

func missingText(names []string) string {
	switch {
	case len(names) == 0:
		return ""
	case len(names) > maxMissing:
		return fmt.Sprintf("; missing: %s and %d more", strings.Join(names[:maxMissing], ", "), len(names)-maxMissing)
	}
	return "; missing: " + strings.Join(names, ", ")
}

// about names the recipient in an error of one among several.
func about(to string, err error) error {
	var e *mesh.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("to %s: %w", to, err)
	}
	return mesh.Errorf(e.Code, "to %s: %w", to, err).With(e.Details)
}
