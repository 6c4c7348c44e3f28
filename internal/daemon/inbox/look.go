package inbox

import (
	"context"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// How much one look at what a surface may be given reads: stretch rows at a time, and no other stretch after lookTime. Where
// more waits than can be looked at in that time, and may not be shown, the next look goes on where this one ended, so that
// nothing hides what is newer.
const (
	stretch  = 500
	lookTime = 150 * time.Millisecond
)

// look is one look at what a surface may be given.
type look struct {
	args  []any // of claimable
	rows  []Row // without their texts
	found floor // where the next one begins
	epoch int   // of the floors, when it began
}

// lookFor reads the oldest rows that Claim may take, at most limit, and leaves them.
func lookFor(ctx context.Context, b *Inbox, s Surface, limit int, admit func(Row) bool) (l look, err error) {
	from, epoch := b.floors.find(s)
	l.epoch = epoch
	if l.args, err = s.Scope.args(s.ID, s.Since.UnixMilli(), from.seq, s.Path); err != nil {
		return l, err
	}
	began := b.now()
	err = b.db.Read(ctx, func(tx *sqlite.Tx) error {
		l.rows = nil
		first, end, err := reach(tx)
		if err != nil {
			return err
		}
		start, refused := max(first, from.seq, from.next), int64(0)
		at := start
		for at < end && len(l.rows) < limit && (at == start || b.now().Sub(began) < lookTime) {
			to := min(at+stretch, end)
			args := slices.Clone(l.args)
			args[4] = at
			err := each(tx, func(r Row) bool {
				if admit == nil || admit(r) {
					l.rows = append(l.rows, r)
				} else if refused == 0 {
					refused = r.Seq
				}
				if len(l.rows) == limit {
					to = r.Seq + 1
				}
				return len(l.rows) < limit
			}, "SELECT "+textless+" FROM inbox i WHERE "+inScope+claimable+" AND i.seq < $7 ORDER BY i.seq", with(args, to)...)
			if err != nil {
				return err
			}
			at = to
		}
		l.found = from.after(at, end, refused, len(l.rows) == limit)
		return nil
	})
	return l, err
}

// reach is the seq of the oldest row, and the one behind the newest.
func reach(tx *sqlite.Tx) (first, end int64, err error) {
	err = tx.QueryRow("SELECT coalesce((SELECT min(seq) FROM inbox), 0), coalesce((SELECT max(seq) FROM inbox), 0) + 1").Scan(&first, &end)
	return first, end, err
}
