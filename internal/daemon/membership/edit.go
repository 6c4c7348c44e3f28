package membership

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// How long another process may hold config.json.lock, and how often it is tried.
const (
	lockLimit = 5 * time.Second
	lockRetry = 20 * time.Millisecond
)

// Add writes m into config.json, in place of the entry of the same mesh id, else at the end. What else stands in
// the file is kept, unknown names of that entry and its slug included; the file is then private again.
func (b *Book) Add(m Mesh) error {
	if m.ID == "" || m.MemberID == "" || m.Secret.IsZero() {
		return mesh.Errorf(mesh.Internal, "add a mesh without id, member or key")
	}
	return b.edit(func(doc *document) error { return doc.put(m) })
}

// Remove takes the mesh of a slug out of config.json and returns it. Its key files stay.
func (b *Book) Remove(slug string) (Mesh, error) {
	m, err := b.Find(slug)
	if err != nil {
		return Mesh{}, err
	}
	return m, b.edit(func(doc *document) error {
		for i := doc.find(m.ID); i >= 0; i = doc.find(m.ID) {
			doc.entries = slices.Delete(doc.entries, i, i+1)
		}
		return nil
	})
}

// Rename gives the mesh of an id another slug and name in config.json. A slug that another entry has is not taken from
// it: a number goes behind it. It reports whether anything changed.
func (b *Book) Rename(id mesh.ID, slug, name string) (changed bool, err error) {
	data, err := b.read()
	if err != nil {
		return false, err
	}
	doc, err := b.parse(data)
	if err != nil {
		return false, err
	}
	if changed, err = doc.rename(id, slug, name); !changed || err != nil {
		return false, err
	}
	err = b.edit(func(doc *document) error {
		changed, err = doc.rename(id, slug, name)
		return err
	})
	return changed, err
}

// edit reads the file anew under the lock that both systems take, changes it, and replaces it.
func (b *Book) edit(change func(*document) error) error {
	b.editing.Lock()
	defer b.editing.Unlock()
	if err := paths.EnsureDir(b.config.Dir, paths.DirMode); err != nil {
		return err
	}
	lock := flock.New(b.config.Lock(), flock.SetPermissions(paths.FileMode))
	ctx, cancel := context.WithTimeout(context.Background(), lockLimit)
	defer cancel()
	if ok, err := lock.TryLockContext(ctx, lockRetry); !ok {
		return mesh.Errorf(mesh.IOError, "lock %s, which another process holds: %w", b.config.Lock(), err)
	}
	defer lock.Close() // a lock that is not given back ends with its process
	return b.rewrite(change)
}

func (b *Book) rewrite(change func(*document) error) error {
	data, err := b.read()
	if err != nil {
		return err
	}
	doc, err := b.parse(data)
	if err != nil {
		return err
	}
	if err := change(&doc); err != nil {
		return fmt.Errorf("change the joined meshes: %w", err)
	}
	if data, err = doc.encode(); err != nil {
		return mesh.Errorf(mesh.Internal, "encode the joined meshes: %w", err)
	}
	return paths.WriteSecret(b.config.File(), data)
}
