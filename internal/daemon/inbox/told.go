package inbox

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Fate is what became of something that a sender may be told.
type Fate string

// The fates.
const (
	Due      Fate = ""         // its sender is still to be told
	Told     Fate = "told"     // the broker has the receipt
	Withheld Fate = "withheld" // the user does not want this sender told
	Unasked  Fate = "unasked"  // the sender takes no receipts, or is not proved
	Refused  Fate = "refused"  // the broker does not take it
)

// Notice is something that happened to a message: it was shown, or acknowledged.
type Notice struct {
	Row
	State mesh.State // surfaced or acknowledged
	At    time.Time
	Reply bool   // its sender was sent a reply, which says as much
	Proof string // protocol.ReceiptProof, JSON; empty until it is signed
	Fate  Fate
}

// Notices are what readers did with the messages of an inbox, and what their senders are told of it.
type Notices struct{ b *Inbox }

// NoticesOf gives those of an inbox.
func NoticesOf(b *Inbox) Notices { return Notices{b} }

// Surfaced notes that a host showed what was offered to a surface by these attempts, and gives the path of each: the host
// itself has given the tokens back (design E1). Tokens of other surfaces, unknown ones and repeated ones count nothing.
// What came to the key of a session is read by that.
func (o Notices) Surfaced(ctx context.Context, surface string, attempts []string) (paths []string, err error) {
	if len(attempts) > maxLimit {
		return nil, mesh.Errorf(mesh.BadRequest, "at most %d attempts at once", maxLimit)
	}
	tokens, err := list(attempts)
	if err != nil {
		return nil, err
	}
	now := o.b.now().UnixMilli()
	err = o.b.db.Write(ctx, func(tx *sqlite.Tx) error {
		// Of what was only announced nothing is proved but that its announcement was shown.
		if _, err := tx.Exec(`UPDATE offer SET told_at = $3, offered_at = coalesce(offered_at, $3)
			WHERE surface = $1 AND attempt IN (SELECT value FROM json_each($2)) AND partly = 1 AND told_at IS NULL`, surface, tokens, now); err != nil {
			return err
		}
		var seqs []int64
		if seqs, paths, err = surfaced(tx, surface, tokens, now); err != nil {
			return err
		}
		for _, seq := range seqs {
			if err := note(tx, seq, mesh.StateSurfaced, now, false); err != nil {
				return err
			}
			if _, err := tx.Exec("UPDATE inbox SET seen_at = $2 WHERE seq = $1 AND recipient_kind = 'session' AND seen_at IS NULL", seq, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(paths) > 0 {
		o.tell()
		o.b.broadcast() // what waits for room may come now
	}
	return paths, sqlite.Coded(err)
}

// surfaced stamps offers and gives the rows that they were of, and their paths.
func surfaced(tx *sqlite.Tx, surface, tokens string, now int64) (seqs []int64, paths []string, err error) {
	rows, err := tx.Query(`UPDATE offer SET surfaced_at = $3, offered_at = coalesce(offered_at, $3), again = 0
		WHERE surface = $1 AND surfaced_at IS NULL AND partly = 0 AND (attempt IN (SELECT value FROM json_each($2))
			OR earlier != '' AND earlier IN (SELECT value FROM json_each($2)))
		RETURNING seq, CASE WHEN attempt IN (SELECT value FROM json_each($2)) THEN path ELSE earlier_path END`, surface, tokens, now)
	if err != nil {
		return nil, nil, err
	}
	for rows.Next() {
		var seq int64
		var path string
		if err := rows.Scan(&seq, &path); err != nil {
			return nil, nil, err
		}
		seqs, paths = append(seqs, seq), append(paths, path)
	}
	return seqs, paths, rows.Err()
}

// Acknowledge notes that a row was acknowledged by its reader, or with reply answered to its sender, and that it is read.
// The first time counts.
func (o Notices) Acknowledge(ctx context.Context, seq int64, reply bool) error {
	now := o.b.now().UnixMilli()
	err := o.b.db.Write(ctx, func(tx *sqlite.Tx) error {
		if err := note(tx, seq, mesh.StateAcknowledged, now, reply); err != nil {
			return err
		}
		_, err := tx.Exec("UPDATE inbox SET seen_at = $2 WHERE seq = $1 AND seen_at IS NULL", seq, now)
		return err
	})
	if err == nil {
		o.tell()
	}
	return sqlite.Coded(err)
}

// note keeps what its sender may be told of a message. What was withheld is thought over when it is said again: its sender
// may have been accepted since, and a reply tells in any case.
func note(tx *sqlite.Tx, seq int64, state mesh.State, now int64, reply bool) error {
	_, err := tx.Exec(`INSERT INTO told (seq, state, at, reply) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO UPDATE SET reply = max(reply, excluded.reply), fate = '' WHERE fate = 'withheld'`, seq, state, now, reply)
	return err
}

// noticeColumns are those of a Notice behind those of its Row.
const noticeColumns = columns + `, t.state, t.at, t.reply, t.proof, t.fate`

// DueIn lists what the senders of messages of a mesh are to be told, behind a notice, in the order of the messages; what
// was shown comes before what was acknowledged.
func (o Notices) DueIn(ctx context.Context, meshID mesh.ID, after Notice, limit int) ([]Notice, error) {
	return o.notices(ctx, `SELECT `+noticeColumns+` FROM told t JOIN inbox i ON i.seq = t.seq
		WHERE t.fate = '' AND t.seq >= $1 AND (t.seq > $1 OR t.state < $2) AND i.mesh_id = $3 ORDER BY t.seq, t.state DESC LIMIT $4`,
		after.Seq, after.State, meshID, limit)
}

// Of lists what happened to one row.
func (o Notices) Of(ctx context.Context, seq int64) ([]Notice, error) {
	return o.notices(ctx, `SELECT `+noticeColumns+` FROM told t JOIN inbox i ON i.seq = t.seq WHERE t.seq = $1 ORDER BY t.at, t.state DESC`, seq)
}

func (o Notices) notices(ctx context.Context, query string, args ...any) ([]Notice, error) {
	var all []Notice
	err := o.b.db.Read(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.Query(query, args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var n Notice
			var at int64
			if n.Row, err = scan(rows, &n.State, &at, &n.Reply, &n.Proof, &n.Fate); err != nil {
				return err
			}
			n.At = timeOf(at)
			all = append(all, n)
		}
		return rows.Err()
	})
	return all, sqlite.Coded(err)
}

// Settle keeps the proof of a notice, or what became of it.
func (o Notices) Settle(ctx context.Context, n Notice) error {
	_, err := o.b.stamp(ctx, "UPDATE told SET proof = $3, fate = $4 WHERE seq = $1 AND state = $2 AND fate = ''", n.Seq, n.State, n.Proof, n.Fate)
	return err
}

// ToTell returns a channel that is closed when there is more that senders are to be told.
func (o Notices) ToTell() <-chan struct{} {
	o.b.mu.Lock()
	defer o.b.mu.Unlock()
	return o.b.due
}

func (o Notices) tell() {
	o.b.mu.Lock()
	defer o.b.mu.Unlock()
	close(o.b.due)
	o.b.due = make(chan struct{})
}

// Offer is one showing of a row to a host session.
type Offer struct {
	Surface  string // host session id
	Path     string // one of localapi.Paths; empty while it is not known
	Claimed  time.Time
	Offered  time.Time // zero: not confirmed
	Surfaced time.Time // zero: not proved
}

// Offers lists to whom a row was given to be shown, oldest first.
func (o Notices) Offers(ctx context.Context, seq int64) ([]Offer, error) {
	var all []Offer
	err := o.b.db.Read(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.Query(`SELECT surface, path, claimed_at, coalesce(offered_at, 0), coalesce(surfaced_at, 0)
			FROM offer WHERE seq = $1 ORDER BY claimed_at, surface`, seq)
		if err != nil {
			return err
		}
		for rows.Next() {
			var of Offer
			var claimed, offered, surfaced int64
			if err := rows.Scan(&of.Surface, &of.Path, &claimed, &offered, &surfaced); err != nil {
				return err
			}
			of.Claimed, of.Offered, of.Surfaced = timeOf(claimed), timeOf(offered), timeOf(surfaced)
			all = append(all, of)
		}
		return rows.Err()
	})
	return all, sqlite.Coded(err)
}
