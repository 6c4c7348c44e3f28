package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// gate is a function that holds the committer until open is closed, so that a test can fill the next group.
type gate struct{ entered, open chan struct{} }

func newGate() gate { return gate{make(chan struct{}), make(chan struct{})} }

func (g gate) hold(*Tx) error {
	close(g.entered)
	<-g.open
	return nil
}

// holdCommitter returns once the committer stands in the gate.
func holdCommitter(t *testing.T, db *DB) gate {
	t.Helper()
	g := newGate()
	if err := db.Submit(t.Context(), g.hold, func(error) {}); err != nil {
		t.Fatal(err)
	}
	<-g.entered
	return g
}

// TestGroup puts a hundred writes into one group, some of which fail in different ways.
func TestGroup(t *testing.T) {
	t.Parallel()
	db := openTest(t, newPath(t), options())
	g := holdCommitter(t, db)
	refused := errors.New("refused")
	bad := map[int]func(tx *Tx) error{
		10: func(tx *Tx) error { return errors.Join(addNote(10)(tx), refused) },
		20: addNote(19), // exists
		30: func(*Tx) error { return refused },
		40: func(tx *Tx) error { panic(errors.Join(addNote(40)(tx), refused)) },
		50: func(tx *Tx) error { _, err := tx.Exec("no such statement"); return err },
		60: func(tx *Tx) error { _, err := tx.Exec("COMMIT"); return err },
		70: func(tx *Tx) error { // leaves rows open and writes on
			if _, err := tx.Query("SELECT n FROM note"); err != nil {
				return err
			}
			return errors.Join(addNote(70)(tx), refused)
		},
		80: func(tx *Tx) error { // keeps the first of its rows, as a statement
			_, err := tx.Exec("INSERT OR FAIL INTO note VALUES (80, 'a'), (79, 'b')")
			return err
		},
		85: func(tx *Tx) error { // hides its change behind a reading
			_, err := tx.Exec("SELECT 1; INSERT INTO note VALUES (85, 'a')")
			return errors.Join(err, refused)
		},
		90: func(tx *Tx) error { // would roll back the others
			_, err := tx.Exec("INSERT OR ROLLBACK INTO note VALUES (89, 'a')")
			return err
		},
	}
	const last = 100
	errs := make([]error, last+1)
	var order []int
	var wg sync.WaitGroup
	for n := 1; n <= last; n++ {
		fn := bad[n]
		if fn == nil {
			fn = addNote(n)
		}
		wg.Add(1)
		err := db.Submit(t.Context(), fn, func(err error) {
			order, errs[n] = append(order, n), err
			wg.Done()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	close(g.open)
	wg.Wait()
	if !slices.Equal(order, span(1, last)) {
		t.Errorf("done was called in order %v, want the order of submission", order)
	}
	var want []int
	for n := 1; n <= last; n++ {
		if (errs[n] != nil) != (bad[n] != nil) {
			t.Errorf("write %d: %v", n, errs[n])
		}
		if bad[n] == nil {
			want = append(want, n)
		}
	}
	if got := notes(t, db); !slices.Equal(got, want) {
		t.Errorf("notes (-want +got):\n%s", cmp.Diff(want, got))
	}
	if _, ok := errors.AsType[*PanicError](errs[40]); !ok {
		t.Errorf("write 40: %v, want its panic", errs[40])
	}
	for n, target := range map[int]error{10: refused, 20: ErrUnique, 30: refused, 60: errControl, 80: ErrUnique, 85: refused, 90: errControl} {
		if !errors.Is(errs[n], target) {
			t.Errorf("write %d: %v, want %v", n, errs[n], target)
		}
	}
}

// TestGroupRollback has a trigger, left by another program, that rolls back the transaction of all: those
// before it in the group hear that nothing of them is there, those after it are written.
func TestGroupRollback(t *testing.T) {
	t.Parallel()
	db := openTest(t, newPath(t), options())
	err := db.Write(t.Context(), func(tx *Tx) error {
		_, err := tx.Exec("CREATE TRIGGER four BEFORE INSERT ON note WHEN new.n = 4 BEGIN SELECT RAISE(ROLLBACK, 'no'); END")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	g := holdCommitter(t, db)
	var errs [6]error
	var wg sync.WaitGroup
	for n := 2; n <= 5; n++ {
		wg.Add(1)
		if err := db.Submit(t.Context(), addNote(n), func(err error) { errs[n] = err; wg.Done() }); err != nil {
			t.Fatal(err)
		}
	}
	close(g.open)
	wg.Wait()
	for n, wantErr := range map[int]bool{2: true, 3: true, 4: true, 5: false} {
		if (errs[n] != nil) != wantErr {
			t.Errorf("write %d: %v, want an error: %v", n, errs[n], wantErr)
		}
	}
	if got, want := notes(t, db), []int{5}; !slices.Equal(got, want) {
		t.Errorf("got notes %v, want %v", got, want)
	}
}

// TestWriteManyCallers checks that a write is readable when Write returns.
func TestWriteManyCallers(t *testing.T) {
	t.Parallel()
	db := openTest(t, newPath(t), Options{Migrations: noteSchema, Now: options().Now, QueueLen: 3, MaxBatch: 5})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				n := w*20 + i
				if err := db.Write(t.Context(), addNote(n)); err != nil {
					t.Errorf("write %d: %v", n, err)
				}
				var found int
				err := db.Read(t.Context(), func(tx *Tx) error {
					return tx.QueryRow("SELECT n FROM note WHERE n = $1", n).Scan(&found)
				})
				if err != nil || found != n {
					t.Errorf("read %d after its write: got %d, %v", n, found, err)
				}
			}
		})
	}
	wg.Wait()
	if got := len(notes(t, db)); got != 160 {
		t.Errorf("got %d notes, want 160", got)
	}
}

// TestQueueBound fills the queue: the next caller waits, honours its context, and gets in when there is room.
func TestQueueBound(t *testing.T) {
	t.Parallel()
	opt := options()
	opt.QueueLen = 2
	db := openTest(t, newPath(t), opt)
	g := holdCommitter(t, db)
	var wg sync.WaitGroup
	wg.Add(3)
	count := func(error) { wg.Done() }
	for n := 1; n <= 2; n++ {
		if err := db.Submit(t.Context(), addNote(n), count); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	left := make(chan error)
	go func() {
		left <- db.Submit(ctx, addNote(98), func(error) { t.Error("done of a refused Submit was called") })
	}()
	select {
	case err := <-left:
		t.Fatalf("Submit into a full queue returned %v, want it to wait", err)
	default:
		cancel(nil)
	}
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("Submit with a context that ended: %v, want %v", err, context.Canceled)
	}
	go func() { left <- db.Submit(t.Context(), addNote(3), count) }()
	close(g.open)
	if err := <-left; err != nil {
		t.Errorf("Submit once there is room: %v", err)
	}
	wg.Wait()
	if got, want := notes(t, db), span(1, 3); !slices.Equal(got, want) {
		t.Errorf("got notes %v, want %v", got, want)
	}
}

// TestWriteLeaves ends the context of a Write that waits in the queue: it returns at once and never runs.
func TestWriteLeaves(t *testing.T) {
	t.Parallel()
	db := openTest(t, newPath(t), options())
	g := holdCommitter(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { left <- db.Write(ctx, addNote(1)) }()
	for len(db.queue) == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("Write: %v, want %v", err, context.Canceled)
	}
	close(g.open)
	if err := db.Write(t.Context(), addNote(2)); err != nil {
		t.Fatal(err)
	}
	if got, want := notes(t, db), []int{2}; !slices.Equal(got, want) {
		t.Errorf("got notes %v, want %v", got, want)
	}
	if err := db.Write(ctx, addNote(3)); !errors.Is(err, context.Canceled) {
		t.Errorf("Write with a context that ended before: %v, want %v", err, context.Canceled)
	}
}

// TestClose finishes what was accepted, answers it, and refuses what comes later.
func TestClose(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := openTest(t, path, options())
	g := holdCommitter(t, db)
	var answered []error
	for n := 1; n <= 50; n++ {
		if err := db.Submit(t.Context(), addNote(n), func(err error) { answered = append(answered, err) }); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan error)
	for range 2 {
		go func() { closed <- db.Close() }()
	}
	<-db.closing
	close(g.open)
	if err := errors.Join(<-closed, <-closed); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := errors.Join(answered...); err != nil || len(answered) != 50 {
		t.Errorf("%d writes answered with %v, want 50 without error", len(answered), err)
	}
	never := func(error) { t.Error("done was called after Close") }
	for name, err := range map[string]error{
		"Write":  db.Write(t.Context(), addNote(51)),
		"Submit": db.Submit(t.Context(), addNote(51), never),
		"Read":   db.Read(t.Context(), func(*Tx) error { return nil }),
		"Check":  db.Check(t.Context()),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v, want %v", name, err, ErrClosed)
		}
	}
	if got, want := notes(t, openTest(t, path, options())), span(1, 50); !slices.Equal(got, want) {
		t.Errorf("got notes %v, want %v", got, want)
	}
}

