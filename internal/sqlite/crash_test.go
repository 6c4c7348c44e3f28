package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// childWrite writes notes from eight goroutines until it is killed, or until each was refused four times, and
// prints the number of each after its acknowledgement.
func childWrite(path string) error {
	ctx := context.Background()
	db, err := Open(ctx, path, options())
	if err != nil {
		return err
	}
	var next int
	err = db.Read(ctx, func(tx *Tx) error {
		return tx.QueryRow("SELECT coalesce(max(n), 0) FROM note").Scan(&next)
	})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for refused := 0; refused < 4; {
				mu.Lock()
				next++
				n := next
				mu.Unlock()
				failure := db.Write(ctx, addNote(n))
				switch {
				case failure != nil:
					refused++
					mu.Lock()
					err = failure
					mu.Unlock()
				case refused > 0:
					fmt.Println("acknowledged after a refusal:", n)
					return
				default:
					fmt.Println("ok", n)
				}
			}
		})
	}
	wg.Wait()
	return err
}

// TestKill kills a writing process again and again: whatever it was told is stored is there afterwards.
func TestKill(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	var acknowledged []int
	for round := range 5 {
		c := startChild(t, "write", path)
		for i := 0; ; i++ {
			line := c.next()
			if line == "" {
				break
			}
			n, err := strconv.Atoi(line[len("ok "):])
			if err != nil {
				t.Fatalf("child says %q, want a number", line)
			}
			acknowledged = append(acknowledged, n)
			if i == 100+37*round {
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = c.Wait() // it was killed
		db := openTest(t, path, options())
		if err := db.Check(t.Context()); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		checkThere(t, db, acknowledged)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) < 500 {
		t.Errorf("%d writes were acknowledged, want 500 for the test to mean something", len(acknowledged))
	}
}

// checkThere wants all acknowledged notes in the store, with their bodies.
func checkThere(t *testing.T, db *DB, acknowledged []int) {
	t.Helper()
	found := notes(t, db)
	for _, n := range acknowledged {
		if _, there := slices.BinarySearch(found, n); !there {
			t.Errorf("note %d was acknowledged and is gone", n)
		}
	}
}

// TestTornLog cuts the log of a crashed process, or flips a bit in it, at many places: what opens is a prefix of
// what was written, in order, and never damage.
func TestTornLog(t *testing.T) {
	t.Parallel()
	const last, stride = 40, 9973 // bytes; a prime, so that cuts fall anywhere in a page
	path := newPath(t)
	db := openTest(t, path, options())
	for n := 1; n <= last; n++ {
		if err := db.Write(t.Context(), addNote(n)); err != nil {
			t.Fatal(err)
		}
	}
	file, log := read(t, path), read(t, path+"-wal")
	for _, damage := range []struct {
		name string
		do   func(log []byte, at int) []byte
	}{
		{"cut", func(log []byte, at int) []byte { return log[:at] }},
		{"bit", func(log []byte, at int) []byte { log[at] ^= 0x10; return log }},
	} {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			longest := -1
			for at := 0; at < len(log); at += stride {
				torn := filepath.Join(t.TempDir(), "torn.db")
				write(t, torn, file)
				write(t, torn+"-wal", damage.do(slices.Clone(log), at))
				db, err := Open(t.Context(), torn, options())
				if err != nil {
					t.Fatalf("open with the log damaged at %d: %v", at, err)
				}
				got := notes(t, db)
				if want := span(1, len(got)); !slices.Equal(got, want) {
					t.Errorf("log damaged at %d (-want +got):\n%s", at, cmp.Diff(want, got))
				}
				if len(got) < longest {
					t.Errorf("log damaged at %d gives %d notes, earlier damage gave %d", at, len(got), longest)
				}
				longest = max(longest, len(got))
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if longest < last/2 {
				t.Errorf("the longest prefix has %d notes, want more: the test damages too little of the log", longest)
			}
		})
	}
}

// T6: a bit of a file flips, anywhere. It opens with everything that is in it, or is refused as damaged and not touched.
func TestT6FlippedBit(t *testing.T) {
	t.Parallel()
	const last, stride = 60, 401 // bytes; a prime
	whole := made(t, options(), fmt.Sprintf("WITH RECURSIVE i(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM i WHERE n < %d)"+
		" INSERT INTO note SELECT n, hex(zeroblob(150)) FROM i", last))
	refused := 0
	for at := 0; at < len(whole); at += stride {
		path := newPath(t)
		flipped := slices.Clone(whole)
		flipped[at] ^= 1 << (at % 8)
		write(t, path, flipped)
		db, err := Open(t.Context(), path, options())
		if err != nil {
			refused++
			if code := mesh.CodeOf(Coded(err)); code != mesh.StoreCorrupt && code != mesh.StoreNewer || !strings.Contains(err.Error(), path) {
				t.Errorf("bit in byte %d: %v, want that %s is damaged", at, err, path)
			}
			if !bytes.Equal(read(t, path), flipped) {
				t.Errorf("bit in byte %d: the file was refused and changed", at)
			}
			continue
		}
		n := 0
		err = db.Read(t.Context(), func(tx *Tx) error { return tx.QueryRow("SELECT count(*) FROM note").Scan(&n) })
		if err := errors.Join(err, db.Close()); err != nil || n != last {
			t.Errorf("bit in byte %d: %d notes, %v, want %d or a refusal", at, n, err, last)
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

// TestHotJournal opens a file whose last writer, in the journal mode of other programs, died in a transaction.
func TestHotJournal(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := newPath(t)
	write(t, path, made(t, options(), "INSERT INTO note VALUES (1, '"+body(1)+"')"))
	c, err := connect(ctx, dsn(path, readWrite, 0, "journal_mode(delete)", "cache_size(1)"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}()
	before := read(t, path)
	err = c.script(ctx, "BEGIN; UPDATE note SET body = 'never'; WITH RECURSIVE i(n) AS (VALUES (2) UNION ALL"+
		" SELECT n + 1 FROM i WHERE n < 500) INSERT INTO note SELECT n, hex(zeroblob(100)) FROM i")
	if err != nil {
		t.Fatal(err)
	}
	left := newPath(t)
	write(t, left, read(t, path))
	write(t, left+"-journal", read(t, path+"-journal"))
	if slices.Equal(read(t, left), before) {
		t.Fatal("the transaction did not reach the file, so there is nothing to roll back")
	}
	db := openTest(t, left, options())
	if got, want := notes(t, db), []int{1}; !slices.Equal(got, want) {
		t.Errorf("got notes %v, want %v", got, want)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, fileMode); err != nil {
		t.Fatal(err)
	}
}
