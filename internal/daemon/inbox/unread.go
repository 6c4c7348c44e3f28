package inbox

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Unread counts the rows that nobody has listed, and that were not proved to be shown to a session, whose host session id
// is empty for the user.
func (b *Inbox) Unread(ctx context.Context, s Scope, session string) (int, error) {
	args, err := s.args(session)
	if err != nil {
		return 0, err
	}
	var n int
	err = b.db.Read(ctx, func(tx *sqlite.Tx) error {
		return tx.QueryRow("SELECT count(*) FROM inbox i WHERE "+inScope+` AND i.seen_at IS NULL AND NOT EXISTS (
			SELECT 1 FROM offer o WHERE o.surface = $3 AND o.seq = i.seq AND o.surfaced_at IS NOT NULL)`, args...).Scan(&n)
	})
	return n, sqlite.Coded(err)
}

// addSurfaced fills in when a session read rows that were shown to it and that nobody has listed. What came to the
// member goes on to be unread for its other sessions.
func addSurfaced(ctx context.Context, b *Inbox, session string, rows []Row) error {
	at := map[int64]int{}
	var unread []int64
	for i, r := range rows {
		if r.SeenAt.IsZero() {
			at[r.Seq] = i
			unread = append(unread, r.Seq)
		}
	}
	if session == "" || unread == nil {
		return nil
	}
	seqs, err := list(unread)
	if err != nil {
		return err
	}
	return b.db.Read(ctx, func(tx *sqlite.Tx) error {
		shown, err := tx.Query(`SELECT seq, surfaced_at FROM offer
			WHERE surface = $1 AND seq IN (SELECT value FROM json_each($2)) AND surfaced_at IS NOT NULL`, session, seqs)
		if err != nil {
			return err
		}
		for shown.Next() {
			var seq, surfaced int64
			if err := shown.Scan(&seq, &surfaced); err != nil {
				return err
			}
			rows[at[seq]].SeenAt = timeOf(surfaced)
		}
		return shown.Err()
	})
}
