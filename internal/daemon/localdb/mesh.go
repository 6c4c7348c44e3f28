package localdb

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Mesh is what config.json has no place for.
type Mesh struct {
	ID        mesh.ID
	Slug      string
	Name      string
	Owner     mesh.Key // the owner's public key, checked against the invite; empty for meshes joined elsewhere
	Role      string   // admin or member; empty when unknown
	IsOwner   bool     // the owner's key is on this device
	BrokerPin string   // SPKI pin of a self-signed broker, as in an invite link; empty for public certificates
	Unpinned  bool     // the invite had no owner fingerprint, so Owner is the broker's word
}

const meshColumns = "mesh_id, slug, name, owner_key, role, is_owner, broker_pin, unpinned"

// SaveMesh writes m, replacing what was known of its id.
func (d *DB) SaveMesh(ctx context.Context, m Mesh) error {
	return d.write(ctx, "save what is known of a mesh", func(tx *sqlite.Tx) error {
		_, err := tx.Exec("INSERT OR REPLACE INTO mesh ("+meshColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
			m.ID, m.Slug, m.Name, m.Owner, m.Role, m.IsOwner, m.BrokerPin, m.Unpinned)
		return err
	})
}

// FindMesh returns what is known of a mesh, and whether anything is.
func (d *DB) FindMesh(ctx context.Context, id mesh.ID) (m Mesh, found bool, err error) {
	err = d.read(ctx, "find what is known of a mesh", func(tx *sqlite.Tx) error {
		found, err = find(tx.QueryRow("SELECT "+meshColumns+" FROM mesh WHERE mesh_id = $1", id), m.fields()...)
		return err
	})
	return m, found, err
}

// ListMeshes returns every known mesh, by id.
func (d *DB) ListMeshes(ctx context.Context) (list []Mesh, err error) {
	err = d.read(ctx, "list the known meshes", func(tx *sqlite.Tx) error {
		rows, err := tx.Query("SELECT " + meshColumns + " FROM mesh ORDER BY mesh_id")
		if err != nil {
			return err
		}
		return each(rows, func(rows *sqlite.Rows) error {
			var m Mesh
			err := rows.Scan(m.fields()...)
			list = append(list, m)
			return err
		})
	})
	return list, err
}

func (m *Mesh) fields() []any {
	return []any{&m.ID, &m.Slug, &m.Name, &m.Owner, &m.Role, &m.IsOwner, &m.BrokerPin, &m.Unpinned}
}

// RemoveMesh forgets a mesh with its peers, their pins, what they may do, the groups and wishes there, and the skills that were
// accepted. What a human has paused or muted there stays so, should it be joined again.
func (d *DB) RemoveMesh(ctx context.Context, id mesh.ID) error {
	return d.write(ctx, "forget a mesh", func(tx *sqlite.Tx) error {
		for _, table := range []string{"mesh", "peer", "peer_grant", "grants_taken", "session_groups", "plaintext", "wish", "pin", "pin_session", "handshake", "skill"} {
			if _, err := tx.Exec("DELETE FROM "+table+" WHERE mesh_id = $1", id); err != nil {
				return err
			}
		}
		return nil
	})
}
