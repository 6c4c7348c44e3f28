package inbox

import (
	"context"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Surface is a host session that messages are shown to.
type Surface struct {
	ID    string // host session id
	Scope Scope
	Since time.Time // when the session was registered
	Path  string    // by which it is shown; empty: its deliverer chooses, and says so afterwards
}

// Claimed is a row that this deliverer, and nobody else for the same surface, writes to the host.
type Claimed struct {
	Row
	Attempt string // random token of this offer
}

// claimable is the condition of Claim behind inScope: $3 is the surface, $4 its time of registration, $5 a seq below
// which there is nothing, $6 the path. What came to a session key is offered once in all, unless that was by a path that
// showed nothing: then to the same session by another one. Rows of the TypeScript daemon have no mesh id; it has shown them.
const claimable = ` AND i.seq >= $5 AND i.mesh_id != '' AND i.seen_at IS NULL
	AND NOT EXISTS (SELECT 1 FROM offer o WHERE o.surface = $3 AND o.seq = i.seq AND (o.again = 0 OR $6 IN (o.path, o.earlier_path)))
	AND (i.recipient_kind = 'member' AND i.received_at >= $4 OR NOT EXISTS (
		SELECT 1 FROM offer o WHERE o.seq = i.seq AND NOT (o.surface = $3 AND o.again = 1)))`

// Claim takes the oldest rows that were never offered to s and that admit lets through (nil: all), and returns them
// when the claim is on the disk: each is returned once, whatever happens afterwards (design E1). Rows that admit
// refuses stay and are taken when it lets them through. What came to a member key goes to every session that was there
// when it came, else to the first that asks; what was read by List goes to none. limit is 1 to 1000.
func (b *Inbox) Claim(ctx context.Context, s Surface, limit int, admit func(Row) bool) ([]Claimed, error) {
	if s.ID == "" || limit < 1 || limit > maxLimit {
		return nil, mesh.Errorf(mesh.BadRequest, "a claim has a surface and takes 1 to %d rows", maxLimit)
	}
	l, err := lookFor(ctx, b, s, limit, admit)
	if err != nil {
		return nil, sqlite.Coded(err)
	}
	claimed, err := take(ctx, b, l.args, l.rows)
	if err != nil {
		return nil, sqlite.Coded(err)
	}
	b.floors.set(s, l.found, l.epoch)
	return claimed, nil
}

// take stamps rows with attempts, on the disk.
func take(ctx context.Context, b *Inbox, args []any, rows []Row) ([]Claimed, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	var claimed []Claimed
	err := b.db.Write(ctx, func(tx *sqlite.Tx) error {
		claimed = nil
		for _, r := range rows {
			token := mesh.NewToken()
			// Asked again in the transaction: another session may have been faster.
			n, err := tx.Exec("INSERT INTO offer (surface, seq, attempt, claimed_at, path) SELECT $3, i.seq, $7, $8, $6 FROM inbox i WHERE "+
				inScope+claimable+" AND i.seq = $9"+anew, with(args, token, b.now().UnixMilli(), r.Seq)...)
			if err != nil {
				return err
			}
			if n == 1 {
				if err := tx.QueryRow("SELECT body FROM inbox WHERE seq = $1", r.Seq).Scan(&r.Body); err != nil {
					return err
				}
				claimed = append(claimed, Claimed{Row: r, Attempt: token})
			}
		}
		return nil
	})
	return claimed, err
}

// anew makes another offer of a message that the same session was offered before.
const anew = ` ON CONFLICT (surface, seq) DO UPDATE SET earlier = attempt, earlier_path = path, attempt = excluded.attempt, path = excluded.path,
	claimed_at = excluded.claimed_at, offered_at = NULL, told_at = NULL, lapsed_at = NULL, again = 0, partly = 0`

// with gives a list of its own with more parameters.
func with(args []any, more ...any) []any { return append(args[:len(args):len(args)], more...) }

// Offered confirms that claimed rows were written to the host by a path, and counts them. Tokens of other surfaces,
// unknown ones and repeated ones count nothing.
func (b *Inbox) Offered(ctx context.Context, surface string, attempts []string, path string) (int, error) {
	if !slices.Contains(localapi.Paths(), path) {
		return 0, mesh.Errorf(mesh.BadRequest, "%q is no path into a session", path)
	}
	if len(attempts) > maxLimit {
		return 0, mesh.Errorf(mesh.BadRequest, "at most %d attempts at once", maxLimit)
	}
	tokens, err := list(attempts)
	if err != nil {
		return 0, err
	}
	return b.stamp(ctx, `UPDATE offer SET offered_at = $3, path = $4 WHERE surface = $1
		AND attempt IN (SELECT value FROM json_each($2)) AND offered_at IS NULL`, surface, tokens, b.now().UnixMilli(), path)
}

// Unconfirmed counts rows that were claimed for a surface and never confirmed: the host may have them or not. What was read
// since, or is gone, is not among them. Ask when a new deliverer comes, before its first Claim.
func (b *Inbox) Unconfirmed(ctx context.Context, surface string) (int, error) {
	var n int
	err := b.db.Read(ctx, func(tx *sqlite.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM offer o JOIN inbox i ON i.seq = o.seq
			WHERE o.surface = $1 AND o.offered_at IS NULL AND o.told_at IS NULL AND i.seen_at IS NULL`, surface).Scan(&n)
	})
	return n, sqlite.Coded(err)
}

// Told forgets the unconfirmed rows of a surface after its session was told of them.
func (b *Inbox) Told(ctx context.Context, surface string) error {
	_, err := b.stamp(ctx, "UPDATE offer SET told_at = $2 WHERE surface = $1 AND offered_at IS NULL AND told_at IS NULL",
		surface, b.now().UnixMilli())
	return err
}
