package outbox

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Undelivered lists what was queued since a time and ended without having reached everybody it was for, newest first: rows that are dead, and rows of
// which a copy expired or was refused at the broker. What the user cancelled or replaced is none of them. slug narrows; it
// may be empty.
func (o *Outbox) Undelivered(ctx context.Context, slug string, since time.Time, limit int) ([]Message, error) {
	var all []Message
	err := o.db.Read(ctx, func(tx *sqlite.Tx) error {
		rows, err := selectRows(tx, "SELECT "+columns+` FROM outbox
			WHERE ($1 = '' OR mesh = $1) AND enqueued_at >= $5 AND (status = 'dead' OR status = 'done' AND EXISTS (SELECT 1 FROM receipt r
				WHERE r.client_message_id = outbox.client_message_id AND r.state IN ($2, $3)))
			ORDER BY rowid DESC LIMIT $4`, slug, mesh.StateExpired, mesh.StateRejected, limit, since.UnixMilli())
		if err != nil {
			return err
		}
		for _, r := range rows {
			receipts, err := recipientsOf(tx, r.ClientID)
			if err != nil {
				return err
			}
			all = append(all, message(r, receipts))
		}
		return nil
	})
	return all, sqlite.Coded(err)
}
