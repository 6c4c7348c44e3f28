package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Invite is a row of invite.
type Invite struct {
	ID        mesh.ID
	Mesh      mesh.ID
	Version   int    // 2, or 1 for a link of the TypeScript system
	CodeHash  string // SHA-256 of the code, 64 hex
	Role      string // RoleAdmin or RoleMember
	MaxUses   int
	Used      int
	ExpiresAt time.Time
	Signature string  // the owner's, 128 hex
	CreatedBy mesh.ID // member
	CreatedAt time.Time
	RevokedAt time.Time // zero while it is open
}

// Open reports whether the invite can be used at a time.
func (i Invite) Open(now time.Time) bool {
	return i.RevokedAt.IsZero() && i.Used < i.MaxUses && now.Before(i.ExpiresAt)
}

const inviteColumns = `id, mesh_id, version, code_hash, role, max_uses, used_count, expires_at, signature, created_by, created_at, revoked_at`

// AddInvite inserts i. An id or a code that exists is idempotency_key_reused.
func AddInvite(tx *sqlite.Tx, i Invite) error {
	_, err := tx.Exec(`INSERT INTO invite (`+inviteColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0)`,
		i.ID, i.Mesh, i.Version, i.CodeHash, i.Role, i.MaxUses, i.Used, ms(i.ExpiresAt), i.Signature, i.CreatedBy, ms(i.CreatedAt))
	if errors.Is(err, sqlite.ErrUnique) {
		return mesh.Errorf(mesh.Reused, "this invite exists")
	}
	if err != nil {
		return fmt.Errorf("add invite: %w", err)
	}
	return nil
}

// FindInvite reads the invite of a code hash, used-up and ended ones too, or not_found.
func FindInvite(tx *sqlite.Tx, codeHash string) (Invite, error) {
	i, err := readInvite(tx.QueryRow(`SELECT `+inviteColumns+` FROM invite WHERE code_hash = $1`, codeHash))
	if errors.Is(err, sql.ErrNoRows) {
		return i, errNoInvite()
	}
	return i, err
}

// UseInvite takes one use of an open invite. It reports false when none is left, also when several ask at once.
func UseInvite(tx *sqlite.Tx, id mesh.ID, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE invite SET used_count = used_count + 1
		WHERE id = $1 AND used_count < max_uses AND revoked_at = 0 AND expires_at > $2`, id, ms(now))
	if err != nil {
		return false, fmt.Errorf("use invite: %w", err)
	}
	return n > 0, nil
}

// ListInvites reads the invites of a mesh, newest first.
func ListInvites(tx *sqlite.Tx, meshID mesh.ID) ([]Invite, error) {
	rows, err := tx.Query(`SELECT `+inviteColumns+` FROM invite WHERE mesh_id = $1 ORDER BY created_at DESC, id`, meshID)
	if err != nil {
		return nil, fmt.Errorf("list invites: %w", err)
	}
	var out []Invite
	for rows.Next() {
		i, err := readInvite(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, rows.Err()
}

// RevokeInvite ends an invite of a mesh, or not_found. Ending it again changes nothing.
func RevokeInvite(tx *sqlite.Tx, meshID, id mesh.ID, when time.Time) error {
	n, err := tx.Exec(`UPDATE invite SET revoked_at = CASE revoked_at WHEN 0 THEN $3 ELSE revoked_at END
		WHERE id = $1 AND mesh_id = $2`, id, meshID, ms(when))
	if err != nil {
		return fmt.Errorf("revoke invite: %w", err)
	}
	if n == 0 {
		return errNoInvite()
	}
	return nil
}

func readInvite(row scanner) (Invite, error) {
	var i Invite
	var expires, created, revoked int64
	err := row.Scan(&i.ID, &i.Mesh, &i.Version, &i.CodeHash, &i.Role, &i.MaxUses, &i.Used, &expires, &i.Signature, &i.CreatedBy, &created, &revoked)
	if err != nil {
		return i, fmt.Errorf("read invite: %w", err)
	}
	i.ExpiresAt, i.CreatedAt, i.RevokedAt = at(expires), at(created), at(revoked)
	return i, nil
}

func errNoInvite() error { return mesh.Errorf(mesh.NotFound, "this mesh has no such invite") }
