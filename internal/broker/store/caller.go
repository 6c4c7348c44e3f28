package store

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Caller is what is known of whoever says hello.
type Caller struct {
	Mesh    Mesh    // without RootKey and times
	Member  Member  // without times
	Session Session // N, Member, Proved, Name and Vouch only; zero for a key that is new
	Masked  bool    // the session key is that of a member, who may be another one
}

const findCaller = `SELECT h.id, h.slug, h.name, h.owner_pubkey, m.n, m.id, m.mesh_id, m.peer_pubkey, m.display_name, m.role,
		coalesce(s.n, 0), coalesce(s.member, 0), coalesce(s.proved, 0), coalesce(s.display_name, ''), coalesce(s.vouch, ''),
		EXISTS (SELECT 1 FROM member o WHERE o.mesh_id = $1 AND o.peer_pubkey = $3 AND o.revoked_at = 0)
	FROM mesh h JOIN member m ON m.mesh_id = h.id AND m.peer_pubkey = $2 AND m.revoked_at = 0
	LEFT JOIN session s ON s.mesh_id = h.id AND s.pubkey = $3
	WHERE h.id = $1 AND h.archived_at = 0`

// FindCaller reads the active member of a living mesh that has a key, and the session of another key, which may be empty.
// It is not_found where there is no such mesh or member.
func FindCaller(tx *sqlite.Tx, meshID mesh.ID, member, session mesh.Key) (Caller, error) {
	var c Caller
	err := tx.QueryRow(findCaller, meshID, member, session).Scan(&c.Mesh.ID, &c.Mesh.Slug, &c.Mesh.Name, &c.Mesh.OwnerKey,
		&c.Member.N, &c.Member.ID, &c.Member.Mesh, &c.Member.Key, &c.Member.Name, &c.Member.Role,
		&c.Session.N, &c.Session.Member, &c.Session.Proved, &c.Session.Name, &c.Session.Vouch, &c.Masked)
	if errors.Is(err, sql.ErrNoRows) {
		return c, mesh.Errorf(mesh.NotFound, "this broker has no such member")
	}
	if err != nil {
		return c, fmt.Errorf("read caller: %w", err)
	}
	return c, nil
}
