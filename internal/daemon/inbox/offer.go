package inbox

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/pathway"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Offerings are what became of the rows that were claimed for surfaces.
type Offerings struct{ b *Inbox }

// OfferingsOf gives those of an inbox.
func OfferingsOf(b *Inbox) Offerings { return Offerings{b} }

// Return gives claims back that were certainly not written to the host, and counts them: the rows are as they were
// before. Ones that were confirmed, tokens of other surfaces and unknown ones count nothing.
func (o Offerings) Return(ctx context.Context, surface string, attempts []string) (n int, err error) {
	if len(attempts) > maxLimit {
		return 0, mesh.Errorf(mesh.BadRequest, "at most %d attempts at once", maxLimit)
	}
	tokens, err := list(attempts)
	if err != nil {
		return 0, err
	}
	const these = " WHERE surface = $1 AND attempt IN (SELECT value FROM json_each($2)) AND offered_at IS NULL AND surfaced_at IS NULL"
	err = o.b.db.Write(ctx, func(tx *sqlite.Tx) error {
		n = 0
		for _, query := range []string{
			"DELETE FROM offer" + these + " AND earlier = ''",
			// The offer before it was not seen, and is to be followed by one of another path.
			"UPDATE offer SET attempt = earlier, path = earlier_path, offered_at = claimed_at, lapsed_at = claimed_at, again = 1, earlier = '', earlier_path = ''" + these,
		} {
			changed, err := tx.Exec(query, surface, tokens)
			if err != nil {
				return err
			}
			n += int(changed)
		}
		return nil
	})
	if err == nil && n > 0 {
		o.b.floors.drop(surface)
		o.b.broadcast()
	}
	return n, sqlite.Coded(err)
}

// Partly notes of claims that the host is given who wrote, and not what.
func (o Offerings) Partly(ctx context.Context, surface string, attempts []string) error {
	tokens, err := list(attempts)
	if err != nil {
		return err
	}
	_, err = o.b.stamp(ctx, "UPDATE offer SET partly = 1 WHERE surface = $1 AND attempt IN (SELECT value FROM json_each($2))", surface, tokens)
	return err
}

// Left reads the oldest rows, at most limit, that a session was told of, or was offered in vain, and that nobody has read.
func (o Offerings) Left(ctx context.Context, s Surface, limit int, admit func(Row) bool) (rows []Row, err error) {
	args, err := s.Scope.args(s.ID, maxScan)
	if err != nil {
		return nil, err
	}
	err = o.b.db.Read(ctx, func(tx *sqlite.Tx) error {
		rows = nil
		return each(tx, func(r Row) bool {
			if admit(r.gated()) {
				rows = append(rows, r)
			}
			return len(rows) < limit
		}, "SELECT "+columns+" FROM inbox i WHERE "+inScope+` AND i.seen_at IS NULL AND i.seq IN (SELECT o.seq FROM offer o
			WHERE o.surface = $3 AND o.surfaced_at IS NULL AND o.again = 0 AND (o.told_at IS NOT NULL OR o.lapsed_at IS NOT NULL)) ORDER BY i.seq LIMIT $4`, args...)
	})
	return rows, sqlite.Coded(err)
}

