package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Recipient is one copy of a message.
type Recipient struct {
	Key      mesh.Key
	Name     string
	State    mesh.State
	At       time.Time
	Reason   string
	Verified bool // the recipient signed it, or this daemon ended it; false: the relay says so (design D5)
}

// Receipt is one that the broker brought, with what was checked of it.
type Receipt struct {
	protocol.Receipt
	Proved bool      // the key of Recipient signed it, for this user and this message
	Known  bool      // that key is of a member who was met before, or of a session that such a one vouched for
	Signed time.Time // when, as it says itself; zero unless Proved
}

// Change is a copy of a message that has come further.
type Change struct {
	Message   Row
	Recipient Recipient
}

// ApplyReceipts notes what the broker brings of sent messages, oldest first; a state never goes back, and what only a
// reader can know counts with the reader's proof alone. page says that they are one of receipts_since, read from
// LastReceipt on; else they came by themselves, in the order of their seq. missed says that some before them have not been
// noted: then LastReceipt stays, so that receipts_since still brings those.
func (o *Outbox) ApplyReceipts(ctx context.Context, meshID mesh.ID, receipts []Receipt, page bool) (changes []Change, missed bool, err error) {
	if len(receipts) == 0 {
		return nil, false, nil
	}
	err = o.db.Write(ctx, func(tx *sqlite.Tx) error {
		changes = changes[:0]
		for _, r := range receipts {
			c, changed, err := o.applyReceipt(tx, meshID, r)
			if err != nil {
				return err
			}
			if changed {
				changes = append(changes, c)
			}
		}
		last, err := lastReceipt(tx, meshID)
		missed = !page && receipts[0].Seq > last+1
		newest := receipts[len(receipts)-1].Seq
		if err != nil || missed || newest <= last {
			return err
		}
		_, err = tx.Exec(`INSERT INTO receipt_cursor (mesh_id, seq) VALUES ($1, $2)
			ON CONFLICT (mesh_id) DO UPDATE SET seq = excluded.seq`, meshID, newest)
		return err
	})
	if err != nil {
		return nil, false, sqlite.Coded(err)
	}
	touched := make([]mesh.ClientID, 0, len(changes))
	for _, c := range changes {
		touched = append(touched, c.Message.ClientID)
	}
	o.watch.notify(touched)
	return changes, missed, nil
}

// applyReceipt reports whether a copy has come further. One of a message that another device of this member sent changes
// nothing.
func (o *Outbox) applyReceipt(tx *sqlite.Tx, meshID mesh.ID, r Receipt) (Change, bool, error) {
	var none Change
	if !r.State.Known() || r.Recipient == "" {
		o.log.Warn("receipt makes no sense", slog.String(logkey.State, string(r.State)), slog.Int64(logkey.Seq, r.Seq))
		return none, false, nil
	}
	row, err := sentAs(tx, meshID, r.Receipt)
	if err != nil || row.ClientID == "" {
		return none, false, err
	}
	known, err := receiptOf(tx, row.ClientID, r.Recipient)
	if err != nil || !r.advances(known, row) {
		return none, false, err
	}
	now := Recipient{Key: r.Recipient, State: r.State, At: r.began(o.now()), Reason: clean(r.Reason), Verified: r.Proved}
	if known.State != "" {
		_, err = tx.Exec(`INSERT INTO receipt_before (client_message_id, recipient, state, reason, at, verified)
			SELECT client_message_id, recipient, state, reason, at, verified FROM receipt WHERE client_message_id = $1 AND recipient = $2
			ON CONFLICT DO NOTHING`, row.ClientID, r.Recipient)
	}
	if err == nil {
		_, err = tx.Exec(`INSERT INTO receipt (client_message_id, recipient, state, reason, at, verified) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT DO UPDATE SET state = excluded.state, reason = excluded.reason, at = excluded.at, verified = excluded.verified`,
			row.ClientID, r.Recipient, now.State, now.Reason, now.At.UnixMilli(), now.Verified)
	}
	if err == nil && r.MessageID != "" && row.BrokerID == "" {
		// A receipt may overtake the ack: who waits for the state is told the id with it.
		row.BrokerID = r.MessageID
		_, err = tx.Exec(`UPDATE outbox SET broker_message_id = $2
			WHERE client_message_id = $1 AND broker_message_id IS NULL AND status IN ('pending', 'inflight', 'aborted')`, row.ClientID, r.MessageID)
	}
	return Change{row, now}, err == nil, err
}

