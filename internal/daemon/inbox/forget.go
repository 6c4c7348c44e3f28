package inbox

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Flush says what is to be forgotten. Without Mesh and Before it is all of the scope.
type Flush struct {
	Scope  Scope
	Mesh   string         // slug
	Before time.Time      // received before; zero: at any time
	Admit  func(Row) bool // the gate: rows it refuses stay; nil admits all
}

// Flush forgets messages and returns how many: their text and their sender's name are gone when it returns, and they are
// listed nowhere. Without a gate the dead letters go with them, uncounted. What is left of them keeps copies that are still under way from being taken for new ones.
func (b *Inbox) Flush(ctx context.Context, f Flush) (int, error) {
	before := int64(1<<63 - 1)
	if !f.Before.IsZero() {
		before = f.Before.UnixMilli()
	}
	args, err := f.Scope.args(f.Mesh, before)
	if err != nil {
		return 0, err
	}
	var seqs []int64
	err = b.db.Read(ctx, func(tx *sqlite.Tx) error {
		return each(tx, func(r Row) bool {
			if f.Admit == nil || f.Admit(r.gated()) {
				seqs = append(seqs, r.Seq)
			}
			return true
		}, "SELECT "+columns+" FROM inbox i WHERE "+inScope+" AND ($3 = '' OR i.mesh = $3) AND i.received_at < $4", args...)
	})
	if err != nil {
		return 0, sqlite.Coded(err)
	}
	n, err := forget(ctx, b, seqs)
	if err != nil || f.Admit != nil { // what a gate cannot be asked about stays
		return n, err
	}
	_, err = b.stamp(ctx, "DELETE FROM letter WHERE "+letterScope+" AND ($3 = '' OR mesh = $3) AND received_at < $4", args...)
	return n, err
}

// Delete forgets one message, or one dead letter, by its id, client id or broker id, and returns the row as it was.
// not_found when the scope does not see it, or admit (nil: all) does not let it through.
func (b *Inbox) Delete(ctx context.Context, s Scope, id string, admit func(Row) bool) (Row, error) {
	r, err := b.Find(ctx, s, id)
	if mesh.IsCode(err, mesh.NotFound) && admit == nil {
		return b.Letters().drop(ctx, s, id, err)
	}
	if err != nil {
		return Row{}, err
	}
	if admit != nil && !admit(r.gated()) {
		return Row{}, mesh.Errorf(mesh.NotFound, "no message %q has come here", id)
	}
	_, err = forget(ctx, b, []int64{r.Seq})
	return r, err
}

// forget blanks rows, and says how many were there.
func forget(ctx context.Context, b *Inbox, seqs []int64) (int, error) {
	total := 0
	for len(seqs) > 0 {
		n := min(len(seqs), pruneBatch)
		some, err := list(seqs[:n])
		if err != nil {
			return total, err
		}
		var done int64
		err = b.db.Write(ctx, func(tx *sqlite.Tx) error {
			if _, err := tx.Exec("DELETE FROM letter WHERE id IN (SELECT id FROM inbox WHERE seq IN (SELECT value FROM json_each($1)))", some); err != nil {
				return err
			}
			done, err = tx.Exec(blank+" WHERE seq IN (SELECT value FROM json_each($2)) AND forgotten_at IS NULL", b.now().UnixMilli(), some)
			return err
		})
		if total += int(done); err != nil {
			return total, sqlite.Coded(err)
		}
		seqs = seqs[n:]
	}
	return total, nil
}

// blank takes out of rows what they said; $1 is the time.
const blank = `UPDATE inbox SET forgotten_at = $1, seen_at = coalesce(seen_at, $1), body = NULL, meta = NULL, sender_name = '',
	topic = NULL, reply_to_id = NULL, trace_id = ''`

// resendTime is longer than any broker keeps a message for its recipient, and repeats it (design D3).
const resendTime = 14 * 24 * time.Hour

// prune forgets what is older than the retention, and removes the rows that nobody can send again.
func (b *Inbox) prune(ctx context.Context) (int64, error) {
	now := b.now()
	forgotten, err := batches(ctx, b, blank+` WHERE seq IN (SELECT seq FROM inbox
		WHERE received_at < $2 AND forgotten_at IS NULL LIMIT $3)`, now.UnixMilli(), now.Add(-b.keep).UnixMilli(), pruneBatch)
	if err != nil {
		return forgotten, err
	}
	if _, err := batches(ctx, b, "DELETE FROM letter WHERE id IN (SELECT id FROM letter WHERE received_at < $1 LIMIT $2)",
		now.Add(-b.keep).UnixMilli(), pruneBatch); err != nil {
		return forgotten, err
	}
	_, err = batches(ctx, b, "DELETE FROM inbox WHERE seq IN (SELECT seq FROM inbox WHERE received_at < $1 AND forgotten_at IS NOT NULL LIMIT $2)",
		now.Add(-resendTime).UnixMilli(), pruneBatch)
	return forgotten, err
}

// batches repeats a statement that changes at most pruneBatch rows until it finds fewer.
func batches(ctx context.Context, b *Inbox, query string, args ...any) (int64, error) {
	for total := int64(0); ; {
		n, err := b.stamp(ctx, query, args...)
		if total += int64(n); err != nil || n < pruneBatch {
			return total, err
		}
	}
}

// ParseFlush checks a request: a filter that is empty, or a time that cannot be read or has not come yet, is bad_request,
// and never means all (daemon 8.3).
func ParseFlush(req localapi.FlushRequest, s Scope, now time.Time) (Flush, error) {
	f := Flush{Scope: s}
	if req.Mesh != nil {
		if f.Mesh = *req.Mesh; f.Mesh == "" {
			return Flush{}, mesh.Errorf(mesh.BadRequest, "mesh is empty")
		}
	}
	if req.Before == nil {
		return f, nil
	}
	var err error
	if f.Before, err = time.Parse(time.RFC3339, *req.Before); err != nil {
		return Flush{}, mesh.Errorf(mesh.BadRequest, "before %q is not a time such as 2006-01-02T15:04:05Z", *req.Before)
	}
	if f.Before.After(now) || f.Before.UnixMilli() <= 0 {
		return Flush{}, mesh.Errorf(mesh.BadRequest, "before %s is no time that has passed", *req.Before)
	}
	return f, nil
}
