package sqlite

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCopyWhileAnotherProcessWrites: each copy is one moment of the file, not older than what had been acknowledged.
func TestCopyWhileAnotherProcessWrites(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	c := startChild(t, "write", path)
	for round := range 3 {
		acknowledged := map[string]bool{}
		for range 200 {
			acknowledged[c.next()] = true
		}
		to := filepath.Join(t.TempDir(), "copy.db")
		if err := Copy(t.Context(), path, to); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		checkMode(t, to, 0o600)
		held := map[string]bool{}
		for _, n := range notes(t, openTest(t, to, options())) {
			held["ok "+strings.TrimSpace(strings.Split(body(n), " ")[1])] = true
		}
		for line := range acknowledged {
			if !held[line] {
				t.Errorf("round %d: %q was acknowledged before the copy, and is not in it", round, line)
			}
		}
	}
}

func TestCopyRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, taken, bad := filepath.Join(dir, "good.db"), filepath.Join(dir, "taken.db"), filepath.Join(dir, "bad.db")
	write(t, good, made(t, options()))
	write(t, taken, []byte("something else"))
	write(t, bad, damagedFile(t))
	for name, c := range map[string]struct {
		from, to string
		want     error
	}{
		"a name that is taken": {good, taken, fs.ErrExist},
		"no file":              {filepath.Join(dir, "none.db"), filepath.Join(dir, "x.db"), fs.ErrNotExist},
		"a folder":             {dir, filepath.Join(dir, "y.db"), ErrNotDatabase},
		"a damaged file":       {bad, filepath.Join(dir, "z.db"), ErrCorrupt},
		"no database":          {taken, filepath.Join(dir, "v.db"), ErrNotDatabase},
	} {
		if err := Copy(t.Context(), c.from, c.to); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "[.xyzv]*")); err != nil || left != nil {
		t.Errorf("got %v, %v in the folder, want nothing made", left, err)
	}
}

// many fills a note on each of some hundred pages.
const many = "WITH RECURSIVE i(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM i WHERE n < 900)" +
	" INSERT INTO note SELECT n, hex(zeroblob(100)) FROM i"

// damagedFile has some hundred pages, and nonsense on one of them.
func damagedFile(t *testing.T) []byte {
	t.Helper()
	data := made(t, options(), many)
	copy(data[20*4096:], bytes.Repeat([]byte{0xa5}, 4096))
	return data
}

func TestVerify(t *testing.T) {
	t.Parallel()
	family := fstest.MapFS{"0001_family.sql": {Data: []byte(`CREATE TABLE parent (n INTEGER PRIMARY KEY) STRICT;
		CREATE TABLE child (n INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent (n), age INTEGER) STRICT;`)}}
	opt := Options{Migrations: family, Now: time.Now}
	rules := []Rule{{"child older than its time", "SELECT count(*) FROM child WHERE age > 100"}}
	for name, c := range map[string]struct {
		data []byte
		opt  Options
		want []string
		err  error
	}{
		"sound":        {made(t, opt, "INSERT INTO parent VALUES (1)", "INSERT INTO child VALUES (1, 1, 7)"), opt, nil, nil},
		"orphans":      {orphans(t, opt), opt, []string{"2: row of child without its parent"}, nil},
		"a rule":       {made(t, opt, "INSERT INTO child VALUES (1, NULL, 101)"), opt, []string{"1: child older than its time"}, nil},
		"damage":       {damagedFile(t), options(), []string{"sqlite: database is damaged: "}, nil},
		"other schema": {made(t, opt), options(), nil, ErrDrift},
		"newer schema": {made(t, opt, "PRAGMA user_version = 7"), opt, nil, ErrNewerSchema},
		"no database":  {bytes.Repeat([]byte("no database "), 500), opt, nil, ErrNotDatabase},
	} {
		path := newPath(t)
		write(t, path, c.data)
		got, err := Verify(t.Context(), path, c.opt, rules)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: got error %v, want %v", name, err, c.err)
		}
		if len(got) != len(c.want) || len(got) > 0 && !strings.HasPrefix(got[0], c.want[0]) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		if !bytes.Equal(read(t, path), c.data) {
			t.Errorf("%s: the file changed", name)
		}
	}
	if _, err := Verify(t.Context(), newPath(t), opt, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v, want %v", err, fs.ErrNotExist)
	}
}

