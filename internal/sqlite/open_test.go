package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOpenNew(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain.db", "a b?c#d%41&mode=ro.db", "ünï.db"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && strings.ContainsAny(name, "?") {
				t.Skip("a name that this system refuses")
			}
			path := filepath.Join(t.TempDir(), name)
			db := openTest(t, path, options())
			if err := db.Write(t.Context(), addNote(1)); err != nil {
				t.Fatal(err)
			}
			for _, suffix := range []string{"", "-wal", "-shm"} {
				checkMode(t, path+suffix, 0o600)
			}
			got := pragmas(t, db)
			want := map[string]string{
				"journal_mode": "wal", "synchronous": "1", "foreign_keys": "1", "secure_delete": "1",
				"trusted_schema": "0", "busy_timeout": "20", "user_version": "1", "temp_store": "2",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("pragmas of the writer (-want +got):\n%s", diff)
			}
			if err := db.Check(t.Context()); err != nil {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

func pragmas(t *testing.T, db *DB) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := db.Write(t.Context(), func(tx *Tx) error {
		for _, name := range []string{"journal_mode", "synchronous", "foreign_keys", "secure_delete",
			"trusted_schema", "busy_timeout", "user_version", "temp_store"} {
			var v any
			if err := tx.QueryRow("PRAGMA " + name).Scan(&v); err != nil {
				return err
			}
			found[name] = fmt.Sprint(v)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func checkMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Error(err)
		return
	}
	if got := info.Mode().Perm(); got != want && runtime.GOOS != "windows" {
		t.Errorf("mode of %s is %o, want %o", filepath.Base(path), got, want)
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	for round := range 3 {
		db := openTest(t, path, options())
		if err := db.Write(t.Context(), addNote(round+1)); err != nil {
			t.Fatal(err)
		}
		if got, want := notes(t, db), span(1, round+1); !cmp.Equal(got, want) {
			t.Errorf("after %d openings got notes %v, want %v", round+1, got, want)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("log after Close: %v, want none", err)
		}
	}
}

// made writes a store and returns its bytes.
func made(t *testing.T, opt Options, change ...string) []byte {
	t.Helper()
	path := newPath(t)
	db := openTest(t, path, opt)
	err := db.Write(t.Context(), func(tx *Tx) error {
		for _, text := range change {
			if _, err := tx.Exec(text); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}

// crashed writes a store and returns its file and its log as a crash would leave them.
func crashed(t *testing.T, opt Options) (file, log []byte) {
	t.Helper()
	path := newPath(t)
	db := openTest(t, path, opt)
	if err := db.Write(t.Context(), addNote(1)); err != nil {
		t.Fatal(err)
	}
	return read(t, path), read(t, path+"-wal")
}

// TestOpenRefuses opens what Open must not touch: the error is the right one, and bytes and mode stay.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	twoNotes := fstest.MapFS{"0001_note.sql": noteSchema["0001_note.sql"],
		"0002_more.sql": {Data: []byte("CREATE TABLE more (n INTEGER) STRICT")}}
	edited := fstest.MapFS{"0001_note.sql": {Data: []byte("CREATE TABLE note (n INTEGER PRIMARY KEY) STRICT")}}
	many := "WITH RECURSIVE i(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM i WHERE n < 900)" +
		" INSERT INTO note SELECT n, hex(zeroblob(100)) FROM i"
	damaged := made(t, options(), many)
	copy(damaged[3*4096:], bytes.Repeat([]byte{0xa5}, 4096))
	cut := made(t, options(), many)
	newer, newerLog := crashed(t, Options{Migrations: twoNotes, Now: time.Now})

	tests := []struct {
		name string
		data []byte
		mode os.FileMode
		want error
		log  []byte
	}{
		{"garbage", bytes.Repeat([]byte("this is no database. "), 500), 0o644, ErrNotDatabase, nil},
		{"short garbage", []byte("x"), 0o644, ErrNotDatabase, nil},
		{"other program", made(t, Options{}, "CREATE TABLE theirs (n)"), 0o644, ErrForeign, nil},
		{"newer schema", made(t, Options{Migrations: twoNotes, Now: time.Now}), 0o644, ErrNewerSchema, nil},
		{"newer user_version", made(t, options(), "PRAGMA user_version = 9"), 0o644, ErrNewerSchema, nil},
		{"older user_version", made(t, options(), "PRAGMA user_version = 0"), 0o644, ErrDrift, nil},
		{"edited migration", made(t, Options{Migrations: edited, Now: time.Now}), 0o644, ErrDrift, nil},
		{"gap in history", made(t, options(), "UPDATE schema_history SET version = 2"), 0o644, ErrDrift, nil},
		{"read-only", made(t, options()), 0o444, ErrReadOnly, nil},
		{"damaged page", damaged, 0o644, ErrCorrupt, nil},
		{"cut", cut[:len(cut)/2/4096*4096], 0o644, ErrCorrupt, nil},
		{"newer schema in the log", newer, 0o644, ErrNewerSchema, newerLog},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			write(t, path, tt.data)
			if tt.log != nil {
				write(t, path+"-wal", tt.log)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			db, err := Open(t.Context(), path, options())
			if !errors.Is(err, tt.want) {
				t.Errorf("Open: %v, want %v", err, tt.want)
			}
			if err == nil {
				_ = db.Close() // the test has failed already
			} else if !strings.Contains(err.Error(), path) {
				t.Errorf("error %q does not name the file", err)
			}
			if !bytes.Equal(read(t, path), tt.data) {
				t.Error("the file changed")
			}
			if tt.log != nil && !bytes.Equal(read(t, path+"-wal"), tt.log) {
				t.Error("the log changed")
			}
			checkMode(t, path, tt.mode)
		})
	}
}

func TestOpenRefusesPlaces(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if _, err := Open(t.Context(), folder, options()); !errors.Is(err, ErrNotDatabase) {
		t.Errorf("open a folder: %v, want %v", err, ErrNotDatabase)
	}
	missing := filepath.Join(folder, "none", "store.db")
	if _, err := Open(t.Context(), missing, options()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open in a folder that is missing: %v, want %v", err, os.ErrNotExist)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 0 {
		t.Errorf("folder holds %v (%v), want nothing", entries, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, newPath(t), options()); !errors.Is(err, context.Canceled) {
		t.Errorf("open with a context that ended: %v, want %v", err, context.Canceled)
	}
}

// TestOpenOrphan finds a log whose file is gone, or empty: SQLite would begin a new file and delete the log.
func TestOpenOrphan(t *testing.T) {
	t.Parallel()
	_, log := crashed(t, options())
	for _, there := range []bool{false, true} {
		path := newPath(t)
		if there {
			write(t, path, nil)
		}
		write(t, path+"-wal", log)
		if _, err := Open(t.Context(), path, options()); !errors.Is(err, ErrCorrupt) {
			t.Errorf("Open with an empty file %v: %v, want %v", there, err, ErrCorrupt)
		}
		if !bytes.Equal(read(t, path+"-wal"), log) {
			t.Errorf("with an empty file %v the log changed", there)
		}
	}
}

func TestOpenEmptyFile(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	db := openTest(t, path, options())
	if err := db.Write(t.Context(), addNote(1)); err != nil {
		t.Errorf("write into what was an empty file: %v", err)
	}
	checkMode(t, path, 0o600)
}

// TestOpenLink opens through a symbolic link what a crash left open to others: the log lies beside the file.
func TestOpenLink(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	link := filepath.Join(t.TempDir(), "link.db")
	file, log := crashed(t, options())
	for suffix, b := range map[string][]byte{"": file, "-wal": log} {
		write(t, path+suffix, b)
		if err := os.Chmod(path+suffix, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(path, link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	db := openTest(t, link, options())
	if got, want := notes(t, db), []int{1}; !cmp.Equal(got, want) {
		t.Errorf("got notes %v, want %v", got, want)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		checkMode(t, path+suffix, 0o600)
	}
}

// TestThreat35OpenLocked opens a file that another process holds exclusively.
func TestThreat35OpenLocked(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	write(t, path, made(t, options()))
	c := startChild(t, "lock", path)
	if got := c.next(); got != "locked" {
		t.Fatalf("child says %q, want locked", got)
	}
	if _, err := Open(t.Context(), path, options()); !errors.Is(err, ErrBusy) {
		t.Errorf("Open: %v, want %v", err, ErrBusy)
	}
	if err := errors.Join(c.stdin.Close(), c.Wait()); err != nil {
		t.Fatal(err)
	}
	openTest(t, path, options())
}

// childLock holds the file exclusively until its standard input ends.
func childLock(path string) error {
	ctx := context.Background()
	c, err := connect(ctx, dsn(path, readWrite, 0, "locking_mode(exclusive)"))
	if err != nil {
		return err
	}
	if err := c.exec(ctx, "BEGIN EXCLUSIVE"); err != nil {
		return err
	}
	os.Stdout.WriteString("locked\n")
	_, err = io.Copy(io.Discard, os.Stdin) // until the other end is closed
	return errors.Join(err, c.close())
}

// TestAdopt takes over a file of another program with its rows.
func TestAdopt(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	theirs := made(t, Options{}, "CREATE TABLE note (n INTEGER PRIMARY KEY)", "INSERT INTO note VALUES (1), (2)")
	if err := os.WriteFile(path, theirs, 0o644); err != nil {
		t.Fatal(err)
	}
	opt := options()
	opt.Migrations = fstest.MapFS{"0001_note.sql": {Data: []byte(
		"CREATE TABLE IF NOT EXISTS note (n INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT")}}
	adopted := 0
	opt.Adopt = func(tx *Tx) error {
		adopted++
		if _, err := tx.Exec("ALTER TABLE note ADD COLUMN body TEXT NOT NULL DEFAULT ''"); err != nil {
			return err
		}
		for n := 1; n <= 2; n++ {
			if _, err := tx.Exec("UPDATE note SET body = $1 WHERE n = $2", body(n), n); err != nil {
				return err
			}
		}
		return nil
	}
	for range 2 {
		db := openTest(t, path, opt)
		if got, want := notes(t, db), span(1, 2); !cmp.Equal(got, want) {
			t.Errorf("got notes %v, want %v", got, want)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if adopted != 1 {
		t.Errorf("adopted %d times, want once", adopted)
	}
	checkMode(t, path, 0o600)
}

// TestAdoptFails leaves the file as it was.
func TestAdoptFails(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	write(t, path, made(t, Options{}, "CREATE TABLE theirs (n)"))
	opt := options()
	no := errors.New("no")
	opt.Adopt = func(tx *Tx) error {
		_, err := tx.Exec("DROP TABLE theirs")
		return errors.Join(err, no)
	}
	if _, err := Open(t.Context(), path, opt); !errors.Is(err, no) {
		t.Errorf("Open: %v, want the error of Adopt", err)
	}
	db := openTest(t, path, Options{})
	err := db.Read(t.Context(), func(tx *Tx) error {
		var n int
		return tx.QueryRow("SELECT count(*) FROM theirs").Scan(&n)
	})
	if err != nil {
		t.Errorf("read the table that was there before: %v", err)
	}
}
