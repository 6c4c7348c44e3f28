package outbox

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
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
	Verified bool // the recipient signed it; false: the relay says so (design D5)
}

// ApplyReceipts notes what the broker tells of sent messages, oldest first; a state never goes back. page says that they
// are one of receipts_since, read from LastReceipt on; else they came by themselves, in the order of their seq. missed says
// that some before them have not been noted: then LastReceipt stays, so that receipts_since still brings those.
func (o *Outbox) ApplyReceipts(ctx context.Context, meshID mesh.ID, receipts []protocol.Receipt, page bool) (missed bool, err error) {
	if len(receipts) == 0 {
		return false, nil
	}
	var touched []mesh.ClientID
	err = o.db.Write(ctx, func(tx *sqlite.Tx) error {
		touched = touched[:0]
		for _, r := range receipts {
			id, err := o.applyReceipt(tx, meshID, r)
			if err != nil {
				return err
			}
			if id != "" {
				touched = append(touched, id)
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
		return false, sqlite.Coded(err)
	}
	o.watch.notify(touched)
	return missed, nil
}

// applyReceipt returns the id of the message it changed; none for one that another device of this member sent.
func (o *Outbox) applyReceipt(tx *sqlite.Tx, meshID mesh.ID, r protocol.Receipt) (mesh.ClientID, error) {
	if !r.State.Known() || r.Recipient == "" {
		o.log.Warn("receipt makes no sense", slog.String(logkey.State, string(r.State)), slog.Int64(logkey.Seq, r.Seq))
		return "", nil
	}
	id, err := sentAs(tx, meshID, r)
	if err != nil || id == "" {
		return "", err
	}
	var known mesh.State
	err = tx.QueryRow("SELECT state FROM receipt WHERE client_message_id = $1 AND recipient = $2", id, r.Recipient).Scan(&known)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	if known.Later(r.State) == known {
		return "", nil
	}
	at, err := time.Parse(time.RFC3339, r.At)
	if err != nil {
		at = o.now() // the state counts; its time is for people
	}
	_, err = tx.Exec(`INSERT INTO receipt (client_message_id, recipient, state, reason, at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO UPDATE SET state = excluded.state, reason = excluded.reason, at = excluded.at`,
		id, r.Recipient, r.State, clean(r.Reason), at.UnixMilli())
	if err == nil && r.MessageID != "" {
		// A receipt may overtake the ack: who waits for the state is told the id with it.
		_, err = tx.Exec(`UPDATE outbox SET broker_message_id = $2
			WHERE client_message_id = $1 AND broker_message_id IS NULL AND status IN ('pending', 'inflight', 'aborted')`, id, r.MessageID)
	}
	return id, err
}

// sentAs finds the message that a receipt is about; empty when it was not sent from here.
func sentAs(tx *sqlite.Tx, meshID mesh.ID, r protocol.Receipt) (mesh.ClientID, error) {
	query, key := "SELECT client_message_id FROM outbox WHERE client_message_id = $1 AND mesh_id = $2", string(r.ClientMessageID)
	if key == "" {
		query, key = "SELECT client_message_id FROM outbox WHERE broker_message_id = $1 AND mesh_id = $2", string(r.MessageID)
	}
	var id mesh.ClientID
	err := tx.QueryRow(query, key, meshID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
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
	rows, err := tx.Query(`SELECT recipient, state, reason, at FROM receipt
		WHERE client_message_id = $1 ORDER BY recipient`, id)
	if err != nil {
		return nil, err
	}
	var all []Recipient
	for rows.Next() {
		var r Recipient
		var at int64
		if err := rows.Scan(&r.Key, &r.State, &r.Reason, &at); err != nil {
			return nil, err
		}
		r.At = timeOf(at)
		all = append(all, r)
	}
	return all, rows.Err()
}
