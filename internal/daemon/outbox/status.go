package outbox

import (
	"context"
	"errors"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Message is a row with how far it has come.
type Message struct {
	Row
	State      mesh.State         // the least of its recipients; a failure of one is the least
	Recipients []Recipient        // of a group: those that are known
	Behind     *localapi.Obstacle // nil where nothing is known to be in its way
}

// obstacle finds what a row waits behind: the first message of the same sender to the same target, when it got nowhere so far; nil for one that does not wait, or behind what has not been tried.
func obstacle(tx *sqlite.Tx, r Row) (*localapi.Obstacle, error) {
	if r.Status != Pending || r.MeshID == "" {
		return nil, nil
	}
	first, err := selectRows(tx, "SELECT "+columns+` FROM outbox
		WHERE mesh_id = $1 AND status IN ('pending', 'inflight') AND target_spec = $2 AND coalesce(sender_session_pubkey, '') = $3
		ORDER BY rowid LIMIT 1`, r.MeshID, r.TargetSpec, r.Sender)
	if err != nil || len(first) == 0 || first[0].ID == r.ID || first[0].LastError == "" {
		return nil, err
	}
	return &localapi.Obstacle{ClientMessageID: first[0].ClientID, Reason: first[0].LastError}, nil
}

// tell reads what belongs to a row and puts it together.
func tell(tx *sqlite.Tx, r Row) (Message, error) {
	receipts, err := recipientsOf(tx, r.ClientID)
	if err != nil {
		return Message{}, err
	}
	m := message(r, receipts)
	m.Behind, err = obstacle(tx, r)
	return m, err
}

// message puts a row and its receipts together.
func message(r Row, receipts []Recipient) Message {
	m := Message{Row: r, State: r.state(), Recipients: receipts}
	if r.Encrypted() {
		if len(receipts) == 0 {
			m.Recipients = []Recipient{{Key: mesh.Key(r.TargetSpec), State: m.State, At: r.AcceptedAt}}
			if m.State.Failed() {
				m.Recipients[0].Reason, m.Recipients[0].Verified = r.Reason(), r.endedHere()
			}
		}
		for i := range m.Recipients {
			m.Recipients[i].Name = r.TargetName
		}
		m.State = leastOf(m.Recipients, mesh.StateAcknowledged)
		return m
	}
	if len(receipts) > 0 && (len(receipts) >= r.Mailboxes && r.Mailboxes > 0) {
		m.State = leastOf(receipts, mesh.StateAcknowledged)
	} else {
		m.State = leastOf(receipts, m.State) // of some nobody has told anything
	}
	return m
}

// leastOf is the state that every copy has reached.
func leastOf(copies []Recipient, least mesh.State) mesh.State {
	for _, c := range copies {
		if least.Failed() {
			break
		}
		if c.State.Failed() || !c.State.Reached(least) {
			least = c.State
		}
	}
	return least
}

// Status finds a message by its client id, its broker id, its row id, or a prefix of at least 8 of one of them. slug narrows; it may be
// empty. not_found, or bad_request for a prefix that is too short or means several.
func (o *Outbox) Status(ctx context.Context, id, slug string) (Message, error) {
	var m Message
	err := o.db.Read(ctx, func(tx *sqlite.Tx) error {
		r, err := findAny(tx, id, slug)
		if err != nil {
			return err
		}
		m, err = tell(tx, r)
		return err
	})
	return m, sqlite.Coded(err)
}

// Parts finds the messages that were sent together to several under one client id, oldest first. None is no error.
func (o *Outbox) Parts(ctx context.Context, id mesh.ClientID, slug string) ([]Message, error) {
	var all []Message
	err := o.db.Read(ctx, func(tx *sqlite.Tx) error {
		rows, err := selectRows(tx, "SELECT "+columns+` FROM outbox
			WHERE client_message_id >= $1 AND client_message_id < $2 AND ($3 = '' OR mesh = $3) ORDER BY rowid`, id+".", id+"/", slug)
		if err != nil {
			return err
		}
		for _, r := range rows {
			m, err := tell(tx, r)
			if err != nil {
				return err
			}
			all = append(all, m)
		}
		return nil
	})
	return all, sqlite.Coded(err)
}

// findAny prefers a whole id to a prefix.
func findAny(tx *sqlite.Tx, id, slug string) (Row, error) {
	if id == "" {
		return Row{}, mesh.Errorf(mesh.BadRequest, "the message id is empty")
	}
	rows, err := selectRows(tx, "SELECT "+columns+` FROM outbox
		WHERE (client_message_id = $1 OR broker_message_id = $1 OR id = $1) AND ($2 = '' OR mesh = $2) LIMIT 2`, id, slug)
	if err != nil {
		return Row{}, err
	}
	if len(rows) == 0 && len(id) >= protocol.MinStatusID {
		rows, err = selectRows(tx, "SELECT "+columns+` FROM outbox
			WHERE (client_message_id >= $1 AND client_message_id < $2 OR broker_message_id >= $1 AND broker_message_id < $2
				OR id >= $1 AND id < $2)
			AND ($3 = '' OR mesh = $3) LIMIT 2`, id, id+"\x7f", slug)
		if err != nil {
			return Row{}, err
		}
	}
	switch {
	case len(rows) == 1:
		return rows[0], nil
	case len(rows) > 1:
		return Row{}, mesh.Errorf(mesh.BadRequest, "%s means several messages, such as %s and %s: give more of the id", id, rows[0].ClientID, rows[1].ClientID)
	case len(id) < protocol.MinStatusID:
		return Row{}, mesh.Errorf(mesh.NotFound, "no message %s; a prefix has at least %d characters", id, protocol.MinStatusID)
	}
	return Row{}, mesh.Errorf(mesh.NotFound, "no message %s was sent from here", id)
}

// Wait returns when the message has reached want at every recipient, or cannot any more: then its State is a failure.
// When ctx ends first the error is wait_timeout with the state so far, or cancelled, and the message is filled too.
func (o *Outbox) Wait(ctx context.Context, id mesh.ClientID, want mesh.State) (Message, error) {
	if !want.Known() || want.Failed() {
		return Message{}, mesh.Errorf(mesh.BadRequest, "state %q cannot be waited for", want)
	}
	changed, stop := o.watch.begin(id)
	defer stop()
	for {
		// The look must not be cut short by the deadline that it is to report on.
		m, err := findMessage(context.WithoutCancel(ctx), o.db, id)
		if err != nil || m.State.Failed() || m.State.Reached(want) {
			return m, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return m, mesh.Errorf(mesh.Cancelled, "wait for %s: %w", want, ctx.Err())
			}
			return m, mesh.Errorf(mesh.WaitTimeout, "the message is %s, not yet %s", m.State, want).With(mesh.Details{State: m.State})
		}
	}
}