// orphans is a file with two children of no parent.
func orphans(t *testing.T, opt Options) []byte {
	t.Helper()
	path := newPath(t)
	write(t, path, made(t, opt))
	c, err := connect(t.Context(), dsn(path, readWrite, time.Second))
	if err == nil {
		err = errors.Join(c.script(t.Context(), "PRAGMA foreign_keys = OFF; INSERT INTO child VALUES (1, 5, 7), (2, 6, 7)"), c.close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}

func TestRescuePassesHoles(t *testing.T) {
	t.Parallel()
	path, to := newPath(t), newPath(t)
	data := damagedFile(t)
	write(t, path, data)
	saved, err := Rescue(t.Context(), path, to, options())
	if err != nil || len(saved) != 1 || saved[0].Holes != 1 || saved[0].Rows < 850 || saved[0].Rows >= 900 {
		t.Fatalf("got %+v, %v, want all but the notes of one page", saved, err)
	}
	if !bytes.Equal(read(t, path), data) {
		t.Error("the damaged file changed")
	}
	checkMode(t, to, 0o600)
	if faults, err := Verify(t.Context(), to, options(), nil); err != nil || faults != nil {
		t.Errorf("the new file: got %q, %v, want it sound", faults, err)
	}
	db := openTest(t, to, options())
	if err := db.Write(t.Context(), func(tx *Tx) error { _, err := tx.Exec("INSERT INTO note VALUES (901, 'new')"); return err }); err != nil {
		t.Errorf("a new note: %v", err)
	}
}

// TestRescueKinds: rows with numbers and without, with a log beside the file, with parents that are lost.
func TestRescueKinds(t *testing.T) {
	t.Parallel()
	schema := fstest.MapFS{"0001_kinds.sql": {Data: []byte(`CREATE TABLE word (word TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
		CREATE TABLE loose (id TEXT PRIMARY KEY, data BLOB);
		CREATE TABLE line (n INTEGER PRIMARY KEY AUTOINCREMENT, loose TEXT REFERENCES loose (id)) STRICT;`)}}
	opt := Options{Migrations: schema, Now: time.Now}
	path, to := newPath(t), newPath(t)
	db := openTest(t, path, opt)
	err := db.Write(t.Context(), func(tx *Tx) error {
		for _, s := range []string{
			"INSERT INTO word VALUES ('b'), ('a')", "INSERT INTO loose VALUES ('z', x'00ff'), ('y', NULL)",
			"DELETE FROM loose WHERE id = 'y'", "INSERT INTO loose VALUES ('x', 1.5)", "INSERT INTO line (n, loose) VALUES (70, 'z')",
		} {
			if _, err := tx.Exec(s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	crash := newPath(t)
	write(t, crash, read(t, path))
	write(t, crash+"-wal", read(t, path+"-wal"))
	saved, err := Rescue(t.Context(), crash, to, opt)
	slices.SortFunc(saved, func(a, b Salvage) int { return strings.Compare(a.Table, b.Table) })
	if diff := cmp.Diff([]Salvage{{"line", 1, 0}, {"loose", 2, 0}, {"word", 2, 0}}, saved); diff != "" || err != nil {
		t.Fatalf("%v, saved (-want +got):\n%s", err, diff)
	}
	again := openTest(t, to, opt)
	var ids string
	err = again.Write(t.Context(), func(tx *Tx) error {
		return tx.QueryRow("SELECT group_concat(id || ' ' || rowid || ' ' || typeof(data)) FROM (SELECT rowid, * FROM loose ORDER BY rowid)").Scan(&ids)
	})
	if err != nil || ids != "z 1 blob,x 2 real" {
		t.Errorf("got %q, %v, want the rows with their numbers and types", ids, err)
	}
}

func TestRescueOfNothing(t *testing.T) {
	t.Parallel()
	path, to := newPath(t), newPath(t)
	write(t, path, bytes.Repeat([]byte("no database "), 500))
	if _, err := Rescue(t.Context(), path, to, options()); !errors.Is(err, ErrNotDatabase) {
		t.Errorf("got %v, want %v", err, ErrNotDatabase)
	}
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want no file left", err)
	}
}

func TestSetAside(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	path := newPath(t)
	if aside, err := SetAside(path, "damaged", now); aside != "" || err != nil {
		t.Errorf("no file: got %q, %v, want nothing", aside, err)
	}
	write(t, path, []byte("file"))
	write(t, path+"-wal", []byte("log"))
	want := path + ".damaged-20260304T050607.000Z"
	if aside, err := SetAside(path, "damaged", now); aside != want || err != nil {
		t.Fatalf("got %q, %v, want %q", aside, err, want)
	}
	if file, log := read(t, want), read(t, want+"-wal"); string(file) != "file" || string(log) != "log" {
		t.Errorf("got %q and %q, want both moved", file, log)
	}
	write(t, path, []byte("next"))
	if _, err := SetAside(path, "damaged", now); !errors.Is(err, fs.ErrExist) || string(read(t, path)) != "next" {
		t.Errorf("at the same time again: got %v, want %v and the file where it is", err, fs.ErrExist)
	}
}
