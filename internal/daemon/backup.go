package daemon

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/claudemesh/claudemesh/internal/daemon/archive"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/upkeep"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// backup puts what a daemon keeps into one file: joined meshes, settings, keys, and each database as it is at one moment.
// Plain copies never leave the daemon's folder.
func (c custodian) backup(ctx context.Context, at upkeep.Site, to upkeep.Order) (upkeep.Backup, error) {
	if there(to.File) {
		return upkeep.Backup{}, mesh.Errorf(mesh.FileExists, "%s is there already", to.File)
	}
	if !there(at.Home.Config.File()) && !there(at.Home.Daemon.DB()) {
		return upkeep.Backup{}, mesh.Errorf(mesh.NotFound, "there is nothing in %s to back up", at.Home.Config.Dir)
	}
	stage, err := stageIn(at.Home.Daemon)
	if err != nil {
		return upkeep.Backup{}, err
	}
	defer func() { _ = os.RemoveAll(stage) }() // the next one would not look at it
	entries, err := gather(ctx, at, stage)
	if err != nil {
		return upkeep.Backup{}, err
	}
	if err := c.fill(to, entries, at.Now()); err != nil {
		return upkeep.Backup{}, err
	}
	b := upkeep.Backup{File: to.File, Bytes: sizeOf(to.File), Encrypted: to.Passphrase != ""}
	for _, e := range entries {
		b.Holds = append(b.Holds, e.Name)
	}
	return b, nil
}

// stageIn makes a folder for files on their way.
func stageIn(home paths.Daemon) (string, error) {
	if err := paths.EnsureDir(home.Dir, paths.DirMode); err != nil {
		return "", err
	}
	stage, err := os.MkdirTemp(home.Dir, ".stage-") // 0700
	if err != nil {
		return "", mesh.Errorf(mesh.IOError, "%w", err)
	}
	return stage, nil
}

// databases are the databases by their names in an archive.
func databases(home paths.Daemon) map[string]string {
	return map[string]string{"daemon/outbox.db": home.Outbox(), "daemon/inbox.db": home.Inbox(), "daemon/daemon.db": home.DB()}
}

// gather lists what goes into a backup. Databases are copied into stage.
func gather(ctx context.Context, at upkeep.Site, stage string) ([]archive.Entry, error) {
	home := at.Home.Config
	var entries []archive.Entry
	for _, path := range []string{home.File(), home.Settings()} {
		if there(path) {
			entries = append(entries, archive.Entry{Name: filepath.Base(path), Path: path})
		}
	}
	err := fs.WalkDir(os.DirFS(home.Dir), "keys", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasSuffix(name, ".json") && !strings.HasPrefix(d.Name(), ".") {
			entries = append(entries, archive.Entry{Name: name, Path: filepath.Join(home.Dir, filepath.FromSlash(name))})
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // no mesh was made or joined here yet
		}
		return err
	})
	if err != nil {
		return nil, mesh.Errorf(mesh.IOError, "list the keys: %w", err)
	}
	for _, name := range []string{"daemon/outbox.db", "daemon/inbox.db", "daemon/daemon.db"} {
		path := databases(at.Home.Daemon)[name]
		if !there(path) {
			continue
		}
		copied := filepath.Join(stage, filepath.Base(path))
		if err := sqlite.Copy(ctx, path, copied); err != nil {
			return nil, sqlite.Coded(err)
		}
		entries = append(entries, archive.Entry{Name: name, Path: copied})
	}
	return entries, nil
}

// fill writes the backup; it has its name once it is whole and was read again.
func (c custodian) fill(to upkeep.Order, entries []archive.Entry, now time.Time) error {
	file, err := os.CreateTemp(filepath.Dir(to.File), "."+filepath.Base(to.File)+".*.tmp") // 0600 from the start
	if err != nil {
		return mesh.Errorf(mesh.IOError, "make the backup: %w", err)
	}
	written := sha256.New()
	err = c.pack(io.MultiWriter(file, written), to.Passphrase, entries, now)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = reread(file.Name(), written.Sum(nil))
	}
	if err == nil {
		err = os.Rename(file.Name(), to.File)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // the first error is the one to report
		return mesh.Errorf(mesh.IOError, "write the backup: %w", err)
	}
	return nil
}

// pack writes the archive, encrypted where there is a passphrase.
func (c custodian) pack(file io.Writer, passphrase string, entries []archive.Entry, now time.Time) error {
	buffered := bufio.NewWriterSize(file, 1<<20)
	out := io.Writer(buffered)
	end := func() error { return nil }
	if passphrase != "" {
		sealed, err := seal.SealBackup(buffered, passphrase, c.cost)
		if err != nil {
			return err
		}
		out, end = sealed, sealed.Close
	}
	if err := archive.Write(out, entries, now); err != nil {
		return err
	}
	if err := end(); err != nil {
		return err
	}
	return buffered.Flush()
}

// reread makes sure that what was written can be read.
func reread(path string, want []byte) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // nothing was written
	got := sha256.New()
	if _, err := io.Copy(got, file); err != nil {
		return err
	}
	if !bytes.Equal(got.Sum(nil), want) {
		return errors.New("the disk gives back something else than was written")
	}
	return nil
}

// unseal opens a backup, encrypted or not. The file is to be closed.
func unseal(path, passphrase string) (io.Closer, io.Reader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, mesh.Errorf(mesh.NotFound, "read the backup: %w", err)
	}
	in := bufio.NewReaderSize(file, 1<<20)
	begin, _ := in.Peek(4) // what is shorter is no backup, as the reader says
	sealed, old := seal.SealedBackup(begin)
	if !sealed {
		return file, in, nil
	}
	opened, err := seal.OpenBackup(in, passphrase)
	if err == nil && old {
		opened, err = wrapOld(opened)
	}
	if err != nil {
		_ = file.Close() // the first error is the one to report
		return nil, nil, err
	}
	return file, opened, nil
}

