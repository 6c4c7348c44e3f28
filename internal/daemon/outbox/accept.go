package outbox

import (
	"context"
	"fmt"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// maxOpen bounds the rows that wait, some 30 bytes of memory each. At the bound Accept refuses with queue_full.
const maxOpen = 100_000

// Draft is a message that was resolved and sealed, before it is accepted.
type Draft struct {
	ClientID    mesh.ClientID // empty: one is minted
	Fingerprint seal.Fingerprint
	MeshID      mesh.ID
	Mesh        string   // slug
	TargetSpec  string   // key, *, @group or #topic, as it goes to the broker
	TargetName  string   // what a list shows for the target; may be empty
	Recipient   mesh.Key // key that the box is sealed to; empty for the kinds that the broker can read
	Sender      mesh.Key // session key that sealed it and whose connection sends it; empty: the member's own
	Nonce       string
	Ciphertext  string
	Priority    mesh.Priority // empty means next
	ReplyTo     string
	Body        []byte
	TraceID     string
}

// Outcome is how an accept ended (daemon 11.4).
type Outcome struct {
	ClientID  mesh.ClientID
	Status    string  // queued or inflight; empty for a duplicate
	Duplicate bool    // the broker has had this id: nothing is sent
	BrokerID  mesh.ID // of a duplicate
	Row       Row     // as it was found, or as it was made
}

// Lookup is the first half of Accept, for callers that resolve and seal in between: a retry of an accepted id must
// not fail because the peer has gone offline. found is false when the id is free. The fingerprint must match, and the
// mesh where meshID is not empty; otherwise, and for dead and aborted rows, the error is idempotency_key_reused with
// conflict, prefix and broker id in its details.
func (o *Outbox) Lookup(ctx context.Context, id mesh.ClientID, fp seal.Fingerprint, meshID mesh.ID) (out Outcome, found bool, err error) {
	err = o.db.Read(ctx, func(tx *sqlite.Tx) error {
		var row Row
		if row, found, err = findID(tx, id); err != nil || !found {
			return err
		}
		out, err = decide(row, fp, meshID)
		return err
	})
	if err != nil {
		return Outcome{}, found, sqlite.Coded(err)
	}
	wakeFor(o, out)
	return out, found, nil
}

// wakeFor wakes the drain of a row that waits, also one that has waited before (daemon 11.4).
func wakeFor(o *Outbox, out Outcome) {
	if out.Status == "queued" {
		o.wakes.wake(out.Row.MeshID)
	}
}

// Accept stores d, or finds what its id stands for, in one transaction, and returns when that is on the disk (daemon
// 11.1). Errors as Lookup; queue_full when 100,000 rows wait.
func (o *Outbox) Accept(ctx context.Context, d Draft) (Outcome, error) {
	all, err := o.AcceptAll(ctx, []Draft{d})
	if err != nil {
		return Outcome{}, err
	}
	return all[0], nil
}

// AcceptAll is Accept for several drafts with different ids: it takes all of them, or none.
func (o *Outbox) AcceptAll(ctx context.Context, drafts []Draft) ([]Outcome, error) {
	rows := make([]Row, len(drafts))
	for i, d := range drafts {
		var err error
		if rows[i], err = prepare(o, d); err != nil {
			return nil, err
		}
	}
	out := make([]Outcome, len(drafts))
	added := int64(0)
	err := o.db.Write(ctx, func(tx *sqlite.Tx) error {
		added = 0
		for i, d := range drafts {
			old, found, err := findID(tx, rows[i].ClientID)
			switch {
			case err != nil:
				return err
			case found:
				if out[i], err = decide(old, d.Fingerprint, d.MeshID); err != nil {
					return err
				}
				continue
			case o.open.Load()+added >= maxOpen:
				return mesh.Errorf(mesh.QueueFull, "%d messages wait to be sent", maxOpen)
			}
			out[i] = Outcome{ClientID: rows[i].ClientID, Status: "queued", Row: rows[i]}
			if err := insert(tx, rows[i], d); err != nil {
				return err
			}
			added++
		}
		return nil
	})
	if err != nil {
		return nil, sqlite.Coded(err)
	}
	o.open.Add(added)
	for _, one := range out {
		wakeFor(o, one)
	}
	return out, nil
}

// prepare checks a draft and makes the row of it.
func prepare(o *Outbox, d Draft) (Row, error) {
	if d.MeshID == "" || d.Mesh == "" || d.TargetSpec == "" {
		return Row{}, mesh.Errorf(mesh.BadRequest, "a message to send has a mesh and a target")
	}
	priority, err := mesh.ParsePriority(string(d.Priority))
	if err != nil {
		return Row{}, err
	}
	now := o.now()
	if d.ClientID == "" {
		d.ClientID = o.newID(now)
	} else if _, err := mesh.ParseClientID(string(d.ClientID)); err != nil {
		return Row{}, err
	}
	return Row{
		ID: string(o.newID(now)), ClientID: d.ClientID, MeshID: d.MeshID, Mesh: d.Mesh,
		TargetSpec: d.TargetSpec, TargetName: d.TargetName, Recipient: d.Recipient, Sender: d.Sender,
		Priority: priority, ReplyTo: d.ReplyTo, TraceID: d.TraceID, BodyBytes: int64(len(d.Body)),
		Status: Pending, EnqueuedAt: timeOf(now.UnixMilli()), NextAttemptAt: timeOf(now.UnixMilli()),
		fingerprint: d.Fingerprint[:],
	}, nil
}

func insert(tx *sqlite.Tx, r Row, d Draft) error {
	body := d.Body
	if body == nil {
		body = []byte{} // the column admits no NULL
	}
	at := r.EnqueuedAt.UnixMilli()
	_, err := tx.Exec(`INSERT INTO outbox (id, client_message_id, request_fingerprint, payload, enqueued_at,
		next_attempt_at, status, mesh, target_spec, nonce, ciphertext, priority, sender_session_pubkey, reply_to_id,
		mesh_id, target_name, recipient_key, trace_id, body_bytes)
		VALUES ($1, $2, $3, $4, $5, $5, 'pending', $6, $7, $8, $9, $10, $11, nullif($12, ''), $13, $14, $15, $16, $17)`,
		r.ID, r.ClientID, r.fingerprint, body, at,
		r.Mesh, r.TargetSpec, d.Nonce, d.Ciphertext, r.Priority, r.Sender, r.ReplyTo,
		r.MeshID, r.TargetName, r.Recipient, r.TraceID, r.BodyBytes)
	return err
}

func findID(tx *sqlite.Tx, id mesh.ClientID) (Row, bool, error) {
	rows, err := selectRows(tx, "SELECT "+columns+" FROM outbox WHERE client_message_id = $1", id)
	if err != nil || len(rows) == 0 {
		return Row{}, false, err
	}
	return rows[0], true, nil
}

// decide is the table of daemon 11.4 for a row that exists. Another mesh is another request, which the fingerprint
// does not show (daemon 11.3).
func decide(r Row, fp seal.Fingerprint, meshID mesh.ID) (Outcome, error) {
	match := len(r.fingerprint) == len(fp) && fp.Equal(seal.Fingerprint(r.fingerprint))
	if meshID != "" && r.MeshID != "" && r.MeshID != meshID {
		match = false
	}
	out := Outcome{ClientID: r.ClientID, Row: r}
	switch {
	case match && r.Status == Pending:
		out.Status = "queued"
	case match && r.Status == Inflight:
		out.Status = "inflight"
	case match && r.Status == Done:
		out.Duplicate, out.BrokerID = true, r.BrokerID
	default:
		return Outcome{}, conflict(r, match, fp)
	}
	return out, nil
}

func conflict(r Row, match bool, fp seal.Fingerprint) error {
	d := mesh.Details{Conflict: fmt.Sprintf("outbox_%s_fingerprint_mismatch", r.Status), Prefix: fp.Prefix()}
	if r.Status == Done {
		d.BrokerID = r.BrokerID
	}
	if !match {
		return mesh.Errorf(mesh.Reused, "the client message id %s stands for another request", r.ClientID).With(d)
	}
	d.Conflict = fmt.Sprintf("outbox_%s_fingerprint_match", r.Status)
	if r.Status == Aborted {
		return mesh.Errorf(mesh.Reused, "the message %s was aborted", r.ClientID).With(d)
	}
	d.BrokerID = r.BrokerID
	return mesh.Errorf(mesh.Reused, "the message %s failed: %s", r.ClientID, r.LastError).With(d)
}