// findMessage reads a message with its receipts.
func findMessage(ctx context.Context, db *sqlite.DB, id mesh.ClientID) (Message, error) {
	var m Message
	err := db.Read(ctx, func(tx *sqlite.Tx) error {
		r, found, err := findID(tx, id)
		if err != nil {
			return err
		}
		if !found {
			return mesh.Errorf(mesh.NotFound, "no message %s was sent from here", id)
		}
		receipts, err := recipientsOf(tx, id)
		m = message(r, receipts)
		return err
	})
	return m, sqlite.Coded(err)
}

// List returns rows, newest first.
func (o *Outbox) List(ctx context.Context, f Filter) ([]Row, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.Limit == 0 {
		f.Limit = 50
	}
	var all []Row
	err := o.db.Read(ctx, func(tx *sqlite.Tx) error {
		var err error
		all, err = selectRows(tx, "SELECT "+columns+` FROM outbox
			WHERE ($1 = '' OR status = $1) AND ($2 = '' OR mesh = $2) ORDER BY rowid DESC LIMIT $3`, f.Status, f.Mesh, f.Limit)
		return err
	})
	return all, sqlite.Coded(err)
}

// Pending counts what waits for the broker of one mesh, rows under way included.
func (o *Outbox) Pending(ctx context.Context, meshID mesh.ID) (int, error) {
	var n int
	err := o.db.Read(ctx, func(tx *sqlite.Tx) error {
		return tx.QueryRow("SELECT count(*) FROM outbox WHERE mesh_id = $1 AND status IN ('pending', 'inflight')", meshID).Scan(&n)
	})
	return n, sqlite.Coded(err)
}

// Waiting counts the open rows of each session key that has any.
func (o *Outbox) Waiting(ctx context.Context, meshID mesh.ID) (map[mesh.Key]int, error) {
	all := map[mesh.Key]int{}
	err := o.db.Read(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.Query(`SELECT sender_session_pubkey, count(*) FROM outbox WHERE mesh_id = $1
			AND status IN ('pending', 'inflight') AND coalesce(sender_session_pubkey, '') != '' GROUP BY sender_session_pubkey`, meshID)
		if err != nil {
			return err
		}
		for rows.Next() {
			var key mesh.Key
			var n int
			if err := rows.Scan(&key, &n); err != nil {
				return err
			}
			all[key] = n
		}
		return rows.Err()
	})
	return all, sqlite.Coded(err)
}

