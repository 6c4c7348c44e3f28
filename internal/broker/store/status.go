package store

import (
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Found is a message as its sender or a recipient asks for it.
type Found struct {
	N      int64
	ID     mesh.ID
	Sender int64 // Member.N
	Target string
	Copies []FoundCopy
}

// FoundCopy is one of its copies.
type FoundCopy struct {
	Member  mesh.ID
	Name    string
	Key     mesh.Key // session key for a session's mailbox, else member key
	Session bool     // the mailbox is a session's
	Outcome Outcome
	FinalAt time.Time
}

const findMessage = `SELECT m.n, m.id, m.sender, m.target FROM message m
	WHERE m.id >= $1 AND m.id < $2 AND (m.sender = $3
		OR EXISTS (SELECT 1 FROM delivery d WHERE d.message = m.n AND d.member = $3))
	ORDER BY m.id LIMIT 2`

// FindMessage reads the message whose id begins with prefix, among those that a member sent or was sent. It is
// not_found for everyone else, and ambiguous_target when the prefix fits several.
func FindMessage(tx *sqlite.Tx, prefix string, member int64) (Found, error) {
	rows, err := tx.Query(findMessage, prefix, prefixEnd(prefix), member)
	if err != nil {
		return Found{}, fmt.Errorf("find message: %w", err)
	}
	var found []Found
	for rows.Next() {
		var f Found
		if err := rows.Scan(&f.N, &f.ID, &f.Sender, &f.Target); err != nil {
			return Found{}, fmt.Errorf("find message: %w", err)
		}
		found = append(found, f)
	}
	switch {
	case rows.Err() != nil:
		return Found{}, rows.Err()
	case len(found) == 0:
		return Found{}, mesh.Errorf(mesh.NotFound, "no message of yours begins with %s", prefix)
	case len(found) > 1:
		return Found{}, mesh.Errorf(mesh.AmbiguousPrefix, "several messages begin with %s", prefix)
	}
	f := found[0]
	f.Copies, err = listCopies(tx, f.N)
	return f, err
}

const listCopiesOf = `SELECT r.id, coalesce(k.display_name, r.display_name), coalesce(k.pubkey, r.peer_pubkey), d.session <> 0, d.state, d.final_at
	FROM delivery d
	JOIN member r ON r.n = d.member
	LEFT JOIN session k ON k.n = d.session
	WHERE d.message = $1 ORDER BY d.member, d.session`

func listCopies(tx *sqlite.Tx, message int64) ([]FoundCopy, error) {
	rows, err := tx.Query(listCopiesOf, message)
	if err != nil {
		return nil, fmt.Errorf("list copies: %w", err)
	}
	var out []FoundCopy
	for rows.Next() {
		var c FoundCopy
		var final int64
		if err := rows.Scan(&c.Member, &c.Name, &c.Key, &c.Session, &c.Outcome, &final); err != nil {
			return nil, fmt.Errorf("list copies: %w", err)
		}
		c.FinalAt = at(final)
		out = append(out, c)
	}
	return out, rows.Err()
}

// prefixEnd sorts after all ids that begin with prefix: ids have letters and digits only.
func prefixEnd(prefix string) string { return prefix + "~" }