// wrapOld makes an archive of a backup of the TypeScript system, which is a config.json and nothing else.
func wrapOld(config io.Reader) (io.Reader, error) {
	dir, err := os.MkdirTemp("", "claudemesh-") // 0700
	if err != nil {
		return nil, mesh.Errorf(mesh.IOError, "%w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is read by then
	text, err := io.ReadAll(config)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "config.json")
	if err := paths.WriteSecret(path, text); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = archive.Write(&b, []archive.Entry{{Name: "config.json", Path: path}}, time.Unix(0, 0))
	return &b, err
}

// restore puts a backup in the place of what a daemon keeps, and keeps that aside. No daemon may run meanwhile.
func restore(ctx context.Context, at upkeep.Site, from upkeep.Order) (upkeep.Restored, error) {
	v := upkeep.Restored{From: from.File, Restored: []string{}, Aside: []string{}}
	for _, dir := range []string{at.Home.Config.Dir, at.Home.Daemon.Dir} {
		if err := paths.EnsureDir(dir, paths.DirMode); err != nil {
			return v, err
		}
	}
	lock, err := occupy(ctx, at.Home.Daemon)
	if err != nil {
		return v, err
	}
	defer func() { _ = lock.Unlock() }() // ends with the process anyway
	stage, err := stageIn(at.Home.Daemon)
	if err != nil {
		return v, err
	}
	defer func() { _ = os.RemoveAll(stage) }() // the next one would not look at it
	names, err := unpack(from, stage)
	if err != nil {
		return v, err
	}
	if v.Review, err = examine(ctx, names, stage, at.Now); err != nil {
		return v, err
	}
	return v, install(at, names, stage, &v)
}

// unpack writes the files of a backup into stage.
func unpack(from upkeep.Order, stage string) ([]string, error) {
	file, in, err := unseal(from.File, from.Passphrase)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	names, err := archive.Extract(in, stage)
	if err == nil && len(names) == 0 {
		err = mesh.Errorf(mesh.BadRequest, "the backup is empty")
	}
	return names, err
}

// examine refuses files that no daemon could open, before anything is changed, and marks what had not left.
func examine(ctx context.Context, names []string, stage string, now mesh.Clock) (review int, err error) {
	staged := paths.Daemon{Dir: filepath.Join(stage, "daemon")}
	stores, err := storesOf(staged, now)
	if err != nil {
		return 0, err
	}
	for _, s := range stores {
		faults, err := sqlite.Verify(ctx, s.path, s.opt, nil)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return 0, sqlite.Coded(err)
		case len(faults) > 0:
			return 0, mesh.Errorf(mesh.StoreCorrupt, "%s of the backup is not sound: %s", filepath.Base(s.path), strings.Join(faults, "; "))
		}
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".json") {
			continue
		}
		text, _, err := paths.ReadSecret(filepath.Join(stage, filepath.FromSlash(name)))
		var any map[string]wire.RawMessage
		if err == nil {
			err = wire.Decode(text, &any)
		}
		if err != nil {
			return 0, mesh.Errorf(mesh.BadRequest, "%s of the backup: %w", name, err)
		}
	}
	if !there(staged.Outbox()) {
		return 0, nil
	}
	return outbox.Review(ctx, staged.Outbox(), now)
}

// install moves the files of stage to their places: keys first, as nothing works without them.
func install(at upkeep.Site, names []string, stage string, v *upkeep.Restored) error {
	lock := flock.New(at.Home.Config.Lock(), flock.SetPermissions(paths.FileMode)) // the TypeScript system reads and writes it too
	if err := lock.Lock(); err != nil {
		return mesh.Errorf(mesh.IOError, "lock config.json: %w", err)
	}
	defer func() { _ = lock.Unlock() }() // ends with the process anyway
	for _, keys := range []bool{true, false} {
		for _, name := range names {
			if strings.HasPrefix(name, "keys/") != keys {
				continue
			}
			if err := installOne(at, name, filepath.Join(stage, filepath.FromSlash(name)), v); err != nil {
				return mesh.Errorf(mesh.CodeOf(sqlite.Coded(err)), "restore %s: %w", name, err)
			}
		}
	}
	return nil
}

func installOne(at upkeep.Site, name, staged string, v *upkeep.Restored) error {
	if path := databases(at.Home.Daemon)[name]; path != "" {
		aside, err := sqlite.Swap(path, staged, beforeRestore, at.Now())
		return note(v, path, aside, err)
	}
	path := filepath.Join(at.Home.Config.Dir, filepath.FromSlash(name))
	if err := paths.EnsureDir(filepath.Dir(path), paths.DirMode); err != nil {
		return err
	}
	text, err := os.ReadFile(staged)
	if err != nil {
		return err
	}
	was, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return note(v, path, "", paths.WriteSecret(path, text))
	case err == nil && bytes.Equal(was, text):
		return nil
	case err != nil:
		return err
	}
	aside := fmt.Sprintf("%s.%s-%s", path, beforeRestore, at.Now().UTC().Format("20060102T150405.000Z"))
	if err := paths.WriteSecret(aside, was); err != nil {
		return err
	}
	return note(v, path, aside, paths.WriteSecret(path, text))
}

// note adds to what was done.
func note(v *upkeep.Restored, path, aside string, err error) error {
	if err != nil {
		return err
	}
	v.Restored = append(v.Restored, path)
	if aside != "" {
		v.Aside = append(v.Aside, aside)
	}
	return nil
}
