// Package membership knows which meshes this user has joined: the entries of config.json, which both systems share,
// and the key files beside it (design A5).
package membership

import (
	"context"
	"log/slog"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Mesh is one joined mesh.
type Mesh struct {
	ID, MemberID mesh.ID
	// Slug is unique among the listed meshes: where the file has one twice, the later entry is called slug-2
	// here, and keeps its slug in the file (daemon 6.1).
	Slug, Name    string
	Secret        seal.SecretKey // the member's
	BrokerURL     string         // ws:// or wss://, as the file has it
	JoinedAt      time.Time
	RootKey       seal.SymmetricKey // a compatibility value; zero for meshes joined without one (design C2)
	InviteVersion int               // 0 when unknown, else 1 or 2
}

// Pubkey is the member's key.
func (m Mesh) Pubkey() mesh.Key { return mesh.Key(m.Secret.Public().String()) }

// Book is the joined meshes and their keys. Its methods may be called from any goroutine; other processes may
// change config.json at the same time.
type Book struct {
	config paths.Config
	log    *slog.Logger
}

// Open makes the folder if it is missing and reads config.json. A missing file is a book without meshes.
// config_unreadable names the path; nothing is then written, now or later, until the file is mended.
func Open(home paths.Home, log *slog.Logger) (*Book, error) { panic("unwritten") }

// Path is where config.json lies.
func (b *Book) Path() string { return b.config.File() }

// List returns the meshes in the order of the file, read again when the file has changed. Entries that cannot
// be used (a key that does not parse, an id twice) are left out, with a line in the log.
func (b *Book) List() ([]Mesh, error) { panic("unwritten") }

// Find returns the mesh of a slug, in the sense of Mesh.Slug; mesh_not_attached with the slugs otherwise.
func (b *Book) Find(slug string) (Mesh, error) { panic("unwritten") }

// Add writes m into config.json, in place of an entry of the same mesh id, else at the end. What else stands in
// the file is kept to the byte, unknown names in that entry included.
func (b *Book) Add(m Mesh) error { panic("unwritten") }

// Remove takes the mesh of a slug out of config.json and returns it. Its key files stay.
func (b *Book) Remove(slug string) (Mesh, error) { panic("unwritten") }

// Watch calls changed after config.json was changed by anybody, until ctx ends: a moment after the last of a burst
// of changes, and by a slow poll where the system reports none. Changed runs on this goroutine.
func (b *Book) Watch(ctx context.Context, changed func()) error { panic("unwritten") }

// OwnerSecret returns the key that owns a mesh made on this device, and whether there is one.
func (b *Book) OwnerSecret(id mesh.ID) (seal.SecretKey, bool, error) { panic("unwritten") }

// SaveOwner writes the key that owns a mesh, before the mesh is made: it exists nowhere else.
// A file with another key is never replaced: already exists is slug_taken's sibling, io_error.
func (b *Book) SaveOwner(id mesh.ID, owner seal.SecretKey, now time.Time) error { panic("unwritten") }

// OwnerPath is the file of SaveOwner; empty for an id that is no file name.
func (b *Book) OwnerPath(id mesh.ID) string { panic("unwritten") }

// SessionSecret returns the key of a host session in a mesh, from its file, else from the file that a TypeScript
// CLI left for the same session, else a new one that it writes (design C5). Any text may be a session id. When the
// file cannot be written or trusted, the error says why; a caller may go on with a key that is kept nowhere.
func (b *Book) SessionSecret(id mesh.ID, slug, sessionID string, now time.Time) (seal.SecretKey, error) {
	panic("unwritten")
}

// PruneSessions removes the key files of sessions that were not asked for in 30 days, and says how many.
func (b *Book) PruneSessions(now time.Time) (int, error) { panic("unwritten") }
