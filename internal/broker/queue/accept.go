package queue

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Accept takes a message (wire 3.1, design D2). The answer comes when the message is on the disk; a refusal is an
// Ack with Error and Code. It blocks while too much waits for the disk, until ctx ends.
func (q *Queue) Accept(ctx context.Context, s *session.Session, req protocol.SendRequest, answer wire.Answer[protocol.Ack]) {
	refuse := func(err error) { answer(refused(req.ID, refusal(err)), nil) }
	d, err := parse(&req)
	if err != nil {
		refuse(err)
		return
	}
	q.loop.parted.seeking.Add(1)
	defer q.loop.parted.seeking.Add(-1)
	a, err := q.prepare(ctx, s, &req, d)
	if err != nil {
		refuse(err)
		return
	}
	if a.refusal != nil && d.clientID == "" {
		q.loop.countMet(a.refusal)
		a.refund()
		refuse(a.refusal)
		return
	}
	if err := q.loop.enter(ctx); err != nil {
		a.refund()
		refuse(err)
		return
	}
	a.answer = answer
	q.writer.add(a)
}

// prepare does what needs neither the store's writer nor the hub. A refusal that does not hold for a message that
// was accepted before is left in the op, for the store to decide (daemon 15, phase B0).
func (q *Queue) prepare(ctx context.Context, s *session.Session, req *protocol.SendRequest, d *draft) (*accept, error) {
	from, err := q.sender(ctx, s)
	if err != nil {
		return nil, err
	}
	now := q.now()
	a := &accept{
		frameID: req.ID,
		mesh:    s.Mesh,
		from:    sender{hub.Sender{N: from.Member, Member: s.Member}, s.MemberKey, s.SessionKey},
		bytes:   d.bytes(),
		after:   req.After,
		msg: store.Message{
			ID: store.NewMessageID(now), Sender: from.Member, ClientID: d.clientID, Fingerprint: d.fingerprint,
			CreatedAt: now, SenderSession: from.Session, SenderName: s.Name, Kind: d.to.kind, Priority: d.priority,
			ReplyTo: req.ReplyToID, Trace: req.TraceID, BodyVersion: req.BodyVersion, Nonce: d.nonce, Ciphertext: d.body, Auth: req.Auth,
		},
	}
	ok, wait := q.rates.take(from.Member, now)
	if !ok {
		a.refusal = met{mesh.Errorf(mesh.RateLimited, "at most %d messages a second", q.set.SendPerSecond), config.BoundSendPerSecond, wait}
		return a, nil
	}
	a.paid = q.rates
	if err := q.resolve(ctx, s, d, a); err != nil {
		if !refusable(err) {
			a.refund()
			return nil, err
		}
		a.refusal = err
		return a, nil
	}
	if a.frame, err = q.liveFrame(s, req, a); err != nil {
		a.refund()
		return nil, err
	}
	return a, nil
}

// refusable tells a verdict on the message from a failure to judge it.
func refusable(err error) bool {
	return mesh.IsCode(err, mesh.TargetNotFound) || mesh.IsCode(err, mesh.SelfSend)
}

// sender gives the numbers of the caller.
func (q *Queue) sender(ctx context.Context, s *session.Session) (store.Box, error) {
	member, err := q.dir.find(ctx, s.Mesh, s.MemberKey)
	if err != nil {
		return store.Box{}, gone(err)
	}
	if s.SessionKey == "" {
		return member.n, nil
	}
	own, err := q.dir.find(ctx, s.Mesh, s.SessionKey)
	if err != nil {
		return store.Box{}, gone(err)
	}
	return store.Box{Member: member.n.Member, Session: own.n.Session}, nil
}

// gone rewords that the caller itself was not found: its membership ended.
func gone(err error) error {
	if mesh.IsCode(err, mesh.TargetNotFound) {
		return errRevoked()
	}
	return err
}

func errRevoked() error { return mesh.Errorf(mesh.Revoked, "this membership has ended") }

// accept is a message on its way into the store.
type accept struct {
	frameID string
	mesh    mesh.ID
	from    sender
	bytes   int64         // charged for each copy
	after   mesh.ClientID // must have been accepted before; may be empty
	msg     store.Message
	to      recipients
	frame   []byte   // the push, if somebody may be there to get it
	refusal error    // refused, unless the message was accepted before
	paid    *buckets // where a token was taken; nil without one
	answer  wire.Answer[protocol.Ack]

	ack      protocol.Ack // after apply
	placed   []*address   // whose mailbox has a copy that waits
	there    int          // of placed, from the first: they were connected
	rejected []*finish    // copies that found no room, of a message that others got
}

// apply stores the message, or finds out why not.
func (a *accept) apply(tx *sqlite.Tx, l *ledger) error {
	a.ack, a.placed, a.there, a.rejected = protocol.Ack{}, nil, 0, nil
	if l.banned[a.from.N] {
		a.refusal = errRevoked()
	}
	if a.refusal == nil {
		if err := a.follow(tx); err != nil {
			return err
		}
	}
	if a.refusal == nil {
		if err := a.divide(tx, l); err != nil {
			return err
		}
	}
	if a.refusal != nil {
		return a.repeated(tx)
	}
	a.msg.N = l.messages + 1
	a.msg.Recipients = len(a.placed)
	added, err := store.AddMessage(tx, &a.msg)
	if err != nil {
		return err
	}
	if !added {
		return a.repeated(tx)
	}
	l.messages++
	if err := a.spread(tx, l); err != nil {
		return err
	}
	for _, f := range a.rejected {
		f.row = a.row()
		if err := a.deliver(tx, l, f.to); err != nil {
			return err
		}
		if err := f.apply(tx, l); err != nil {
			return err
		}
	}
	a.ack = protocol.Ack{ID: a.frameID, MessageID: a.msg.ID, Queued: true, Recipients: len(a.placed)}
	return nil
}

