package inbox

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

const (
	defaultLimit = 100
	maxLimit     = 1000 // (daemon 8.3)
	// maxScan bounds the rows that a gate is asked about at a time.
	maxScan = 10_000
)

// Query narrows List.
type Query struct {
	Scope      Scope
	Session    string    // host session id of who asks: what its host proved to have shown it, it has read; empty for the user
	Mesh       string    // slug
	Since      time.Time // received at or after
	Topic      string
	From       string // sender's session or member key, or its name as it stands in the inbox
	Limit      int    // 1 to 1000; 0 means 100
	UnreadOnly bool
	KeepUnread bool           // leave listed rows unread
	Search     string         // sender, topic or text has it, whatever its case; empty: all
	Reads      func(Row) bool // rows whose text the caller may read, so that it is looked through; nil: all
	Admit      func(Row) bool // the gate: rows it refuses are counted as held, not listed; nil admits all
}

// ParseQuery checks a request; what it does not understand is bad_request, so that nothing that was meant to narrow
// is ever ignored (daemon 8.3).
func ParseQuery(req localapi.InboxRequest, s Scope) (Query, error) {
	q := Query{Scope: s, Mesh: req.Mesh, Topic: req.Topic, From: req.From, Limit: req.Limit, UnreadOnly: req.UnreadOnly, Search: req.Search}
	q.KeepUnread = req.MarkSeen != nil && !*req.MarkSeen
	if req.Since != "" {
		since, err := time.Parse(time.RFC3339, req.Since)
		if err != nil {
			return Query{}, mesh.Errorf(mesh.BadRequest, "since %q is not a time such as 2006-01-02T15:04:05Z", req.Since)
		}
		q.Since = since
	}
	return q, q.check()
}

func (q Query) check() error {
	if q.Limit < 0 || q.Limit > maxLimit {
		return mesh.Errorf(mesh.BadRequest, "limit is 1 to %d", maxLimit)
	}
	if q.From != "" && !mesh.IsKey(q.From) {
		if err := mesh.CheckName(q.From); err != nil {
			return mesh.Errorf(mesh.BadRequest, "from is a name or a key of 64 hex characters in lower case: %w", err)
		}
	}
	return checkSearch(q.Search)
}

// scan is how many rows List reads at most: who looks for a text looks through all.
func (q Query) scan() int {
	if q.Search != "" {
		return -1
	}
	return maxScan
}

// Page is a part of the inbox, newest first. Rows show SeenAt as it was before they were listed.
type Page struct {
	Rows   []Row
	Marked int // rows that were unread and are read now
	Held   int // rows that Admit refused, as far as the page reaches
}

// List returns rows, newest first.
func (b *Inbox) List(ctx context.Context, q Query) (Page, error) {
	if err := q.check(); err != nil {
		return Page{}, err
	}
	if q.Limit == 0 {
		q.Limit = defaultLimit
	}
	since := int64(0)
	if !q.Since.IsZero() {
		since = q.Since.UnixMilli()
	}
	args, err := q.Scope.args(q.Mesh, since, q.Topic, q.From, q.UnreadOnly, q.scan(), q.Session)
	if err != nil {
		return Page{}, err
	}
	var p Page
	wanted := newSearch(q.Search, q.Reads)
	err = b.db.Read(ctx, func(tx *sqlite.Tx) error {
		return each(tx, func(r Row) bool {
			if q.Admit != nil && !q.Admit(r.gated()) {
				p.Held++
				return true
			}
			if !wanted.matches(r) {
				return true
			}
			p.Rows = append(p.Rows, r)
			return len(p.Rows) < q.Limit
		}, "SELECT "+columns+" FROM inbox i WHERE "+inScope+` AND ($3 = '' OR i.mesh = $3) AND i.received_at >= $4
			AND ($5 = '' OR i.topic = $5) AND ($6 = '' OR $6 IN (i.sender_pubkey, i.sender_member_pubkey, i.sender_name))
			AND (NOT $7 OR i.seen_at IS NULL AND NOT EXISTS (
				SELECT 1 FROM offer o WHERE o.surface = $9 AND o.seq = i.seq AND o.surfaced_at IS NOT NULL))
			ORDER BY i.seq DESC LIMIT $8`, args...)
	})
	if err == nil {
		err = addSurfaced(ctx, b, q.Session, p.Rows)
	}
	if err != nil {
		return Page{}, sqlite.Coded(err)
	}
	if !q.KeepUnread {
		p.Marked, err = markListed(ctx, b, p.Rows)
	}
	return p, err
}

