package store

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Mesh is a row of mesh.
type Mesh struct {
	ID         mesh.ID
	Slug, Name string
	OwnerKey   mesh.Key
	RootKey    string // base64url, 32 bytes
	CreatedAt  time.Time
	ArchivedAt time.Time // zero while it lives
}

const meshColumns = `id, slug, name, owner_pubkey, root_key, created_at, archived_at`

// AddMesh inserts m. A slug that another living mesh has is slug_taken.
func AddMesh(tx *sqlite.Tx, m Mesh) error {
	n, err := tx.Exec(`INSERT INTO mesh (`+meshColumns+`) VALUES ($1, $2, $3, $4, $5, $6, 0)
		ON CONFLICT (slug) WHERE archived_at = 0 DO NOTHING`,
		m.ID, m.Slug, m.Name, m.OwnerKey, m.RootKey, ms(m.CreatedAt))
	if err != nil {
		return fmt.Errorf("add mesh: %w", err)
	}
	if n == 0 {
		return mesh.Errorf(mesh.SlugTaken, "this broker has a mesh named %s", m.Slug)
	}
	return nil
}

// FindMesh reads a living mesh by its id, or not_found.
func FindMesh(tx *sqlite.Tx, id mesh.ID) (Mesh, error) {
	return scanMesh(tx.QueryRow(`SELECT `+meshColumns+` FROM mesh WHERE id = $1 AND archived_at = 0`, id))
}

// FindMeshBySlug reads a living mesh by its slug, or not_found.
func FindMeshBySlug(tx *sqlite.Tx, slug string) (Mesh, error) {
	return scanMesh(tx.QueryRow(`SELECT `+meshColumns+` FROM mesh WHERE slug = $1 AND archived_at = 0`, slug))
}

// WasMesh reports whether a mesh of this id was archived.
func WasMesh(tx *sqlite.Tx, id mesh.ID) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM mesh WHERE id = $1 AND archived_at <> 0`, id).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("read mesh: %w", err)
	}
	return n > 0, nil
}

// RenameMesh gives a living mesh the slug and name of m. A slug that another living mesh has is slug_taken.
func RenameMesh(tx *sqlite.Tx, m Mesh) error {
	n, err := tx.Exec(`UPDATE mesh SET slug = $2, name = $3 WHERE id = $1 AND archived_at = 0`, m.ID, m.Slug, m.Name)
	if errors.Is(err, sqlite.ErrUnique) {
		return mesh.Errorf(mesh.SlugTaken, "this broker has a mesh named %s", m.Slug)
	}
	if err != nil {
		return fmt.Errorf("rename mesh: %w", err)
	}
	if n == 0 {
		return errNoMesh()
	}
	return nil
}

// ArchiveMesh ends a mesh. Its members are refused at their next hello.
func ArchiveMesh(tx *sqlite.Tx, id mesh.ID, when time.Time) error {
	n, err := tx.Exec(`UPDATE mesh SET archived_at = $2 WHERE id = $1 AND archived_at = 0`, id, ms(when))
	if err != nil {
		return fmt.Errorf("archive mesh: %w", err)
	}
	if n == 0 {
		return errNoMesh()
	}
	return nil
}

func scanMesh(row sqlite.Row) (Mesh, error) {
	var m Mesh
	var created, archived int64
	err := row.Scan(&m.ID, &m.Slug, &m.Name, &m.OwnerKey, &m.RootKey, &created, &archived)
	if errors.Is(err, sql.ErrNoRows) {
		return m, errNoMesh()
	}
	if err != nil {
		return m, fmt.Errorf("read mesh: %w", err)
	}
	m.CreatedAt, m.ArchivedAt = at(created), at(archived)
	return m, nil
}

func errNoMesh() error { return mesh.Errorf(mesh.NotFound, "this broker has no such mesh") }
