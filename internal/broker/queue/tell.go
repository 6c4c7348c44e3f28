package queue

import (
	"context"
	"log/slog"

	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// TellReceipt keeps what a reader tells of a message that it has, and brings it to the sender, as a receipt like the
// others. The proof is for the sender to check: the broker only sees to it that readers speak of their own copies. Of a copy
// that is on its way to its reader still it is out_of_order, and worth another try.
func (q *Queue) TellReceipt(ctx context.Context, s *session.Session, req protocol.TellRequest) (protocol.TellAnswer, error) {
	var none protocol.TellAnswer
	t := store.Told{State: store.Surfaced, Proof: req.Proof, At: q.now()}
	switch {
	case req.State == mesh.StateAcknowledged:
		t.State = store.Acknowledged
	case req.State != mesh.StateSurfaced:
		return none, mesh.Errorf(mesh.InvalidArgument, "a reader tells that a message was surfaced or acknowledged, not %q", req.State)
	}
	if len(req.Proof) == 0 || len(req.Proof) > protocol.MaxReceiptProofBytes {
		return none, mesh.Errorf(mesh.InvalidArgument, "a proof has 1 to %d bytes", protocol.MaxReceiptProofBytes)
	}
	caller, err := q.sender(ctx, s)
	if err != nil {
		return none, err
	}
	err = q.db.Read(ctx, func(tx *sqlite.Tx) (err error) {
		t.Held, err = store.FindHeld(tx, req.MessageID, caller.Member, req.Recipient)
		return err
	})
	switch {
	case err != nil:
		return none, err
	case t.Outcome == store.Waiting:
		return none, mesh.Errorf(mesh.OutOfOrder, "the message was not acknowledged by its recipient yet")
	case t.Outcome != store.Delivered && t.Outcome != store.Written:
		return none, mesh.Errorf(mesh.InvalidArgument, "this copy of the message is %s", t.Outcome.State())
	}
	var added bool
	err = q.commit(ctx, func(tx *sqlite.Tx, l *ledger) (err error) {
		added, err = l.keepTold(tx, &t)
		return err
	}, func() {
		if added {
			q.loop.proveTold(t, req.Recipient)
		}
	})
	return protocol.TellAnswer{Known: !added}, err
}

// keepTold writes what a reader told, with the next number among its sender's receipts.
func (l *ledger) keepTold(tx *sqlite.Tx, t *store.Told) (added bool, err error) {
	if t.Receipt, err = l.nextReceipt(tx, t.Sender); err != nil {
		return false, err
	}
	t.Run = l.run
	if added, err = store.AddTold(tx, *t); err != nil || !added {
		return false, err
	}
	return true, l.keepReceipts(tx, t.Sender, t.Receipt, 1)
}

// proveTold sends the receipt of what a reader told.
func (l *loop) proveTold(t store.Told, reader mesh.Key) {
	frame, err := protocol.Receipts.Encode(receipt(store.Receipt{
		Seq: t.Receipt, Message: t.ID, ClientID: t.ClientID, Recipient: reader, Outcome: t.State, At: t.At, Proof: t.Proof,
	}))
	if err != nil {
		l.log.Error("encode receipt", slog.String(logkey.MessageID, string(t.ID)), slog.Any(logkey.Err, err))
		return
	}
	for _, id := range l.hub.Watchers(t.SenderID) {
		if n := l.lines[id]; n != nil {
			l.tell(n, frame)
		}
	}
}