// advances reports whether a receipt says more than what is known. A reader's proof outweighs what the relay says,
// whichever comes first.
func (r Receipt) advances(known Recipient, sent Row) bool {
	read := r.State == mesh.StateSurfaced || r.State == mesh.StateAcknowledged
	meant := r.Known
	if sent.Encrypted() {
		meant = r.Recipient == sent.Recipient // whoever has this key can read it, and nobody else
	}
	switch {
	case read && !(r.Proved && meant):
		return false
	case read && known.State.Failed() && !known.Verified:
		return true
	case known.Verified && !r.Proved:
		return false
	}
	return known.State.Later(r.State) != known.State
}

// began is when a state began: as its signer says, else as the relay does, else now. The state counts; its time is for
// people.
func (r Receipt) began(now time.Time) time.Time {
	if r.Proved {
		return r.Signed
	}
	at, err := time.Parse(time.RFC3339, r.At)
	if err != nil {
		return now
	}
	return at
}

// sentAs finds the message that a receipt is about; without an id when it was not sent from here.
func sentAs(tx *sqlite.Tx, meshID mesh.ID, r protocol.Receipt) (Row, error) {
	query, key := "client_message_id = $1", string(r.ClientMessageID)
	if key == "" {
		query, key = "broker_message_id = $1", string(r.MessageID)
	}
	rows, err := selectRows(tx, "SELECT "+columns+" FROM outbox WHERE "+query+" AND mesh_id = $2", key, meshID)
	if err != nil || len(rows) == 0 {
		return Row{}, err
	}
	return rows[0], nil
}

// receiptOf reads what is known of one copy; without a state when that is nothing.
func receiptOf(tx *sqlite.Tx, id mesh.ClientID, recipient mesh.Key) (r Recipient, err error) {
	err = tx.QueryRow("SELECT state, verified FROM receipt WHERE client_message_id = $1 AND recipient = $2", id, recipient).Scan(&r.State, &r.Verified)
	if errors.Is(err, sql.ErrNoRows) {
		return Recipient{}, nil
	}
	return r, err
}

// LastReceipt is the seq to read receipts_since from; 0 for none. All up to it have been noted, or are forgotten at the
// broker, which numbers the receipts of a member without gaps.
func (o *Outbox) LastReceipt(ctx context.Context, meshID mesh.ID) (int64, error) {
	var seq int64
	err := o.db.Read(ctx, func(tx *sqlite.Tx) (err error) {
		seq, err = lastReceipt(tx, meshID)
		return err
	})
	return seq, sqlite.Coded(err)
}

func lastReceipt(tx *sqlite.Tx, meshID mesh.ID) (int64, error) {
	var seq int64
	err := tx.QueryRow("SELECT coalesce(max(seq), 0) FROM receipt_cursor WHERE mesh_id = $1", meshID).Scan(&seq)
	return seq, err
}

// recipientsOf reads the receipts of a message, by key.
func recipientsOf(tx *sqlite.Tx, id mesh.ClientID) ([]Recipient, error) {
	return listReceipts(tx, `SELECT recipient, state, reason, at, verified FROM receipt
		WHERE client_message_id = $1 ORDER BY recipient`, id)
}

func listReceipts(tx *sqlite.Tx, query string, args ...any) ([]Recipient, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	var all []Recipient
	for rows.Next() {
		var r Recipient
		var at int64
		if err := rows.Scan(&r.Key, &r.State, &r.Reason, &at, &r.Verified); err != nil {
			return nil, err
		}
		r.At = timeOf(at)
		all = append(all, r)
	}
	return all, rows.Err()
}

// Steps lists every state that the copies of a message are known to have had, oldest first.
func Steps(ctx context.Context, o *Outbox, id mesh.ClientID) ([]Recipient, error) {
	var all []Recipient
	err := o.db.Read(ctx, func(tx *sqlite.Tx) (err error) {
		all, err = listReceipts(tx, `SELECT recipient, state, reason, at, verified FROM receipt WHERE client_message_id = $1
			UNION SELECT recipient, state, reason, at, verified FROM receipt_before WHERE client_message_id = $1 ORDER BY at`, id)
		return err
	})
	slices.SortStableFunc(all, func(a, b Recipient) int {
		return cmp.Or(a.At.Compare(b.At), a.State.Compare(b.State))
	})
	return all, sqlite.Coded(err)
}
