package sqlite

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func migrations(texts ...string) fstest.MapFS {
	names := []string{"0001_first.sql", "0002_second.sql", "0003_third.sql"}
	fsys := fstest.MapFS{}
	for i, text := range texts {
		fsys[names[i]] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// TestMigrateForward upgrades a file step by step, with a table that others refer to rebuilt on the way.
func TestMigrateForward(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	steps := []string{
		"CREATE TABLE a (id INTEGER PRIMARY KEY) STRICT;\nCREATE TABLE b (a INTEGER NOT NULL REFERENCES a) STRICT;" +
			"\nINSERT INTO a VALUES (1);\nINSERT INTO b VALUES (1);",
		"CREATE TABLE new_a (id INTEGER PRIMARY KEY, name TEXT) STRICT;\nINSERT INTO new_a (id) SELECT id FROM a;" +
			"\nDROP TABLE a;\nALTER TABLE new_a RENAME TO a;",
		"-- nothing but a comment\nUPDATE a SET name = 'x;y';",
	}
	stamp := time.UnixMilli(1_700_000_000_123)
	for n := 1; n <= len(steps); n++ {
		db := openTest(t, path, Options{Migrations: migrations(steps[:n]...), Now: func() time.Time { return stamp }})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// A checkout with other line ends is the same history.
	for i := range steps {
		steps[i] = strings.ReplaceAll(steps[i], "\n", "\r\n")
	}
	db := openTest(t, path, Options{Migrations: migrations(steps...), Now: time.Now})
	var got []string
	err := db.Write(t.Context(), func(tx *Tx) error {
		rows, err := tx.Query("SELECT name FROM schema_history WHERE applied_at = $1 ORDER BY version", stamp.UnixMilli())
		if err != nil {
			return err
		}
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			got = append(got, name)
		}
		_, orphan := tx.Exec("INSERT INTO b VALUES (7)")
		if orphan == nil {
			t.Error("a row without its parent was inserted, want foreign keys on")
		}
		var name string
		if err := tx.QueryRow("SELECT a.name FROM b JOIN a ON a.id = b.a").Scan(&name); err != nil || name != "x;y" {
			t.Errorf("rebuilt table says %q (%v), want x;y", name, err)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0001_first.sql", "0002_second.sql", "0003_third.sql"}, got); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

// TestMigrateAllOrNothing breaks in the second of two migrations: the first must be undone too.
func TestMigrateAllOrNothing(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]string{
		"bad SQL": "CREATE TABLE b (n); CREATE TABLE",
		"orphan":  "CREATE TABLE b (a INTEGER REFERENCES a); INSERT INTO b VALUES (7)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			first := "CREATE TABLE a (id INTEGER PRIMARY KEY) STRICT"
			if _, err := Open(t.Context(), path, Options{Migrations: migrations(first, second), Now: time.Now}); err == nil {
				t.Fatal("Open succeeded, want the error of the second migration")
			}
			db := openTest(t, path, Options{})
			err := db.Read(t.Context(), func(tx *Tx) error {
				var tables, version int
				err := tx.QueryRow("SELECT (SELECT count(*) FROM sqlite_schema), user_version FROM pragma_user_version").
					Scan(&tables, &version)
				if tables != 0 || version != 0 {
					t.Errorf("file has %d tables and version %d, want neither", tables, version)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestMigrationNames(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{
		{"0002_a.sql"}, {"0001_a.sql", "0003_b.sql"}, {"0001_a.sql", "0001_b.sql"}, {"1_a.sql"}, {"0001-a.sql"}, {"0001_A.sql"},
	} {
		fsys := fstest.MapFS{"README.md": {}}
		for _, name := range names {
			fsys[name] = &fstest.MapFile{}
		}
		if _, err := readMigrations(fsys); err == nil {
			t.Errorf("migrations %v are read, want an error", names)
		}
	}
	if _, err := readMigrations(migrations("CREATE TABLE a (n UNIQUE ON CONFLICT rollback)")); err == nil {
		t.Error("a migration with a conflict that rolls back is read, want an error")
	}
}

// TestOpenTogether opens one new file twenty times at once: the migration runs once.
func TestOpenTogether(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	opt := options()
	opt.busyTimeout = 0 // the default
	ended := make(chan error, 20)
	for range cap(ended) {
		go func() {
			db, err := Open(t.Context(), path, opt)
			if err == nil {
				err = db.Close()
			}
			ended <- err
		}()
	}
	var errs []error
	for range cap(ended) {
		errs = append(errs, <-ended)
	}
	if err := errors.Join(errs...); err != nil {
		t.Errorf("open one file at once: %v", err)
	}
}
