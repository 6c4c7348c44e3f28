package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Session is a row of session: a session key that the broker has seen.
type Session struct {
	N         int64 // number within this database; ClaimSession sets it
	Mesh      mesh.ID
	Key       mesh.Key
	Member    int64 // Member.N
	Proved    bool  // its holder signed with it: session_hello, or auth/2
	Name      string
	FirstSeen time.Time
	LastSeen  time.Time
	Vouch     string // protocol.Vouch of its member, JSON; empty where it came without
}

const sessionColumns = `n, mesh_id, pubkey, member, proved, display_name, first_seen, last_seen, vouch`

// ClaimSession notes that a member announced a session key at s.LastSeen and returns the row. A key that
// another member announced is bad_session_pubkey, unless this member proves it and the other one did not
// (design C4). The mailbox then stays with the key; the other member has lost it.
func ClaimSession(tx *sqlite.Tx, s Session) (Session, error) {
	found, err := FindSession(tx, s.Mesh, s.Key)
	if mesh.IsCode(err, mesh.NotFound) {
		return addSession(tx, s)
	}
	if err != nil {
		return s, err
	}
	if found.Member != s.Member && (found.Proved || !s.Proved) {
		return s, mesh.Errorf(mesh.BadSessionKey, "this session key is another member's")
	}
	s.N, s.FirstSeen, s.Proved = found.N, found.FirstSeen, found.Proved || s.Proved
	if s.Vouch == "" && found.Member == s.Member {
		s.Vouch = found.Vouch
	}
	_, err = tx.Exec(`UPDATE session SET member = $2, proved = $3, display_name = $4, last_seen = $5, vouch = $6 WHERE n = $1`,
		s.N, s.Member, s.Proved, s.Name, ms(s.LastSeen), s.Vouch)
	if err != nil {
		return s, fmt.Errorf("note session: %w", err)
	}
	return s, nil
}

func addSession(tx *sqlite.Tx, s Session) (Session, error) {
	s.FirstSeen = s.LastSeen
	err := tx.QueryRow(`INSERT INTO session (mesh_id, pubkey, member, proved, display_name, first_seen, last_seen, vouch)
		VALUES ($1, $2, $3, $4, $5, $6, $6, $7) RETURNING n`,
		s.Mesh, s.Key, s.Member, s.Proved, s.Name, ms(s.LastSeen), s.Vouch).Scan(&s.N)
	if err != nil {
		return s, fmt.Errorf("add session: %w", err)
	}
	return s, nil
}

// FindSession reads a session by its key, or not_found.
func FindSession(tx *sqlite.Tx, meshID mesh.ID, key mesh.Key) (Session, error) {
	s, err := readSession(tx.QueryRow(`SELECT `+sessionColumns+` FROM session WHERE mesh_id = $1 AND pubkey = $2`, meshID, key))
	if errors.Is(err, sql.ErrNoRows) {
		return s, mesh.Errorf(mesh.NotFound, "this mesh has no such session")
	}
	return s, err
}

// ListSessions reads the sessions of a mesh that were seen since a time, oldest first, without those of
// members whose membership has ended.
func ListSessions(tx *sqlite.Tx, meshID mesh.ID, since time.Time) ([]Session, error) {
	return querySessions(tx, `SELECT s.n, s.mesh_id, s.pubkey, s.member, s.proved, s.display_name, s.first_seen, s.last_seen, s.vouch
		FROM session s JOIN member m ON m.n = s.member
		WHERE s.mesh_id = $1 AND s.last_seen >= $2 AND m.revoked_at = 0 ORDER BY s.n`, meshID, ms(since))
}

// ListLatestSessions is ListSessions with the last one of each name that a member used, and at most so many of a member:
// whoever opens a session for every errand leaves hundreds of them.
func ListLatestSessions(tx *sqlite.Tx, meshID mesh.ID, since time.Time, most int) ([]Session, error) {
	return querySessions(tx, `SELECT n, mesh_id, pubkey, member, proved, display_name, first_seen, last_seen, vouch FROM
		(SELECT *, row_number() OVER (PARTITION BY member ORDER BY last_seen DESC, n DESC) AS place FROM
			(SELECT s.*, row_number() OVER (PARTITION BY s.member, lower(s.display_name) ORDER BY s.last_seen DESC, s.n DESC) AS turn
			FROM session s JOIN member m ON m.n = s.member WHERE s.mesh_id = $1 AND s.last_seen >= $2 AND m.revoked_at = 0)
		WHERE turn = 1)
		WHERE place <= $3 ORDER BY n`, meshID, ms(since), most)
}

func querySessions(tx *sqlite.Tx, query string, args ...any) ([]Session, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	var out []Session
	for rows.Next() {
		s, err := readSession(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// SeeSession notes that a session was connected until a time.
func SeeSession(tx *sqlite.Tx, n int64, when time.Time) error {
	if _, err := tx.Exec(`UPDATE session SET last_seen = $2 WHERE n = $1 AND last_seen < $2`, n, ms(when)); err != nil {
		return fmt.Errorf("note session: %w", err)
	}
	return nil
}

func readSession(row scanner) (Session, error) {
	var s Session
	var first, last int64
	if err := row.Scan(&s.N, &s.Mesh, &s.Key, &s.Member, &s.Proved, &s.Name, &first, &last, &s.Vouch); err != nil {
		return s, fmt.Errorf("read session: %w", err)
	}
	s.FirstSeen, s.LastSeen = at(first), at(last)
	return s, nil
}
