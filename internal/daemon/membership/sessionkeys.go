package membership

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// sessionIdle is how long the key of a session is kept after its last use, and sessionGrace that of one whose host gave it no
// id: the id is of ours, and nothing comes back under it (design C5).
const (
	sessionIdle  = 30 * 24 * time.Hour
	sessionGrace = 24 * time.Hour
)

// SessionSecret returns the key of a host session in a mesh, from its file, else from the file that a TypeScript
// CLI left for the same session, else a new one that it writes (design C5). Any text may be a session id. Each call
// counts as use of the key. When a file cannot be read or written the error says why; a caller may go on with a key
// that is kept nowhere. A key is one member's: who has left the mesh and joined it again gets another (design C4).
func (b *Book) SessionSecret(m Mesh, sessionID string, now time.Time) (seal.SecretKey, error) {
	path, err := b.config.SessionKey(m.ID, fileName(sessionID))
	if err != nil {
		return seal.SecretKey{}, err
	}
	b.editing.Lock()
	defer b.editing.Unlock()
	f, key, err := b.keptSession(path, sessionID)
	kept := err == nil && f.Member == string(m.Pubkey())
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoKey):
		if _, key, err = b.foreignSession(m.Slug, sessionID); err != nil {
			key = seal.NewSecretKey()
		}
	case err != nil:
		return seal.SecretKey{}, fmt.Errorf("read the session key: %w", err)
	case !kept && f.Member != "":
		key = seal.NewSecretKey()
	}
	if !kept {
		if err := writeKey(path, fileOf(m, sessionID), key, now); err != nil {
			return seal.SecretKey{}, err
		}
	}
	if err := os.Chtimes(path, now, now); err != nil {
		return seal.SecretKey{}, mesh.Errorf(mesh.IOError, "mark the session key as used: %w", err)
	}
	return key, nil
}

// fileOf is the key file of a session in a mesh, without the key.
func fileOf(m Mesh, sessionID string) keyFile {
	return keyFile{MeshID: string(m.ID), MeshSlug: m.Slug, SessionID: sessionID, Member: string(m.Pubkey())}
}

// FindSession finds the host sessions of a key in a mesh, and the secret; not_found when no file here has the key. They are
// several where a conversation was cleared: the peer went on under another id.
func (b *Book) FindSession(id mesh.ID, key mesh.Key) (sessionIDs []string, secret seal.SecretKey, err error) {
	err = eachSession(b, id, func(f keyFile, found seal.SecretKey) {
		if f.PublicKey == string(key) {
			sessionIDs, secret = append(sessionIDs, f.SessionID), found
		}
	})
	if err == nil && secret.IsZero() {
		err = mesh.Errorf(mesh.NotFound, "the session key %s is not kept here", key.Short())
	}
	return sessionIDs, secret, err
}

// CopySession gives a host session the key of another one, which goes on under its id. A key that it has already stays.
func CopySession(b *Book, m Mesh, from, to string, now time.Time) error {
	key, err := b.SessionSecret(m, from, now)
	if err != nil {
		return err
	}
	path, err := b.config.SessionKey(m.ID, fileName(to))
	if err != nil {
		return err
	}
	b.editing.Lock()
	defer b.editing.Unlock()
	if f, _, err := b.keptSession(path, to); err == nil && (f.Member == "" || f.Member == string(m.Pubkey())) {
		return nil
	}
	return writeKey(path, fileOf(m, to), key, now)
}

// SessionSecrets lists the keys that are kept for sessions of a mesh, in no order.
func SessionSecrets(b *Book, id mesh.ID) ([]seal.SecretKey, error) {
	var all []seal.SecretKey
	err := eachSession(b, id, func(_ keyFile, key seal.SecretKey) { all = append(all, key) })
	return all, err
}

// eachSession calls fn for every key that is kept for a session of a mesh. What cannot be read is none.
func eachSession(b *Book, id mesh.ID, fn func(keyFile, seal.SecretKey)) error {
	dir, err := b.config.SessionKeys(id)
	if err != nil {
		return err
	}
	b.editing.Lock()
	defer b.editing.Unlock()
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return mesh.Errorf(mesh.IOError, "look for session keys: %w", err)
	}
	for _, file := range files {
		if f, key, err := b.readKey(filepath.Join(dir, file.Name())); err == nil {
			fn(f, key)
		}
	}
	return nil
}