// Reflected reports whether a box with this nonce left this outbox for another key than the one it came to: then it
// was bounced and is to be dropped (design C9).
func (o *Outbox) Reflected(ctx context.Context, nonce string, recipient mesh.Key) (bool, error) {
	var n int
	err := o.db.Read(ctx, func(tx *sqlite.Tx) error {
		return tx.QueryRow("SELECT count(*) FROM outbox WHERE nonce = $1 AND recipient_key != '' AND recipient_key != $2",
			nonce, recipient).Scan(&n)
	})
	return n > 0, sqlite.Coded(err)
}

// RenameMesh gives the rows of a mesh in o the slug by which they are listed.
func (o *Outbox) RenameMesh(ctx context.Context, meshID mesh.ID, slug string) error {
	return sqlite.Coded(o.db.Write(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.Exec("UPDATE outbox SET mesh = $2 WHERE mesh_id = $1", meshID, slug)
		return err
	}))
}

// DropMesh ends what waits for a mesh that was left: dead, no_broker_for_mesh. No Drain may run for it.
func (o *Outbox) DropMesh(ctx context.Context, meshID mesh.ID) (int, error) {
	return drop(ctx, o, "mesh_id = $2", meshID)
}

// Bounced reports whether a message in plain text, by its id and nonce, was sent by the very key to which it came: a session,
// or empty for the member. No broker of ours gives a sender its own copy (design D1).
func (o *Outbox) Bounced(ctx context.Context, id mesh.ClientID, nonce string, at mesh.Key) (bool, error) {
	var n int
	err := o.db.Read(ctx, func(tx *sqlite.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM outbox WHERE client_message_id = $1 AND nonce = $2 AND recipient_key = ''
			AND coalesce(sender_session_pubkey, '') = $3`, id, nonce, at).Scan(&n)
	})
	return n > 0, sqlite.Coded(err)
}

// DropStrays ends what has waited for an hour or longer and belongs to no joined mesh: it was left while no daemon ran,
// or never was this daemon's (daemon 13.2). joined says of a mesh whether it is joined; the id of a row of the
// TypeScript daemon that no Drain has adopted is empty.
func (o *Outbox) DropStrays(ctx context.Context, joined func(id mesh.ID, slug string) bool) (int, error) {
	type place struct {
		id   mesh.ID
		slug string
	}
	var strays []place
	before := o.now().Add(-strayAfter).UnixMilli()
	err := o.db.Read(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.Query(`SELECT DISTINCT mesh_id, coalesce(mesh, '') FROM outbox
			WHERE status IN ('pending', 'inflight') AND enqueued_at < $1`, before)
		if err != nil {
			return err
		}
		for rows.Next() {
			var p place
			if err := rows.Scan(&p.id, &p.slug); err != nil {
				return err
			}
			if !joined(p.id, p.slug) {
				strays = append(strays, p)
			}
		}
		return rows.Err()
	})
	dropped := 0
	for _, p := range strays {
		if err != nil {
			break
		}
		var n int
		n, err = drop(ctx, o, "mesh_id = $2 AND coalesce(mesh, '') = $3 AND enqueued_at < $4", p.id, p.slug, before)
		dropped += n
	}
	return dropped, sqlite.Coded(err)
}

// strayAfter is how long a mesh may be missing from config.json before its messages are given up.
const strayAfter = time.Hour

// drop ends the waiting rows that a condition names.
func drop(ctx context.Context, o *Outbox, condition string, args ...any) (int, error) {
	var dead []mesh.ClientID
	err := o.db.Write(ctx, func(tx *sqlite.Tx) error {
		dead = dead[:0]
		rows, err := tx.Query(`UPDATE outbox SET status = 'dead', last_error = $1
			WHERE status IN ('pending', 'inflight') AND `+condition+` RETURNING client_message_id`,
			append([]any{mesh.NoBrokerForMesh}, args...)...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var id mesh.ClientID
			if err := rows.Scan(&id); err != nil {
				return err
			}
			dead = append(dead, id)
		}
		return rows.Err()
	})
	if err != nil {
		return 0, sqlite.Coded(err)
	}
	o.open.Add(int64(-len(dead)))
	o.watch.notify(dead)
	return len(dead), nil
}
