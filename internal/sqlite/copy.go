package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Copy writes what is committed in the file at path into a new file at to, for nobody else to read: one moment of it, also
// while another process goes on writing. It returns when the copy was read back whole and is on the disk; to appears only
// then. A file that stands at to is fs.ErrExist, one that is missing at path fs.ErrNotExist; damage is ErrCorrupt.
func Copy(ctx context.Context, path, to string) error {
	if err := copyTo(ctx, path, to); err != nil {
		return fmt.Errorf("copy %s: %w", path, named(err))
	}
	return nil
}

func copyTo(ctx context.Context, path, to string) error {
	if err := present(path); err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return &fs.PathError{Op: "create", Path: to, Err: fs.ErrExist}
	}
	temp, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*.tmp") // 0600 from the start
	if err != nil {
		return err
	}
	err = temp.Close()
	for _, step := range []func() error{
		func() error { return vacuum(ctx, path, temp.Name()) },
		func() error { return sound(ctx, temp.Name()) },
		func() error { return place(temp.Name(), to) },
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		_ = os.Remove(temp.Name()) // the first error is the one to report
	}
	return err
}

// present refuses what Open would make, or could not be a database.
func present(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s", ErrNotDatabase, info.Mode().Type())
	}
	return err
}

// vacuum writes a snapshot of a database into an empty file.
func vacuum(ctx context.Context, path, to string) (err error) {
	c, err := connect(ctx, dsn(path, readOnly, defaultBusyTimeout))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	st, err := c.prepare(ctx, "VACUUM INTO $1")
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx, []driver.NamedValue{{Ordinal: 1, Value: to}})
	return err
}

// sound reads a database that nobody writes and reports all damage.
func sound(ctx context.Context, path string) (err error) {
	c, err := connect(ctx, dsn(path, readOnly, defaultBusyTimeout))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return integrity(ctx, c)
}

// place syncs a file and gives it its name.
func place(temp, to string) error {
	f, err := os.OpenFile(temp, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, to); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(to))
}

// companions are the files that belong to a database, beside itself.
var companions = []string{"-wal", "-shm"}

// asideName is path, a mark and the time.
func asideName(path, mark string, now time.Time) string {
	return fmt.Sprintf("%s.%s-%s", path, mark, now.UTC().Format("20060102T150405.000Z"))
}

// SetAside moves a database that nobody has open, with its log, to a new name beside it: path, mark and time. It returns
// that name; the log lies beside it, so that what can be read of both is still found. A missing file is no error, and
// gives no name.
func SetAside(path, mark string, now time.Time) (string, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	aside := asideName(path, mark, now)
	if _, err := os.Lstat(aside); err == nil {
		return "", &fs.PathError{Op: "keep aside", Path: aside, Err: fs.ErrExist}
	}
	if err := os.Rename(path, aside); err != nil { // first: a log without its file is refused, a file without its log is not
		return "", err
	}
	for _, suffix := range companions {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return aside, err
		}
	}
	return aside, syncFolder(filepath.Dir(path))
}

// syncFolder makes names in a folder last, where the system knows how.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Swap puts the sound database at fresh in the place of the one at path, which nobody has open, and returns where that is
// kept, as SetAside does. Where the old one has no log there is always a file at path.
func Swap(path, fresh, mark string, now time.Time) (aside string, err error) {
	aside = asideName(path, mark, now)
	log, err := os.Stat(path + "-wal")
	switch {
	case err == nil && log.Size() > 0 || os.Link(path, aside) != nil: // no log may meet the new file; not every system has links
		if aside, err = SetAside(path, mark, now); err != nil {
			return "", err
		}
	default:
		for _, suffix := range companions {
			if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
	}
	return aside, place(fresh, path)
}