// TestWritePanic lets the panic of a write go on in its caller, and the store with the next write.
func TestWritePanic(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	opt := options()
	opt.Log = slog.New(slog.NewTextHandler(&logged, nil))
	db := openTest(t, newPath(t), opt)
	func() {
		defer func() {
			p, ok := recover().(*PanicError)
			if !ok || p.Value != "oh" || !strings.Contains(string(p.Stack), "commit_test.go") {
				t.Errorf("recovered %v, want the panic with its stack", p)
			}
		}()
		err := db.Write(t.Context(), func(tx *Tx) error { panic(fmt.Sprint("oh", addNote(1)(tx))[:2]) })
		t.Errorf("Write returned %v, want a panic", err)
	}()
	done := make(chan error)
	if err := db.Submit(t.Context(), func(*Tx) error { panic("ah") }, func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(logged.String(), "ah") {
		t.Errorf("Submit answered %v and logged %q, want the panic in both", err, logged.String())
	}
	if err := db.Write(t.Context(), addNote(2)); err != nil {
		t.Errorf("write after panics: %v", err)
	}
	if got, want := notes(t, db), []int{2}; !slices.Equal(got, want) {
		t.Errorf("got notes %v, want %v", got, want)
	}
}

// TestGoexit ends the committer's goroutine from inside, as a failing test would: nobody waits for ever.
func TestGoexit(t *testing.T) {
	t.Parallel()
	db := openTest(t, newPath(t), options())
	g := holdCommitter(t, db)
	errs := make(chan error, 3)
	for _, fn := range []func(*Tx) error{addNote(1), func(*Tx) error { runtime.Goexit(); return nil }, addNote(2)} {
		if err := db.Submit(t.Context(), fn, func(err error) { errs <- err }); err != nil {
			t.Fatal(err)
		}
	}
	close(g.open)
	for range 3 {
		if err := <-errs; !errors.Is(err, ErrStoreFailed) {
			t.Errorf("write in the group: %v, want %v", err, ErrStoreFailed)
		}
	}
	if err := db.Write(t.Context(), addNote(3)); !errors.Is(err, ErrStoreFailed) {
		t.Errorf("write after that: %v, want %v", err, ErrStoreFailed)
	}
	if got := notes(t, db); len(got) != 0 {
		t.Errorf("got notes %v, want none", got)
	}
}