// Outstanding counts the rows that were offered to a surface and may still be proved to be shown.
func (o Offerings) Outstanding(ctx context.Context, surface string) (n int, err error) {
	err = o.b.db.Read(ctx, func(tx *sqlite.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM offer o JOIN inbox i ON i.seq = o.seq WHERE o.surface = $1
			AND o.surfaced_at IS NULL AND o.lapsed_at IS NULL AND o.told_at IS NULL AND i.seen_at IS NULL`, surface).Scan(&n)
	})
	return n, sqlite.Coded(err)
}

// Recent counts the rows that were claimed for a surface by a path after a time.
func (o Offerings) Recent(ctx context.Context, surface, path string, after time.Time) (n int, err error) {
	err = o.b.db.Read(ctx, func(tx *sqlite.Tx) error {
		return tx.QueryRow("SELECT count(*) FROM offer WHERE surface = $1 AND path = $2 AND claimed_at > $3", surface, path, after.UnixMilli()).Scan(&n)
	})
	return n, sqlite.Coded(err)
}

// Since lists the rows that were claimed for a surface after a time, in that order, without their texts.
func (o Offerings) Since(ctx context.Context, surface string, after time.Time) (all []Offered, err error) {
	err = o.b.db.Read(ctx, func(tx *sqlite.Tx) error {
		all = nil
		rows, err := tx.Query(`SELECT i.sender_pubkey, o.claimed_at, coalesce(octet_length(i.body), 0) FROM offer o JOIN inbox i ON i.seq = o.seq
			WHERE o.surface = $1 AND o.claimed_at > $2 ORDER BY o.claimed_at, o.seq`, surface, after.UnixMilli())
		if err != nil {
			return err
		}
		for rows.Next() {
			var r Offered
			var at int64
			if err := rows.Scan(&r.Sender, &at, &r.BodyBytes); err != nil {
				return err
			}
			r.At = timeOf(at)
			all = append(all, r)
		}
		return rows.Err()
	})
	return all, sqlite.Coded(err)
}

// Offered is what counts of a row that was claimed before.
type Offered struct {
	Sender    mesh.Key
	At        time.Time
	BodyBytes int
}

// Waiting reads the oldest rows that Claim would take, at most limit, without their texts, and leaves them.
func (o Offerings) Waiting(ctx context.Context, s Surface, limit int, admit func(Row) bool) ([]Row, error) {
	l, err := lookFor(ctx, o.b, s, limit, admit)
	if err != nil {
		return nil, sqlite.Coded(err)
	}
	if len(l.rows) > 0 { // they are there for the next look, too
		l.found.seq = min(l.found.seq, l.rows[0].Seq)
		l.found.next = min(l.found.next, l.rows[0].Seq)
	}
	o.b.floors.set(s, l.found, l.epoch)
	return l.rows, nil
}

// Unfinished reports whether the last Claim, or Waiting, for a surface had no time to look at all that waits: the next one
// goes on there.
func (o Offerings) Unfinished(s Surface) bool {
	from, _ := o.b.floors.find(s)
	return from.next > 0
}

// Afresh has the next Claim for each surface begin with the oldest row that waits: what was refused may be let through now.
func (o Offerings) Afresh() { o.b.floors.forget() }

// Lapse notes of what was offered to a surface before a turn began that the turn went by and it was not seen. What was
// claimed at or after since by one of the paths named is to be offered once more, by another one. It gives the paths by
// which that is.
func (o Offerings) Lapse(ctx context.Context, surface string, turn, since time.Time, paths []string) (again []string, err error) {
	untried, err := list(paths)
	if err != nil {
		return nil, err
	}
	err = o.b.db.Write(ctx, func(tx *sqlite.Tx) error {
		again = nil
		rows, err := tx.Query(`UPDATE offer SET lapsed_at = $2, again = claimed_at >= $4 AND path IN (SELECT value FROM json_each($5))
			AND seq IN (SELECT seq FROM inbox WHERE seen_at IS NULL AND forgotten_at IS NULL)
			WHERE surface = $1 AND offered_at < $3 AND surfaced_at IS NULL AND lapsed_at IS NULL RETURNING path, again`,
			surface, o.b.now().UnixMilli(), turn.UnixMilli(), since.UnixMilli(), untried)
		if err != nil {
			return err
		}
		for rows.Next() {
			var path string
			var more bool
			if err := rows.Scan(&path, &more); err != nil {
				return err
			}
			if more {
				again = append(again, path)
			}
		}
		return rows.Err()
	})
	if err == nil && len(again) > 0 {
		o.b.floors.drop(surface)
		o.b.broadcast()
	}
	return again, sqlite.Coded(err)
}

// Records says by which paths rows were offered to a surface, and what is proved.
func (o Offerings) Records(ctx context.Context, surface string) (all []pathway.Record, err error) {
	err = o.b.db.Read(ctx, func(tx *sqlite.Tx) error {
		all = nil
		rows, err := tx.Query(`SELECT path, count(offered_at), count(surfaced_at), coalesce(min(surfaced_at), 0), coalesce(max(surfaced_at), 0)
			FROM offer WHERE surface = $1 AND path != '' GROUP BY path ORDER BY path`, surface)
		if err != nil {
			return err
		}
		for rows.Next() {
			var r pathway.Record
			var first, last int64
			if err := rows.Scan(&r.Path, &r.Offered, &r.Surfaced, &first, &last); err != nil {
				return err
			}
			r.First, r.Last = timeOf(first), timeOf(last)
			all = append(all, r)
		}
		return rows.Err()
	})
	return all, sqlite.Coded(err)
}