// markListed stamps the rows of a page that were unread.
func markListed(ctx context.Context, b *Inbox, rows []Row) (int, error) {
	var unread []int64
	for _, r := range rows {
		if r.SeenAt.IsZero() {
			unread = append(unread, r.Seq)
		}
	}
	if unread == nil {
		return 0, nil
	}
	seqs, err := list(unread)
	if err != nil {
		return 0, err
	}
	return b.stamp(ctx, "UPDATE inbox SET seen_at = $2 WHERE seq IN (SELECT value FROM json_each($1)) AND seen_at IS NULL",
		seqs, b.now().UnixMilli())
}

func (b *Inbox) stamp(ctx context.Context, query string, args ...any) (int, error) {
	var n int64
	err := b.db.Write(ctx, func(tx *sqlite.Tx) error {
		var err error
		n, err = tx.Exec(query, args...)
		return err
	})
	return int(n), sqlite.Coded(err)
}

// MarkSeen stamps rows that are unread and that reads lets through (nil: all), by their id, and returns how many were. At
// most 1,000 ids.
func (b *Inbox) MarkSeen(ctx context.Context, s Scope, ids []string, reads func(Row) bool) (int, error) {
	if len(ids) > maxLimit {
		return 0, mesh.Errorf(mesh.BadRequest, "at most %d ids at once", maxLimit)
	}
	wanted, err := list(ids)
	if err != nil {
		return 0, err
	}
	args, err := s.args(wanted)
	if err != nil {
		return 0, err
	}
	var unread []Row
	err = b.db.Read(ctx, func(tx *sqlite.Tx) error {
		return each(tx, func(r Row) bool {
			if reads == nil || reads(r.gated()) {
				unread = append(unread, r)
			}
			return true
		}, "SELECT "+columns+" FROM inbox i WHERE "+inScope+" AND i.id IN (SELECT value FROM json_each($3)) AND i.seen_at IS NULL", args...)
	})
	if err != nil {
		return 0, sqlite.Coded(err)
	}
	return markListed(ctx, b, unread)
}

// After returns rows with a higher seq, oldest first, for a subscriber that follows. 1 to 1000 rows.
func (b *Inbox) After(ctx context.Context, s Scope, seq int64, limit int) ([]Row, error) {
	if limit < 1 || limit > maxLimit {
		return nil, mesh.Errorf(mesh.BadRequest, "limit is 1 to %d", maxLimit)
	}
	args, err := s.args(seq, limit)
	if err != nil {
		return nil, err
	}
	var all []Row
	err = b.db.Read(ctx, func(tx *sqlite.Tx) error {
		return each(tx, func(r Row) bool { all = append(all, r); return true },
			"SELECT "+columns+" FROM inbox i WHERE "+inScope+" AND i.seq > $3 ORDER BY i.seq LIMIT $4", args...)
	})
	return all, sqlite.Coded(err)
}

// LastSeq is the seq of the newest row there ever was; 0 for none.
func (b *Inbox) LastSeq(ctx context.Context) (int64, error) {
	var seq int64
	err := b.db.Read(ctx, func(tx *sqlite.Tx) error {
		return ignoreNoRows(tx.QueryRow("SELECT seq FROM sqlite_sequence WHERE name = 'inbox'").Scan(&seq))
	})
	return seq, sqlite.Coded(err)
}

// Find returns a row by its id, client id or broker id, the newest of several; not_found when the scope does not see it.
func (b *Inbox) Find(ctx context.Context, s Scope, id string) (Row, error) {
	args, err := s.args(id)
	if err != nil {
		return Row{}, err
	}
	var found *Row
	err = b.db.Read(ctx, func(tx *sqlite.Tx) error {
		return each(tx, func(r Row) bool { found = &r; return false }, "SELECT "+columns+" FROM inbox i WHERE "+inScope+
			" AND (i.id = $3 OR i.client_message_id = $3 OR i.broker_message_id = $3) ORDER BY i.seq DESC LIMIT 1", args...)
	})
	switch {
	case err != nil:
		return Row{}, sqlite.Coded(err)
	case found == nil:
		return Row{}, mesh.Errorf(mesh.NotFound, "no message %q has come here", id)
	}
	return *found, nil
}

// RenameMesh gives the messages of a mesh the slug by which they are listed.
func (b *Inbox) RenameMesh(ctx context.Context, meshID mesh.ID, slug string) error {
	return sqlite.Coded(b.db.Write(ctx, func(tx *sqlite.Tx) error {
		if _, err := tx.Exec("UPDATE inbox SET mesh = $2 WHERE mesh_id = $1", meshID, slug); err != nil {
			return err
		}
		_, err := tx.Exec("UPDATE letter SET mesh = $2 WHERE mesh_id = $1", meshID, slug)
		return err
	}))
}
