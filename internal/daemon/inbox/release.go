package inbox

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Release notes that the human has read a message and lets it through to the sessions from which it was held, and takes back
// that its header was offered to them: it is offered anew, with its text. It is unread again. not_found for a seq that is not there.
func Release(ctx context.Context, b *Inbox, seq int64) error {
	err := b.db.Write(ctx, func(tx *sqlite.Tx) error {
		n, err := tx.Exec("UPDATE inbox SET released_at = $2, seen_at = NULL WHERE seq = $1 AND forgotten_at IS NULL", seq, b.now().UnixMilli())
		if err != nil {
			return err
		}
		if n == 0 {
			return mesh.Errorf(mesh.NotFound, "the message is not there any more")
		}
		_, err = tx.Exec("DELETE FROM offer WHERE seq = $1", seq)
		return err
	})
	if err == nil {
		b.floors.forget()
		b.broadcast()
	}
	return sqlite.Coded(err)
}

// Waiting lists the messages that no session may have read, oldest first: those that nobody listed, behind a seq.
func Waiting(ctx context.Context, b *Inbox, after int64, limit int) ([]Row, error) {
	if limit < 1 || limit > maxLimit {
		return nil, mesh.Errorf(mesh.BadRequest, "limit is 1 to %d", maxLimit)
	}
	var all []Row
	err := b.db.Read(ctx, func(tx *sqlite.Tx) error {
		return each(tx, func(r Row) bool { all = append(all, r); return true }, "SELECT "+columns+
			" FROM inbox i WHERE i.forgotten_at IS NULL AND i.mesh_id != '' AND i.seen_at IS NULL AND i.seq > $1 ORDER BY i.seq LIMIT $2", after, limit)
	})
	return all, sqlite.Coded(err)
}
