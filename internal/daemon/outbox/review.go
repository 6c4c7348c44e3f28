package outbox

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Stored is what the file holds, for those who look after it.
func Stored() (sqlite.Options, []sqlite.Rule, error) {
	files, err := migrations()
	return sqlite.Options{Migrations: files, Adopt: adopt}, []sqlite.Rule{
		{Broken: "message that waits and has no text", Count: "SELECT count(*) FROM outbox WHERE status IN ('pending', 'inflight') AND ciphertext IS NULL"},
		{Broken: "receipt of a message that was not sent from here", Count: "SELECT count(*) FROM receipt r WHERE NOT EXISTS (SELECT 1 FROM outbox o WHERE o.client_message_id = r.client_message_id)"},
	}, err
}

// inReview is why a row waits for its human. Its beginning is the code.
const inReview = string(mesh.Restored) + ": waits for you, requeue sends it"

// InReview reports whether a row came back with a backup and waits to be released.
func (r Row) InReview() bool { return r.Status == Dead && r.Restored() }

// Restored reports whether a row came back with a backup, and has not moved on since it was released.
func (r Row) Restored() bool {
	code, _, _ := strings.Cut(r.LastError, ":")
	return mesh.Code(code) == mesh.Restored
}

// Review marks what had not left in the file at path, which nobody has open, and says how many rows there are: they came
// back with a backup, and whether they were sent since nobody here knows.
func Review(ctx context.Context, path string, now mesh.Clock) (int, error) {
	opt, _, err := Stored()
	if err != nil {
		return 0, err
	}
	opt.Now, opt.Log = now, slog.New(slog.DiscardHandler)
	db, err := sqlite.Open(ctx, path, opt)
	if err != nil {
		return 0, sqlite.Coded(err)
	}
	var marked int64
	err = db.Write(ctx, func(tx *sqlite.Tx) error {
		marked, err = tx.Exec("UPDATE outbox SET status = 'dead', last_error = $1 WHERE status IN ('pending', 'inflight')", inReview)
		return err
	})
	return int(marked), sqlite.Coded(errors.Join(err, db.Close()))
}

// Release lets a row leave that was in review, by its row id, under its own client id, by which a broker that had it knows
// it again. It goes behind what waits already. One that was released before is found again.
func Release(ctx context.Context, o *Outbox, id string) (Row, error) {
	var row Row
	released := false
	err := o.db.Write(ctx, func(tx *sqlite.Tx) error {
		var err error
		if row, err = rowOf(tx, id); err != nil || !row.InReview() {
			return err
		}
		if o.open.Load() >= maxOpen {
			return mesh.Errorf(mesh.QueueFull, "%d messages wait to be sent", maxOpen)
		}
		_, err = tx.Exec(`UPDATE outbox SET status = 'pending', next_attempt_at = $2, rowid = (SELECT max(rowid) + 1 FROM outbox)
			WHERE id = $1 AND status = 'dead'`, id, o.now().UnixMilli())
		released = err == nil
		return err
	})
	if err != nil {
		return Row{}, sqlite.Coded(err)
	}
	if released {
		o.open.Add(1)
		o.wakes.wake(row.MeshID)
		o.watch.notify([]mesh.ClientID{row.ClientID})
	}
	return row, nil
}