// follow refuses a message whose predecessor was not accepted, so that a client may send several to one target
// without waiting, and none overtakes (SendRequest.After).
func (a *accept) follow(tx *sqlite.Tx) error {
	if a.after == "" {
		return nil
	}
	_, ok, err := store.FindAccepted(tx, a.from.N, a.after)
	if err == nil && !ok {
		a.refusal = mesh.Errorf(mesh.OutOfOrder, "the message before this one was not accepted")
	}
	return err
}

// divide finds the recipients that have room. One that is full rejects its copy, with a receipt, and does not keep
// the message from the others; when all are full the message is refused.
func (a *accept) divide(tx *sqlite.Tx, l *ledger) error {
	all, err := a.to.list(tx, a.mesh)
	if err != nil {
		return err
	}
	var full error
	for i, to := range all {
		if err := l.admits(a.from.N, to.n, a.bytes); err != nil {
			full = err
			a.rejected = append(a.rejected, &finish{to: to, outcome: store.Rejected, why: err, at: a.msg.CreatedAt})
			continue
		}
		a.placed = append(a.placed, to)
		if i < len(a.to.known) {
			a.there++
		}
	}
	if a.refusal = full; len(a.placed) > 0 {
		a.refusal = l.admitsMesh(a.mesh, a.bytes*int64(len(a.placed)))
	}
	return nil
}

// spread stores the copies that wait: of who is there as one record, because it is soon over, else as rows.
func (a *accept) spread(tx *sqlite.Tx, l *ledger) error {
	sp, alone := l.spreads.add(a.delivery(), a.placed[:a.there])
	if sp != nil {
		for _, box := range sp.Boxes {
			l.chargeBox(store.Delivery{Sender: sp.Sender, To: box, Bytes: sp.Bytes})
		}
		l.meshes[a.mesh] += sp.Bytes * int64(len(sp.Boxes))
		if err := store.AddSpread(tx, &sp.Spread); err != nil {
			return err
		}
	}
	if err := a.deliver(tx, l, alone...); err != nil {
		return err
	}
	return a.deliver(tx, l, a.placed[a.there:]...)
}

// delivery is a copy to nobody yet.
func (a *accept) delivery() store.Delivery {
	return store.Delivery{Message: a.msg.N, Sender: a.from.N, Urgent: a.msg.Priority == mesh.Now, Bytes: a.bytes}
}

// deliver stores copies that wait as rows.
func (a *accept) deliver(tx *sqlite.Tx, l *ledger, to ...*address) error {
	d := a.delivery()
	boxes := make([]store.Box, len(to))
	for i, box := range to {
		d.To, boxes[i] = box.n, box.n
		l.charge(a.mesh, d)
	}
	return store.AddDeliveries(tx, d, boxes)
}

// repeated answers with what the sender's id was used for before, else with the refusal. Nothing was changed, so a
// refused request consumes no id.
func (a *accept) repeated(tx *sqlite.Tx) error {
	a.placed, a.rejected = nil, nil
	if a.msg.ClientID != "" {
		was, ok, err := store.FindAccepted(tx, a.from.N, a.msg.ClientID)
		switch {
		case err != nil:
			return err
		case ok && bytes.Equal(was.Fingerprint, a.msg.Fingerprint):
			a.ack = protocol.Ack{
				ID: a.frameID, MessageID: was.ID, Queued: true, Duplicate: true, Recipients: was.Recipients,
				FirstSeenAt: mesh.FormatTime(was.At), HistoryAvailable: &was.Kept,
			}
			return nil
		case ok:
			a.refusal = mesh.Errorf(mesh.Reused, "the id was used for another message, %s", was.ID[:8])
		}
	}
	a.ack = refused(a.frameID, a.refusal)
	if a.ack.Code == mesh.Reused {
		a.ack.Conflict = protocol.FingerprintMismatch
	}
	return nil
}

// refund gives back the token of what will not become a new message.
func (a *accept) refund() {
	if a.paid != nil {
		a.paid.giveBack(a.from.N)
		a.paid = nil
	}
}

// row is the message as the hub moves it.
func (a *accept) row() hub.Row {
	return hub.Row{
		N: a.msg.N, ID: a.msg.ID, ClientID: a.msg.ClientID, Urgent: a.msg.Priority == mesh.Now, Frame: a.frame,
		Sender: a.from.Sender, Bytes: a.bytes,
	}
}

// refused is the answer to a send that was not accepted.
func refused(frameID string, err error) protocol.Ack {
	ack := protocol.Ack{ID: frameID, Error: mesh.AckText(err), Code: mesh.CodeOf(err)}
	var m met
	if errors.As(err, &m) {
		ack.RetryMs = m.retry.Milliseconds()
	}
	return ack
}

// met is a refusal for which a bound was met.
type met struct {
	error
	bound config.Bound
	retry time.Duration // until there is room again, where that is known
}

// Unwrap gives the error of the table.
func (m met) Unwrap() error { return m.error }
