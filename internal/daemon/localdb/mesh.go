package localdb

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/mesh"
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

// SaveMesh writes m, replacing what was known of its id.
func (d *DB) SaveMesh(ctx context.Context, m Mesh) error { panic("unwritten") }

// FindMesh returns what is known of a mesh, and whether anything is.
func (d *DB) FindMesh(ctx context.Context, id mesh.ID) (Mesh, bool, error) { panic("unwritten") }

// ListMeshes returns every known mesh, by id.
func (d *DB) ListMeshes(ctx context.Context) ([]Mesh, error) { panic("unwritten") }

// RemoveMesh forgets a mesh with its peers.
func (d *DB) RemoveMesh(ctx context.Context, id mesh.ID) error { panic("unwritten") }
