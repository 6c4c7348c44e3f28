package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type (
	id   string
	raw  []byte
	kind int
)

type valuer struct{}

func (valuer) Value() (driver.Value, error) { return "valued", nil }

// TestValues stores arguments of every type and reads them back into destinations of every type.
func TestValues(t *testing.T) {
	t.Parallel()
	seven := int64(7)
	tests := []struct {
		arg, dest, want any
	}{
		{"text", new(string), "text"},
		{"", new(string), ""},
		{"a\x00b", new(string), "a\x00b"},
		{"text", new(id), id("text")},
		{id("named"), new(string), "named"},
		{"text", new([]byte), []byte("text")},
		{"text", new(any), "text"},
		{[]byte{1, 0, 2}, new([]byte), []byte{1, 0, 2}},
		{[]byte{}, new([]byte), []byte{}},
		{raw{1, 2}, new(raw), raw{1, 2}},
		{[]byte(nil), new([]byte), []byte(nil)},
		{nil, new([]byte), []byte(nil)},
		{7, new(int), 7},
		{int64(math.MinInt64), new(int64), int64(math.MinInt64)},
		{uint16(7), new(uint8), uint8(7)},
		{kind(7), new(kind), kind(7)},
		{&seven, new(int64), int64(7)},
		{&seven, new(*int64), &seven},
		{(*int64)(nil), new(*int64), (*int64)(nil)},
		{nil, new(*id), (*id)(nil)},
		{nil, new(any), nil},
		{true, new(bool), true},
		{0, new(bool), false},
		{1.5, new(float64), 1.5},
		{2, new(float64), 2.0},
		{valuer{}, new(string), "valued"},
		{nil, new(sql.Null[string]), sql.Null[string]{}},
		{"x", new(sql.Null[string]), sql.Null[string]{V: "x", Valid: true}},
	}
	db := openTest(t, newPath(t), Options{})
	for i, tt := range tests {
		t.Run(fmt.Sprintf("%d %T to %T", i, tt.arg, tt.dest), func(t *testing.T) {
			err := db.Read(t.Context(), func(tx *Tx) error { return tx.QueryRow("SELECT $1", tt.arg).Scan(tt.dest) })
			if err != nil {
				t.Fatal(err)
			}
			got, err := deref(tt.dest)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func deref(dest any) (any, error) {
	switch d := dest.(type) {
	case *string:
		return *d, nil
	case *id:
		return *d, nil
	case *[]byte:
		return *d, nil
	case *raw:
		return *d, nil
	case *int:
		return *d, nil
	case *int64:
		return *d, nil
	case *uint8:
		return *d, nil
	case *kind:
		return *d, nil
	case **int64:
		return *d, nil
	case **id:
		return *d, nil
	case *bool:
		return *d, nil
	case *float64:
		return *d, nil
	case *sql.Null[string]:
		return *d, nil
	case *any:
		return *d, nil
	}
	return nil, fmt.Errorf("no case for %T", dest)
}

// TestValueErrors wants an error where a value would be cut, guessed or lost.
func TestValueErrors(t *testing.T) {
	t.Parallel()
	db := openTest(t, newPath(t), Options{})
	for _, tt := range []struct{ arg, dest any }{
		{nil, new(string)}, {nil, new(int)}, {"7", new(int)}, {7, new(string)}, {300, new(uint8)}, {-1, new(uint)},
		{2, new(bool)}, {1.5, new(int)}, {[]byte("x"), new(string)}, {"x", "x"}, {"x", (*id)(nil)},
		{time.Unix(0, 0), new(any)}, {uint64(math.MaxUint64), new(any)}, {struct{}{}, new(any)}, {[2]byte{}, new(any)},
	} {
		err := db.Read(t.Context(), func(tx *Tx) error { return tx.QueryRow("SELECT $1", tt.arg).Scan(tt.dest) })
		if err == nil {
			t.Errorf("%T %v into %T is taken, want an error", tt.arg, tt.arg, tt.dest)
		}
	}
}

// TestStatements uses statements in ways that a cache of prepared statements could get wrong.
func TestStatements(t *testing.T) {
	t.Parallel()
	db := openTest(t, newPath(t), options())
	err := db.Write(t.Context(), func(tx *Tx) error {
		for n := 1; n <= 3; n++ {
			if err := addNote(n)(tx); err != nil {
				return err
			}
		}
		// The same text while its own rows are open, three deep.
		const above = "SELECT n FROM note WHERE n > $1 ORDER BY n"
		var seen []string
		var walk func(from int, path string) error
		walk = func(from int, path string) error {
			rows, err := tx.Query(above, from)
			if err != nil {
				return err
			}
			for rows.Next() {
				var n int
				if err := rows.Scan(&n); err != nil {
					return err
				}
				seen = append(seen, fmt.Sprint(path, n))
				if err := walk(n, fmt.Sprint(path, n)); err != nil {
					return err
				}
			}
			return rows.Err()
		}
		if err := walk(0, ""); err != nil {
			return err
		}
		if diff := cmp.Diff([]string{"1", "12", "123", "13", "2", "23", "3"}, seen); diff != "" {
			t.Errorf("nested rows (-want +got):\n%s", diff)
		}
		// The columns of a kept statement change with the table.
		const all = "SELECT * FROM note WHERE n = $1"
		var n int
		var text, added string
		if err := tx.QueryRow(all, 1).Scan(&n, &text); err != nil {
			return err
		}
		if _, err := tx.Exec("ALTER TABLE note ADD COLUMN added TEXT DEFAULT 'new'"); err != nil {
			return err
		}
		if err := tx.QueryRow(all, 1).Scan(&n, &text, &added); err != nil || added != "new" {
			t.Errorf("row after a column was added: %q, %v", added, err)
		}
		changed, err := tx.Exec("UPDATE note SET added = $2 WHERE n >= $1", 2, "old")
		if err != nil || changed != 2 {
			t.Errorf("update changed %d rows (%v), want 2", changed, err)
		}
		err = tx.QueryRow("INSERT INTO note (n, body) VALUES ($1, $2 || $2) RETURNING n + $1, body", 4, "a").Scan(&n, &text)
		if err != nil || n != 8 || text != "aa" {
			t.Errorf("returning gave %d %q (%v), want 8 aa", n, text, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStatementErrors(t *testing.T) {
	t.Parallel()
	db := openTest(t, newPath(t), options())
	var kept *Tx
	var rows *Rows
	err := db.Write(t.Context(), func(tx *Tx) error {
		kept = tx
		var n int
		if err := tx.QueryRow("SELECT n FROM note").Scan(&n); !errors.Is(err, sql.ErrNoRows) {
			t.Errorf("row of an empty table: %v, want %v", err, sql.ErrNoRows)
		}
		if _, err := tx.Query("SELECT $1, $2", 1); err == nil {
			t.Error("one argument for two parameters is taken, want an error")
		}
		if _, err := tx.Query("SELECT $1, '$2'", 1, 2); err == nil {
			t.Error("two arguments for one parameter are taken, want an error")
		}
		if err := tx.QueryRow("SELECT 1, 2").Scan(&n); err == nil {
			t.Error("one destination for two columns is taken, want an error")
		}
		if err := tx.QueryRow(`SELECT "no such column"`).Scan(&n); err == nil {
			t.Error("a name that is missing is taken for a text, want an error")
		}
		for _, text := range []string{"BEGIN", " commit;", "END", "ROLLBACK", "savepoint x", "RELEASE op",
			"ATTACH ':memory:' AS x", "DETACH x", "VACUUM", "SELECT 1; COMMIT", "REPLACE INTO note SELECT 1, 'a'; ROLLBACK"} {
			if _, err := tx.Exec(text); !errors.Is(err, errControl) {
				t.Errorf("%s: %v, want %v", text, err, errControl)
			}
		}
		if err := addNote(1)(tx); err != nil {
			return err
		}
		var err error
		rows, err = tx.Query("SELECT n FROM note")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Exec("DELETE FROM note"); !errors.Is(err, errTxOver) {
		t.Errorf("statement after the end: %v, want %v", err, errTxOver)
	}
	if rows.Next() || rows.Scan(new(int)) == nil {
		t.Error("rows give a row after the end, want none")
	}
	err = db.Read(t.Context(), func(tx *Tx) error { return addNote(2)(tx) })
	if !errors.Is(err, ErrReadOnly) {
		t.Errorf("write in Read: %v, want %v", err, ErrReadOnly)
	}
}

// TestStatementCache runs more texts than the cache holds.
func TestStatementCache(t *testing.T) {
	t.Parallel()
	db := openTest(t, newPath(t), options())
	for round := range 3 {
		err := db.Read(t.Context(), func(tx *Tx) error {
			for i := range maxStatements {
				var n int
				text := fmt.Sprintf("SELECT %d", round*maxStatements+i)
				if err := tx.QueryRow(text).Scan(&n); err != nil || n != round*maxStatements+i {
					return fmt.Errorf("%s gave %d: %w", text, n, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range cap(db.readers) {
		if c := <-db.readers; c == nil {
			db.readers <- c
		} else {
			if len(c.stmts) > maxStatements {
				t.Errorf("cache holds %d statements, want at most %d", len(c.stmts), maxStatements)
			}
			db.readers <- c
		}
	}
}

// TestReadSnapshot reads twice around a write: the second read sees what the first saw.
func TestReadSnapshot(t *testing.T) {
	t.Parallel()
	db := openTest(t, newPath(t), options())
	err := db.Read(t.Context(), func(tx *Tx) error {
		for next := range 2 {
			var n int
			if err := tx.QueryRow("SELECT count(*) FROM note").Scan(&n); err != nil {
				return err
			}
			if n != 0 {
				t.Errorf("snapshot has %d notes, want none", n)
			}
			if err := db.Write(t.Context(), addNote(next)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(notes(t, db)); got != 2 {
		t.Errorf("got %d notes afterwards, want 2", got)
	}
}

// TestReadPool takes all readers: the next one waits and honours its context. A reader survives a panic.
func TestReadPool(t *testing.T) {
	t.Parallel()
	db := openTest(t, newPath(t), options())
	entered, leave, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	for range cap(db.readers) {
		go func() {
			ended <- db.Read(t.Context(), func(*Tx) error {
				entered <- struct{}{}
				<-leave
				return nil
			})
		}()
	}
	for range cap(db.readers) {
		<-entered
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Read(ctx, func(*Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Read without a free reader: %v, want %v", err, context.Canceled)
	}
	close(leave)
	for range cap(db.readers) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	for range cap(db.readers) + 1 {
		func() {
			defer func() {
				if p := recover(); p != "oh" {
					t.Errorf("recovered %v, want oh", p)
				}
			}()
			err := db.Read(t.Context(), func(tx *Tx) error {
				if _, err := tx.Query("SELECT n FROM note"); err != nil {
					return err
				}
				panic("oh")
			})
			t.Errorf("Read returned %v, want a panic", err)
		}()
	}
	if got := len(notes(t, db)); got != 0 {
		t.Errorf("got %d notes, want none", got)
	}
}
