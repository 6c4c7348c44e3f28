package sqlite

import (
	"errors"
	"slices"
	"sync"
	"testing"
)

// TestFull lets a group meet a full file: all of it is refused, whole, reads go on, and writing resumes
// once there is room.
func TestFull(t *testing.T) {
	t.Parallel()
	db := openTest(t, newPath(t), options())
	set := func(pragma string) {
		t.Helper()
		if err := db.Write(t.Context(), func(tx *Tx) error { _, err := tx.Exec(pragma); return err }); err != nil {
			t.Fatal(err)
		}
	}
	set("PRAGMA max_page_count = 20")
	stored := fillUntilRefused(t, db, ErrFull)
	g := holdCommitter(t, db)
	var errs [4]error
	var wg sync.WaitGroup
	submit := func(i int, fn func(*Tx) error) {
		wg.Add(1)
		if err := db.Submit(t.Context(), fn, func(err error) { errs[i] = err; wg.Done() }); err != nil {
			t.Fatal(err)
		}
	}
	submit(0, func(tx *Tx) error { _, err := tx.Exec("DELETE FROM note WHERE n = 1"); return err })
	submit(1, func(tx *Tx) error { // swallows the error and goes on
		_, err := tx.Exec("INSERT INTO note VALUES (9999, hex(zeroblob(100000)))")
		if again := addNote(9998)(tx); !errors.Is(again, ErrFull) || !errors.Is(err, ErrFull) {
			t.Errorf("statements of a refused write: %v, %v, want %v for both", err, again, ErrFull)
		}
		return nil
	})
	submit(2, func(tx *Tx) error { _, err := tx.Exec("DELETE FROM note WHERE n = 2"); return err })
	submit(3, func(*Tx) error { return errControl })
	close(g.open)
	wg.Wait()
	for i, want := range []error{ErrFull, ErrFull, nil, errControl} {
		if !errors.Is(errs[i], want) {
			t.Errorf("write %d of the group: %v, want %v", i, errs[i], want)
		}
	}
	stored = slices.DeleteFunc(stored, func(n int) bool { return n == 2 })
	if got := notes(t, db); !slices.Equal(got, stored) {
		t.Errorf("got notes %v, want %v", got, stored)
	}
	set("PRAGMA max_page_count = 1000")
	if err := db.Write(t.Context(), addNote(10_000)); err != nil {
		t.Errorf("write once there is room: %v", err)
	}
	if err := db.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// fillUntilRefused writes notes from 1 until the first refusal, which must be want, and returns those stored.
func fillUntilRefused(t *testing.T, db *DB, want error) []int {
	t.Helper()
	for n := 1; n < 100_000; n++ {
		if err := db.Write(t.Context(), addNote(n)); err != nil {
			if !errors.Is(err, want) {
				t.Fatalf("write %d: %v, want %v", n, err, want)
			}
			return span(1, n-1)
		}
	}
	t.Fatal("the file never became full")
	return nil
}