// keptSession reads the key of a session. A file that is damaged, or of another session, is errNoKey: what it held
// is lost, and the session needs a key.
func (b *Book) keptSession(path, sessionID string) (keyFile, seal.SecretKey, error) {
	f, key, err := b.readKey(path)
	if err == nil && f.SessionID != sessionID {
		err = errNoKey
	}
	if errors.Is(err, errNoKey) {
		b.log.Warn("session key is not usable", slog.String(logkey.Path, path), slog.Any(logkey.Err, err))
	}
	return f, key, err
}

// foreignSession reads the key that a TypeScript CLI keeps for the session, by slug and not by mesh id.
func (b *Book) foreignSession(slug, sessionID string) (keyFile, seal.SecretKey, error) {
	if _, err := mesh.ParseSlug(slug); err != nil || fileName(sessionID) != sessionID {
		return keyFile{}, seal.SecretKey{}, fs.ErrNotExist
	}
	f, key, err := b.keptSession(filepath.Join(b.config.Dir, "sessions", slug, sessionID+".json"), sessionID)
	if err == nil {
		b.log.Info("session key was taken over", slog.String(logkey.Mesh, slug), slog.String(logkey.Session, sessionID))
	}
	return f, key, err
}

// fileName is the name of a session's key file. Ids that are no plain name everywhere (too short, so that it may
// be a device of Windows; upper case, which some file systems fold) are hashed; a hash is longer than a plain name.
func fileName(sessionID string) string {
	const plain = "0123456789abcdefghijklmnopqrstuvwxyz-_"
	if len(sessionID) >= 8 && len(sessionID) < 64 && strings.Trim(sessionID, plain) == "" {
		return sessionID
	}
	sum := sha256.Sum256([]byte(sessionID))
	return hex.EncodeToString(sum[:])
}

// PruneSessions removes the key files of sessions that are not registered and were not asked for in 30 days, or in a day where
// their host gave them no id, and says how many.
func (b *Book) PruneSessions(now time.Time, registered func(sessionID string) bool) (int, error) {
	b.editing.Lock()
	defer b.editing.Unlock()
	dirs, err := os.ReadDir(b.config.Keys())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	count := 0
	idle := func(path string, since time.Duration) bool {
		return since >= sessionGrace && idle(b, path, since, registered)
	}
	for _, dir := range dirs {
		if dir.IsDir() && err == nil {
			var n int
			n, err = pruneDir(filepath.Join(b.config.Keys(), dir.Name()), now, idle)
			count += n
		}
	}
	if err != nil {
		return count, mesh.Errorf(mesh.IOError, "prune session keys: %w", err)
	}
	return count, nil
}

// idle reports whether a key that was not asked for since a while is of no use any more.
func idle(b *Book, path string, since time.Duration, registered func(sessionID string) bool) bool {
	f, _, err := b.readKey(path)
	switch {
	case err != nil:
		return since >= sessionIdle
	case registered(f.SessionID):
		return false
	case len(f.SessionID) == len(mesh.NewToken()) && strings.Trim(f.SessionID, "0123456789abcdef") == "":
		return true
	}
	return since >= sessionIdle
}

// pruneDir prunes the keys of one mesh, and the folder when it is empty.
func pruneDir(dir string, now time.Time, idle func(path string, since time.Duration) bool) (int, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	count := 0
	for _, file := range files {
		info, err := file.Info()
		path := filepath.Join(dir, file.Name())
		if err != nil || !info.Mode().IsRegular() || !idle(path, now.Sub(info.ModTime())) {
			continue // gone meanwhile, not ours, or in use
		}
		if err := os.Remove(path); err != nil {
			return count, err
		}
		count++
	}
	if count == len(files) {
		_ = os.Remove(dir) // fails when a key was just added
	}
	return count, nil
}
