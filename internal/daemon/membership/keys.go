package membership

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// keyFile is a key on disk, in the format of the TypeScript session keys (daemon 18.2).
type keyFile struct {
	Version   int    `json:"version"`
	MeshID    string `json:"meshId,omitzero"`
	MeshSlug  string `json:"meshSlug,omitzero"`
	SessionID string `json:"sessionId,omitzero"`
	Member    string `json:"memberPublicKey,omitzero"` // whose session; older versions did not say
	PublicKey string `json:"publicKey"`
	SecretKey string `json:"secretKey"`
	CreatedAt string `json:"createdAt"`
}

// readKey reads a key file. A missing one is fs.ErrNotExist; one that can be read and is no key file is errNoKey.
func (b *Book) readKey(path string) (keyFile, seal.SecretKey, error) {
	data, warning, err := paths.ReadSecret(path)
	if err != nil {
		return keyFile{}, seal.SecretKey{}, err
	}
	b.warn(warning)
	var f keyFile
	if err := wire.Decode(data, &f); err != nil {
		return keyFile{}, seal.SecretKey{}, fmt.Errorf("%w: %w", errNoKey, err)
	}
	key, err := seal.ParseSecretKey(f.SecretKey)
	if err != nil || f.Version != fileVersion || key.Public().String() != f.PublicKey {
		return keyFile{}, seal.SecretKey{}, errNoKey
	}
	return f, key, nil
}

var errNoKey = errors.New("not a key file of version 1")

func writeKey(path string, f keyFile, key seal.SecretKey, now time.Time) error {
	f.Version, f.PublicKey, f.SecretKey = fileVersion, key.Public().String(), key.Reveal()
	f.CreatedAt = mesh.FormatTime(now)
	data, err := wire.EncodeIndent(f)
	if err != nil {
		return err
	}
	if err := paths.EnsureDir(filepath.Dir(path), paths.DirMode); err != nil {
		return err
	}
	return paths.WriteSecret(path, append(data, '\n'))
}

// NewOwner makes the key of a mesh that is about to be made, and keeps it in a file of its own until SaveOwner: a
// crash between the broker's answer and SaveOwner must not leave a mesh that nobody owns.
func (b *Book) NewOwner(now time.Time) (seal.SecretKey, error) {
	key := seal.NewSecretKey()
	path, err := b.config.OwnerKey(provisional(key))
	if err != nil {
		return seal.SecretKey{}, err
	}
	return key, writeKey(path, keyFile{}, key, now)
}

// provisional names the owner of a mesh that has no id yet.
func provisional(owner seal.SecretKey) mesh.ID {
	return mesh.ID("new-" + owner.Public().String()[:16])
}

// SaveOwner writes the key that owns a mesh, and drops the file of NewOwner. A file that holds another key is
// never replaced: io_error.
func (b *Book) SaveOwner(id mesh.ID, owner seal.SecretKey, now time.Time) error {
	b.editing.Lock()
	defer b.editing.Unlock()
	kept, found, err := b.OwnerSecret(id)
	switch {
	case err != nil:
		return err
	case found && kept.Public() != owner.Public():
		return mesh.Errorf(mesh.IOError, "another owner key is kept in %s", b.OwnerPath(id))
	case !found:
		if err := writeKey(b.OwnerPath(id), keyFile{MeshID: string(id)}, owner, now); err != nil {
			return err
		}
	}
	return b.DropOwner(owner)
}

// DropOwner removes the file of NewOwner after the broker has refused the mesh.
func (b *Book) DropOwner(owner seal.SecretKey) error {
	if err := os.Remove(b.OwnerPath(provisional(owner))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return mesh.Errorf(mesh.IOError, "drop the provisional owner key: %w", err)
	}
	return nil
}

// OwnerSecret returns the key that owns a mesh made on this device, and whether there is one.
func (b *Book) OwnerSecret(id mesh.ID) (seal.SecretKey, bool, error) {
	path, err := b.config.OwnerKey(id)
	if err != nil {
		return seal.SecretKey{}, false, err
	}
	f, key, err := b.readKey(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return seal.SecretKey{}, false, nil
	case err != nil:
		return seal.SecretKey{}, false, mesh.Errorf(mesh.ConfigUnreadable, "owner key %s: %w", path, err)
	case f.MeshID != string(id):
		return seal.SecretKey{}, false, mesh.Errorf(mesh.ConfigUnreadable, "owner key %s is that of another mesh", path)
	}
	return key, true, nil
}

// OwnerPath is the file of SaveOwner; empty for an id that is no file name.
func (b *Book) OwnerPath(id mesh.ID) string {
	path, err := b.config.OwnerKey(id)
	if err != nil {
		return ""
	}
	return path
}
