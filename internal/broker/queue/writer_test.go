package queue

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// noted is an op that changes nothing.
type noted struct{}

func (noted) apply(*sqlite.Tx, *ledger) error { return nil }

// TestLazyOpsAreStoredAlone holds that what can wait is stored also when nothing follows it, however much came before
// it at once.
func TestLazyOpsAreStoredAlone(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "broker.db"), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	stored := make(chan int, 8)
	w := newWriter(db, &ledger{}, func(ops []op, err error) {
		if err != nil {
			t.Errorf("store %d ops: %v", len(ops), err)
		}
		stored <- len(ops)
	})
	for _, n := range []int{1, lazyOps, 1, lazyOps + 1, 2} {
		ops := make([]op, n)
		for i := range ops {
			ops[i] = noted{}
		}
		w.addLazy(ops...)
		select {
		case got := <-stored:
			if got != n {
				t.Fatalf("stored %d ops, want %d", got, n)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%d ops that nobody waits for were not stored", n)
		}
	}
}
