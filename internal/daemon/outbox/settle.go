package outbox

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// change is a transition of a row that is decided and not yet written (daemon 10.3).
type change struct {
	attempt
	from, to Status
	atMs     int64 // of an acceptance
	error    string
}

// write puts the noted changes and the claims of picked rows on the disk, in one transaction, and returns the frames
// of what was claimed. A full disk and a locked file are waited for: until then nothing is sent.
func (d *drain) write(ctx context.Context, picked []attempt) ([]frame, error) {
	var w written
	err := insist(ctx, d.o, func(tx *sqlite.Tx) error {
		w = written{}
		return w.all(tx, d.changes, picked, d.o.now().Add(claimHold).UnixMilli())
	})
	if err != nil {
		return nil, err
	}
	d.changes = d.changes[:0]
	d.o.open.Add(-w.ended)
	d.o.watch.notify(w.moved)
	return w.frames, nil
}

// insist writes, and tries again until it can when the disk is full or the file locked.
func insist(ctx context.Context, o *Outbox, fn func(*sqlite.Tx) error) error {
	for try := 1; ; try++ {
		err := o.db.Write(ctx, fn)
		if !errors.Is(err, sqlite.ErrFull) && !errors.Is(err, sqlite.ErrBusy) {
			return err
		}
		if try == 1 {
			o.log.Warn("outbox cannot be written, nothing is sent meanwhile", slog.Any(logkey.Err, err))
		}
		select {
		case <-time.After(storeRetry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// written is what one transaction did.
type written struct {
	frames []frame
	moved  []mesh.ClientID // whose state others may wait for
	ended  int64           // rows that do not wait any more
}

func (w *written) all(tx *sqlite.Tx, changes []change, picked []attempt, holdMs int64) error {
	for _, c := range changes {
		if err := w.change(tx, c); err != nil {
			return err
		}
	}
	for _, a := range picked {
		if err := w.claim(tx, a, holdMs); err != nil {
			return err
		}
	}
	return nil
}

// change writes one transition, guarded by the status it leaves: what was aborted meanwhile stays so.
func (w *written) change(tx *sqlite.Tx, c change) error {
	var n int64
	var err error
	switch c.to {
	case Done:
		n, err = tx.Exec(`UPDATE outbox SET status = 'done', delivered_at = $3, broker_message_id = $4, mailboxes = $5,
			last_error = NULL WHERE rowid = $1 AND status = $2`, c.seq, c.from, c.atMs, c.brokerID, c.mailboxes)
	case Dead:
		n, err = tx.Exec("UPDATE outbox SET status = 'dead', last_error = $3 WHERE rowid = $1 AND status = $2", c.seq, c.from, c.error)
	case Pending:
		_, err = tx.Exec(`UPDATE outbox SET status = 'pending', attempts = $3, next_attempt_at = $4,
			last_error = coalesce(nullif($5, ''), last_error) WHERE rowid = $1 AND status = $2`,
			c.seq, c.from, c.attempts, c.nextMs, c.error)
	case Inflight, Aborted: // claims are below, nothing is aborted here
	}
	if c.to == Done && n == 0 && err == nil {
		// It was aborted too late: it stays so, and yet the broker has it, which its state is to tell.
		_, err = tx.Exec(`UPDATE outbox SET delivered_at = $2, broker_message_id = $3, mailboxes = $4
			WHERE rowid = $1 AND status = 'aborted'`, c.seq, c.atMs, c.brokerID, c.mailboxes)
		w.moved = append(w.moved, c.id)
	}
	if n > 0 {
		w.ended++
		w.moved = append(w.moved, c.id)
	}
	return err
}

// claim moves a row from pending to inflight and reads its frame.
func (w *written) claim(tx *sqlite.Tx, a attempt, holdMs int64) error {
	f := frame{attempt: a}
	var fingerprint []byte
	err := tx.QueryRow(`UPDATE outbox SET status = 'inflight', next_attempt_at = $2 WHERE rowid = $1 AND status = 'pending'
		RETURNING request_fingerprint, target_spec, CASE WHEN priority IN ('now', 'low') THEN priority ELSE 'next' END,
			coalesce(nonce, ''), coalesce(ciphertext, ''), coalesce(reply_to_id, ''), trace_id`, a.seq, holdMs).Scan(
		&fingerprint, &f.req.TargetSpec, &f.req.Priority, &f.req.Nonce, &f.req.Ciphertext, &f.req.ReplyToID, &f.req.TraceID)
	if errors.Is(err, sql.ErrNoRows) {
		f.verdict, err = gone, nil
	}
	f.req.ID, f.req.ClientMessageID, f.req.RequestFingerprint = string(a.id), a.id, hex.EncodeToString(fingerprint)
	w.frames = append(w.frames, f)
	return err
}
