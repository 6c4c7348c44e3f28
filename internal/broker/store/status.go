package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
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

	box Box
}

const findMessage = `SELECT m.n, m.id, m.sender, m.target,
		m.sender = $3 OR EXISTS (SELECT 1 FROM delivery d WHERE d.message = m.n AND d.member = $3) AS known
	FROM message m
	WHERE m.id >= $1 AND m.id < $2 AND (known
		OR EXISTS (SELECT 1 FROM spread p WHERE p.message = m.n)
		OR EXISTS (SELECT 1 FROM settled p WHERE p.message = m.n))
	ORDER BY m.id`

// FindMessage reads the message whose id begins with prefix, among those that a member sent or was sent. It is
// not_found for everyone else, and ambiguous_target when the prefix fits several.
func FindMessage(tx *sqlite.Tx, prefix string, member int64) (Found, error) {
	found, err := findMessages(tx, prefix, member)
	switch {
	case err != nil:
		return Found{}, err
	case len(found) == 0:
		return Found{}, mesh.Errorf(mesh.NotFound, "no message of yours begins with %s", prefix)
	case len(found) > 1:
		return Found{}, mesh.Errorf(mesh.AmbiguousPrefix, "several messages begin with %s", prefix)
	}
	f := found[0]
	f.Copies, err = listCopies(tx, f.N)
	return f, err
}

// findMessages reads up to two of the messages that FindMessage chooses from.
func findMessages(tx *sqlite.Tx, prefix string, member int64) ([]Found, error) {
	rows, err := tx.Query(findMessage, prefix, prefixEnd(prefix), member)
	if err != nil {
		return nil, fmt.Errorf("find message: %w", err)
	}
	var found []Found
	for rows.Next() && len(found) < 2 {
		var f Found
		var known bool
		if err := rows.Scan(&f.N, &f.ID, &f.Sender, &f.Target, &known); err != nil {
			return nil, fmt.Errorf("find message: %w", err)
		}
		if !known {
			if known, err = isSpreadTo(tx, f.N, member); err != nil {
				return nil, err
			}
		}
		if known {
			found = append(found, f)
		}
	}
	return found, errors.Join(rows.Err(), rows.Close())
}

// isSpreadTo reports whether a member has a copy of a message that is, or was, spread.
func isSpreadTo(tx *sqlite.Tx, message, member int64) (bool, error) {
	all, err := spreadCopies(tx, message)
	return slices.ContainsFunc(all, func(c FoundCopy) bool { return c.box.Member == member }), err
}

const listCopiesOf = `SELECT r.id, coalesce(k.display_name, r.display_name), coalesce(k.pubkey, r.peer_pubkey), d.member, d.session, d.state, d.final_at
	FROM delivery d
	JOIN member r ON r.n = d.member
	LEFT JOIN session k ON k.n = d.session
	WHERE d.message = $1 AND d.state <> $2`

// listCopies reads the copies of a message, those with a row of their own and those without. What a session left to its
// member is the member's.
func listCopies(tx *sqlite.Tx, message int64) ([]FoundCopy, error) {
	rows, err := tx.Query(listCopiesOf, message, int64(Bequeathed))
	if err != nil {
		return nil, fmt.Errorf("list copies: %w", err)
	}
	var out []FoundCopy
	for rows.Next() {
		var c FoundCopy
		var final int64
		if err := rows.Scan(&c.Member, &c.Name, &c.Key, &c.box.Member, &c.box.Session, &c.Outcome, &final); err != nil {
			return nil, fmt.Errorf("list copies: %w", err)
		}
		c.Session, c.FinalAt = c.box.Session != 0, at(final)
		out = append(out, c)
	}
	if rows.Err() != nil {
		return nil, rows.Err()
	}
	spread, err := spreadCopies(tx, message)
	if err != nil {
		return nil, err
	}
	names := recipients{}
	for _, c := range spread {
		who, err := names.of(tx, c.box)
		if err != nil {
			return nil, err
		}
		who.Outcome, who.FinalAt = c.Outcome, c.FinalAt
		out = append(out, who)
	}
	slices.SortFunc(out, func(a, b FoundCopy) int {
		return cmp.Or(cmp.Compare(a.box.Member, b.box.Member), cmp.Compare(a.box.Session, b.box.Session))
	})
	return out, nil
}

// spreadCopies reads the copies of a message without a row of their own: their mailboxes and how they ended.
func spreadCopies(tx *sqlite.Tx, message int64) ([]FoundCopy, error) {
	parts, err := listSettled(tx, settledOf, message)
	if err != nil {
		return nil, err
	}
	var out []FoundCopy
	for i := range parts {
		for _, box := range parts[i].Boxes {
			out = append(out, FoundCopy{box: box, Outcome: parts[i].Outcome, FinalAt: parts[i].At})
		}
	}
	open, err := readSpreads(tx, spreadOf, message)
	if err != nil {
		return nil, err
	}
	for i := range open {
		for _, box := range open[i].Boxes {
			out = append(out, FoundCopy{box: box})
		}
	}
	return out, nil
}

// prefixEnd sorts after all ids that begin with prefix: ids have letters and digits only.
func prefixEnd(prefix string) string { return prefix + "~" }
