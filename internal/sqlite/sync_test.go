package sqlite

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// openSynced opens a store with one function in a group, whose log is synced by sync, after the real sync.
func openSynced(t *testing.T, sync func() error) *DB {
	t.Helper()
	opt := options()
	opt.MaxBatch = 1
	db, err := open(t.Context(), newPath(t), opt)
	if err != nil {
		t.Fatal(err)
	}
	db.syncer.sync = func() error { return errors.Join(db.syncer.syncLog(), sync()) }
	db.start()
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

// submit queues a function and returns where its answer comes.
func submit(t *testing.T, db *DB, fn func(*Tx) error) <-chan error {
	t.Helper()
	answer := make(chan error, 1)
	if err := db.Submit(t.Context(), fn, func(err error) { answer <- err }); err != nil {
		t.Fatal(err)
	}
	return answer
}

// unanswered fails when there is an answer already.
func unanswered(t *testing.T, answers ...<-chan error) {
	t.Helper()
	for i, answer := range answers {
		select {
		case err := <-answer:
			t.Errorf("write %d was answered with %v while its sync was under way", i, err)
		default:
		}
	}
}

// TestSyncOverlaps holds the sync of a group: it is not answered, nor is who may have read it, and the next group runs
// meanwhile. Then a sync fails:
// its group, and all that come after, are told that the store has failed.
func TestSyncOverlaps(t *testing.T) {
	t.Parallel()
	begun, ended := make(chan struct{}), make(chan error)
	db := openSynced(t, func() error {
		begun <- struct{}{}
		return <-ended
	})
	held := newGate()
	gate := submit(t, db, held.hold)
	<-held.entered
	ran := make(chan struct{})
	first := submit(t, db, func(tx *Tx) error {
		close(ran)
		return addNote(1)(tx)
	})
	second, third := submit(t, db, addNote(2)), submit(t, db, addNote(3))
	close(held.open)

	<-begun // for the gate
	<-ran
	unanswered(t, gate, first)
	read := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		read <- db.Read(t.Context(), func(tx *Tx) error {
			var n int
			err := tx.QueryRow("SELECT count(*) FROM note").Scan(&n)
			close(ready)
			return err
		})
	}()
	<-ready
	ended <- nil
	if err := <-gate; err != nil {
		t.Error(err)
	}

	<-begun // for note 1
	unanswered(t, first, second, read)
	ended <- errors.New("the disk is gone")
	if err := <-read; err != nil {
		t.Errorf("read: %v", err)
	}
	for i, answer := range []<-chan error{first, second, third} {
		if err := <-answer; !errors.Is(err, ErrStoreFailed) {
			t.Errorf("write %d after a sync that failed: %v, want %v", i+1, err, ErrStoreFailed)
		}
	}
	if err := db.Write(t.Context(), addNote(4)); !errors.Is(err, ErrStoreFailed) {
		t.Errorf("write to the failed store: %v, want %v", err, ErrStoreFailed)
	}
}

// TestSyncAlone writes one at a time: each is answered after a sync of its own, and the one whose sync fails is not.
func TestSyncAlone(t *testing.T) {
	t.Parallel()
	syncs := 0
	db := openSynced(t, func() error {
		if syncs++; syncs == 4 {
			return errors.New("the disk is gone")
		}
		return nil
	})
	for n := 1; n <= 3; n++ {
		if err := db.Write(t.Context(), addNote(n)); err != nil || syncs != n {
			t.Fatalf("write %d: %v after %d syncs, want none missing", n, err, syncs)
		}
	}
	if err := db.Write(t.Context(), addNote(4)); !errors.Is(err, ErrStoreFailed) {
		t.Errorf("write whose sync failed: %v, want %v", err, ErrStoreFailed)
	}
}

// TestNobodyLeftDuringSync lets the only caller of a group leave while the group before is being synced.
func TestNobodyLeftDuringSync(t *testing.T) {
	t.Parallel()
	begun, ended := make(chan struct{}), make(chan error)
	held := newGate()
	db := openSynced(t, func() error {
		begun <- struct{}{}
		return <-ended
	})
	gate := submit(t, db, held.hold)
	<-held.entered
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { left <- db.Write(ctx, addNote(1)) }()
	for len(db.queue) == 0 {
		runtime.Gosched()
	}
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatalf("write of a caller who left: %v", err)
	}
	ran := make(chan struct{})
	last := submit(t, db, func(tx *Tx) error {
		close(ran)
		return addNote(2)(tx)
	})
	close(held.open)
	<-begun
	<-ran
	ended <- nil
	<-begun
	ended <- nil
	for i, answer := range []<-chan error{gate, last} {
		if err := <-answer; err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if got, want := notes(t, db), []int{2}; !slices.Equal(got, want) {
		t.Errorf("got notes %v, want %v", got, want)
	}
}

// TestUndoneInOrder has a group undone while the one before is being synced: answers keep the order.
func TestUndoneInOrder(t *testing.T) {
	t.Parallel()
	db := openSynced(t, func() error { return nil })
	held := newGate()
	var order []int
	done := make(chan struct{})
	note := func(i int) func(error) {
		return func(error) { // one at a time, whoever calls
			if order = append(order, i); i == 4 {
				close(done)
			}
		}
	}
	broken := func(tx *Tx) error {
		_, err := tx.Exec("INSERT INTO note VALUES (1, 'again')")
		return err
	}
	for i, fn := range []func(*Tx) error{held.hold, addNote(1), broken, broken, addNote(2)} {
		if err := db.Submit(t.Context(), fn, note(i)); err != nil {
			t.Fatal(err)
		}
	}
	close(held.open)
	<-done
	if diff := cmp.Diff([]int{0, 1, 2, 3, 4}, order); diff != "" {
		t.Errorf("order of answers (-want +got):\n%s", diff)
	}
	if got, want := notes(t, db), []int{1, 2}; !slices.Equal(got, want) {
		t.Errorf("got notes %v, want %v", got, want)
	}
}

// TestGoexitInDone ends the syncer's goroutine from inside, as a failing test would: nobody waits for ever.
func TestGoexitInDone(t *testing.T) {
	t.Parallel()
	db := openTest(t, newPath(t), options())
	g := holdCommitter(t, db)
	if err := db.Submit(t.Context(), addNote(1), func(error) { runtime.Goexit() }); err != nil {
		t.Fatal(err)
	}
	same := submit(t, db, addNote(2))
	close(g.open)
	if err := <-same; err != nil && !errors.Is(err, ErrStoreFailed) {
		t.Errorf("write in the same group: %v", err)
	}
	for {
		err := db.Write(t.Context(), addNote(3))
		if errors.Is(err, ErrStoreFailed) {
			return
		}
		if err != nil && !errors.Is(err, ErrUnique) {
			t.Fatalf("write after that: %v, want %v", err, ErrStoreFailed)
		}
	}
}
