package queue

import (
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// finish ends one copy of a message, with a receipt for its sender where there is something to prove.
type finish struct {
	row     hub.Row
	to      *address
	outcome store.Outcome
	why     error // of a rejected copy
	at      time.Time

	done    bool  // after apply: it waited until then
	receipt int64 // number of the receipt, 0 for none
	more    bool  // others of the message wait as it did
}

func (f *finish) apply(tx *sqlite.Tx, l *ledger) error {
	f.done, f.receipt, f.more = false, 0, false
	if l.spreads.take(f) {
		return nil // ledger.settle goes on
	}
	run := int64(0)
	if f.outcome != store.Written {
		var err error
		run = l.run
		if f.receipt, err = l.nextReceipt(tx, f.row.Sender.N); err != nil {
			return err
		}
	}
	done, err := store.FinishDelivery(tx, store.Final{
		Message: f.row.N, To: f.to.n, Outcome: f.outcome, Receipt: f.receipt, Run: run, At: f.at,
	})
	if err != nil || !done {
		f.receipt = 0
		return err
	}
	f.done = true
	l.release(f.to.mesh, store.Delivery{Message: f.row.N, To: f.to.n, Sender: f.row.Sender.N, Bytes: f.row.Bytes})
	if f.receipt == 0 {
		return nil
	}
	return l.keepReceipts(tx, f.row.Sender.N, f.receipt, 1)
}

// frame is the receipt as it is sent.
func (f *finish) frame() ([]byte, error) {
	return protocol.Receipts.Encode(receipt(store.Receipt{
		Seq: f.receipt, Message: f.row.ID, ClientID: f.row.ClientID, Recipient: f.to.key, Outcome: f.outcome, At: f.at,
	}))
}

func receipt(r store.Receipt) protocol.Receipt {
	return protocol.Receipt{
		Seq: r.Seq, MessageID: r.Message, ClientMessageID: r.ClientID, Recipient: r.Recipient,
		State: r.Outcome.State(), Reason: reason(r.Outcome), At: mesh.FormatTime(r.At), Proof: r.Proof,
	}
}

// reason says why a copy ended without delivery.
func reason(o store.Outcome) string {
	switch o {
	case store.Expired:
		return "nobody fetched it in time"
	case store.Rejected:
		return string(mesh.QueueFull)
	case store.Withdrawn:
		return string(mesh.Revoked)
	case store.Waiting, store.Delivered, store.Written, store.Surfaced, store.Acknowledged, store.Bequeathed:
	}
	return ""
}

// barrier follows the ops before it, so that a sweep goes on when they are stored.
type barrier struct{ done chan error }

func (barrier) apply(*sqlite.Tx, *ledger) error { return nil }

// seen notes that a member and its session were connected until a time, and with which groups.
type seen struct {
	at     time.Time
	member mesh.ID
	box    store.Box // of the session, or of the member
	groups []store.GroupSeat
	began  bool // it has just come: groups that it had before are over
}

func (s *seen) apply(tx *sqlite.Tx, _ *ledger) error {
	if err := store.SeeMember(tx, s.member, s.at); err != nil {
		return err
	}
	if s.box.Session != 0 {
		if err := store.SeeSession(tx, s.box.Session, s.at); err != nil {
			return err
		}
	}
	if s.began {
		return store.SetGroups(tx, s.box, s.groups, s.at)
	}
	return store.SeeGroups(tx, s.box, s.at)
}
