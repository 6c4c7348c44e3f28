package queue

import (
	"context"
	"strings"
	"unicode"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// The statuses that old clients know (wire 11.1).
const (
	statusDelivered    = "delivered"
	statusHeld         = "held"
	statusDisconnected = "disconnected"
)

// MessageStatus tells the sender of a message how far each copy has come, and a recipient how far its own has. For
// everyone else there is no such message (design D5).
func (q *Queue) MessageStatus(ctx context.Context, s *session.Session, req protocol.StatusRequest) (protocol.StatusAnswer, error) {
	var none protocol.StatusAnswer
	if len(req.MessageID) < protocol.MinStatusID || len(req.MessageID) > protocol.MaxPrefixBytes {
		return none, mesh.Errorf(mesh.InvalidArgument, "a message id has %d to %d characters", protocol.MinStatusID, protocol.MaxPrefixBytes)
	}
	if strings.ContainsFunc(req.MessageID, func(r rune) bool { return r > '~' || !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		return none, mesh.Errorf(mesh.InvalidArgument, "a message id has letters and digits")
	}
	caller, err := q.sender(ctx, s)
	if err != nil {
		return none, err
	}
	var found store.Found
	err = q.db.Read(ctx, func(tx *sqlite.Tx) error {
		found, err = store.FindMessage(tx, req.MessageID, caller.Member)
		return err
	})
	if err != nil {
		return none, err
	}
	out := protocol.StatusAnswer{MessageID: req.MessageID, TargetSpec: found.Target, Delivered: len(found.Copies) > 0}
	if found.Target == "" && len(found.Copies) > 0 {
		out.TargetSpec = string(found.Copies[0].Key)
	}
	for _, c := range found.Copies {
		if found.Sender == caller.Member || c.Member == s.Member {
			q.addCopy(&out, c, q.Guard().Permits(c.Member, s, mesh.CapsOf(mesh.CapRead)))
		}
	}
	return out, nil
}

// addCopy adds a recipient to a status; one that is not seen by the caller is not there. All must have it before the
// message counts as delivered.
func (q *Queue) addCopy(out *protocol.StatusAnswer, c store.FoundCopy, seen bool) {
	r := protocol.RecipientStatus{
		Name: c.Name, Pubkey: c.Key, Status: statusDisconnected,
		State: c.Outcome.State(), At: mesh.FormatTime(c.FinalAt), Reason: reason(c.Outcome),
	}
	box := hub.Mailbox{Member: c.Member}
	if c.Session {
		box.Session = c.Key
	}
	switch {
	case c.Outcome == store.Delivered:
		r.Status = statusDelivered
	case seen && q.dir.online(box):
		r.Status = statusHeld
	}
	out.Recipients = append(out.Recipients, r)
	if c.Outcome != store.Delivered {
		out.Delivered, out.DeliveredAt = false, nil
	} else if out.Delivered && (out.DeliveredAt == nil || *out.DeliveredAt < r.At) {
		out.DeliveredAt = &r.At
	}
}

const defaultReceipts, maxReceipts = 500, 1000 // a page

// ReceiptsSince reads the receipts of the caller's member after one.
func (q *Queue) ReceiptsSince(ctx context.Context, s *session.Session, req protocol.ReceiptsRequest) (protocol.ReceiptsAnswer, error) {
	var none protocol.ReceiptsAnswer
	limit := req.Limit
	switch {
	case limit == 0:
		limit = defaultReceipts
	case limit < 0 || limit > maxReceipts || req.Seq < 0:
		return none, mesh.Errorf(mesh.BadRequest, "limit is 1 to %d, and seq is not negative", maxReceipts)
	}
	caller, err := q.sender(ctx, s)
	if err != nil {
		return none, err
	}
	var rows []store.Receipt
	err = q.db.Read(ctx, func(tx *sqlite.Tx) error {
		rows, err = store.ListReceipts(tx, caller.Member, req.Seq, limit+1)
		return err
	})
	if err != nil {
		return none, err
	}
	out := protocol.ReceiptsAnswer{More: len(rows) > limit}
	for _, r := range rows[:min(limit, len(rows))] {
		out.Receipts = append(out.Receipts, receipt(r))
	}
	return out, nil
}
