package outbox

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Replaced is what Requeue did.
type Replaced struct {
	Old Row // as it was before it was aborted
	New Row
}

// Requeue aborts a row by its row id and accepts d in its place, in one transaction (daemon 10.5). The row is pending,
// inflight or dead; its client id stays taken. d goes where the row went, sealed anew: another mesh, target or
// recipient is refused with forbidden, so that what was for one never reaches others. The same request again finds what
// it did before. Errors: not_found, message_settled, client_message_id_in_use, queue_full.
func (o *Outbox) Requeue(ctx context.Context, id, by string, d Draft) (Replaced, error) {
	row, err := prepare(o, d)
	if err != nil {
		return Replaced{}, err
	}
	var done Replaced
	var a aborted
	err = o.db.Write(ctx, func(tx *sqlite.Tx) error {
		old, again, err := replaceable(tx, id, row)
		if err != nil || again != nil {
			if again != nil {
				done, a = Replaced{old, *again}, aborted{}
			}
			return err
		}
		if !waits(old.Status) && o.open.Load() >= maxOpen {
			return mesh.Errorf(mesh.QueueFull, "%d messages wait to be sent", maxOpen)
		}
		if err := insert(tx, row, d); err != nil {
			return err
		}
		done = Replaced{old, row}
		a, err = abort(tx, old, o.now(), by, row.ID)
		a.opened = 1
		return err
	})
	if err != nil {
		return Replaced{}, sqlite.Coded(err)
	}
	a.tell(o)
	o.wakes.wake(row.MeshID)
	return done, nil
}

// replaceable reads the row that next is to replace. again is what replaced it, where that was this very request.
func replaceable(tx *sqlite.Tx, id string, next Row) (old Row, again *Row, err error) {
	if old, err = rowOf(tx, id); err != nil {
		return Row{}, nil, err
	}
	taken, found, err := findID(tx, next.ClientID)
	switch {
	case err != nil:
		return Row{}, nil, err
	case old.Status == Aborted && found && old.SupersededBy == taken.ID:
		return old, &taken, nil
	case old.Status == Done || old.Status == Aborted:
		return Row{}, nil, settledError(old)
	case found:
		return Row{}, nil, mesh.Errorf(mesh.ClientIDInUse, "the client message id %s stands for another message", next.ClientID)
	case next.MeshID != old.MeshID, next.TargetSpec != old.TargetSpec, next.Recipient != old.Recipient:
		return Row{}, nil, mesh.Errorf(mesh.Forbidden, "message %s goes to %s and to nobody else: send it anew", old.ClientID, old.TargetSpec)
	}
	return old, nil, nil
}

// Cancel aborts a row that waits or failed, by its row id, and returns it as it was before. One that is under way is
// refused with message_inflight: its fate is known in a moment. A row that was cancelled before is found again.
// Errors else: not_found, message_settled.
func (o *Outbox) Cancel(ctx context.Context, id, by string) (Row, error) {
	var old Row
	var a aborted
	err := o.db.Write(ctx, func(tx *sqlite.Tx) error {
		a = aborted{}
		var err error
		if old, err = rowOf(tx, id); err != nil {
			return err
		}
		switch {
		case old.Status == Aborted && old.SupersededBy == "":
			return nil
		case old.Status == Done || old.Status == Aborted:
			return settledError(old)
		case old.Status == Inflight:
			return mesh.Errorf(mesh.MessageInflight, "message %s is under way: whether it is accepted is known in a moment", old.ClientID)
		}
		a, err = abort(tx, old, o.now(), by, "")
		return err
	})
	if err != nil {
		return Row{}, sqlite.Coded(err)
	}
	a.tell(o)
	return old, nil
}

func settledError(r Row) error {
	switch {
	case r.Status == Done:
		return mesh.Errorf(mesh.MessageSettled, "the broker has message %s as %s", r.ClientID, r.BrokerID)
	case r.SupersededBy != "":
		return mesh.Errorf(mesh.MessageSettled, "message %s was replaced by %s", r.ClientID, r.SupersededBy)
	}
	return mesh.Errorf(mesh.MessageSettled, "message %s was cancelled", r.ClientID)
}

// aborted is what is to be told when the end of a row is on the disk.
type aborted struct {
	meshID mesh.ID
	id     mesh.ClientID
	seq    int64
	opened int64 // rows that began to wait
	closed int64 // rows that do not wait any more
}

// abort ends a row, guarded by the status in which it was read (daemon 10.3).
func abort(tx *sqlite.Tx, r Row, now time.Time, by, successor string) (aborted, error) {
	a := aborted{meshID: r.MeshID, id: r.ClientID}
	if waits(r.Status) {
		a.closed = 1
	}
	err := tx.QueryRow(`UPDATE outbox SET status = 'aborted', aborted_at = $3, aborted_by = $4, superseded_by = nullif($5, '')
		WHERE id = $1 AND status = $2 RETURNING rowid`, r.ID, r.Status, now.UnixMilli(), by, successor).Scan(&a.seq)
	return a, err
}

// tell tells the drain and whoever waits of a row that was aborted.
func (a aborted) tell(o *Outbox) {
	if a.id == "" {
		return
	}
	o.open.Add(a.opened - a.closed)
	o.wakes.drop(a.meshID, a.seq)
	o.watch.notify([]mesh.ClientID{a.id})
}

// waits reports whether rows of a status count as waiting.
func waits(s Status) bool { return s == Pending || s == Inflight }

// rowOf reads a row by its row id.
func rowOf(tx *sqlite.Tx, id string) (Row, error) {
	rows, err := selectRows(tx, "SELECT "+columns+" FROM outbox WHERE id = $1", id)
	if err != nil {
		return Row{}, err
	}
	if len(rows) == 0 {
		return Row{}, mesh.Errorf(mesh.NotFound, "no row %s is in the outbox", id)
	}
	return rows[0], nil
}

// Letter is a row with its body.
type Letter struct {
	Message
	Body        []byte
	Blanked     bool   // the body was forgotten: only its size is known
	Fingerprint []byte // of the request, 32 bytes
}

// Inspect finds a row as Status does, also by its row id, and reads its body too.
func (o *Outbox) Inspect(ctx context.Context, id, slug string) (Letter, error) {
	var l Letter
	err := o.db.Read(ctx, func(tx *sqlite.Tx) error {
		r, err := findAny(tx, id, slug)
		if err != nil {
			return err
		}
		receipts, err := recipientsOf(tx, r.ClientID)
		if err != nil {
			return err
		}
		l = Letter{Message: message(r, receipts), Fingerprint: r.fingerprint}
		err = tx.QueryRow("SELECT payload FROM outbox WHERE id = $1", r.ID).Scan(&l.Body)
		l.Blanked = len(l.Body) == 0 && r.BodyBytes > 0
		return err
	})
	return l, sqlite.Coded(err)
}
