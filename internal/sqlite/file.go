package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	modernc "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// fileMode is that of the database, its log and its shared memory (daemon 2.1). SQLite gives the two others
// the mode of the first when it makes them.
const fileMode fs.FileMode = 0o600

// checkLimitBytes bounds the files that Open reads whole to find damage: about 10 ms.
const checkLimitBytes = 8 << 20

// minFileBytes is the size of SQLite's smallest page, so of its smallest file.
const minFileBytes = 512

// claim returns the absolute path of the file behind path, and makes the file when there is none. It never
// opens a file that exists: closing it again would drop the locks that this process may hold on it.
func claim(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return abs, create(abs)
	}
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%w: %s", ErrNotDatabase, info.Mode().Type())
	case 0 < info.Size() && info.Size() < minFileBytes:
		return "", fmt.Errorf("%w: %d bytes", ErrNotDatabase, info.Size()) // SQLite takes one byte for an empty file
	case info.Mode().Perm()&0o200 == 0:
		return "", fmt.Errorf("%w: mode %s", ErrReadOnly, info.Mode()) // root could write it, but somebody said no
	case info.Size() == 0:
		return abs, orphan(abs)
	}
	return filepath.EvalSymlinks(abs) // the log lies beside the file, not beside the link
}

func create(path string) error {
	if err := orphan(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was faster
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// orphan refuses a log whose file is gone or empty: SQLite would delete it.
func orphan(path string) error {
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
		return fmt.Errorf("%w: a log of %d bytes without its file", ErrCorrupt, log.Size())
	}
	return nil
}

// harden takes the file and what lies beside it from other users. Files left by the TypeScript daemon have
// whatever mode its umask gave.
func harden(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().Perm()&^fileMode == 0 {
			continue
		}
		if err == nil {
			err = os.Chmod(path+suffix, fileMode)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inspect looks at the file through a connection that cannot write it, and refuses what migrate must not touch.
func inspect(ctx context.Context, path string, set []migration, opt Options) error {
	err := look(ctx, dsn(path, readOnly, opt.busyTimeout), set, opt.Adopt != nil)
	if e, ok := errors.AsType[*modernc.Error](err); ok && e.Code() == lib.SQLITE_READONLY_ROLLBACK {
		// A crash left a rollback journal: nobody can read the file before it is rolled back.
		return look(ctx, dsn(path, readWrite, opt.busyTimeout), set, opt.Adopt != nil)
	}
	return err
}

func look(ctx context.Context, name string, set []migration, adopts bool) (err error) {
	c, err := connect(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.exec(ctx, "BEGIN"); err != nil { // one snapshot: another process may be migrating
		return err
	}
	found, err := readHistory(ctx, c)
	if err != nil {
		return err
	}
	if err := found.judge(set, adopts); err != nil {
		return err
	}
	size, err := c.number(ctx, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
	if err != nil || size > checkLimitBytes {
		return err
	}
	return quickCheck(ctx, c)
}

// quickCheck reads the file and reports the damage in its structure.
func quickCheck(ctx context.Context, c *conn) error {
	var found []string
	err := c.query(ctx, "PRAGMA quick_check(10)", func(vals []driver.Value) error {
		found = append(found, fmt.Sprint(vals[0]))
		return nil
	})
	if err != nil || len(found) == 1 && found[0] == "ok" {
		return err
	}
	return fmt.Errorf("%w: %s", ErrCorrupt, strings.Join(found, "; "))
}
