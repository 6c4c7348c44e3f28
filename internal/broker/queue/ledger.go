package queue

import (
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// ledger is what acceptance must know and must not ask the store for each time: the next numbers, and how much waits
// for whom (design D3). It belongs to the committer's goroutine and is read from the store again after a group was lost.
type ledger struct {
	set      config.Broker
	loaded   bool
	messages int64               // highest Message.N
	receipts map[int64]int64     // highest number, by Member.N of the sender; filled as they come
	run      int64               // of receipts, that is open
	inRun    int                 // receipts in it
	pairs    map[pair]use        // what one sender has waiting in one mailbox
	boxes    map[store.Box]int64 // bytes waiting in a mailbox
	meshes   map[mesh.ID]int64   // bytes waiting in a mesh
	banned   map[int64]bool      // by Member.N
	spreads  spreads
}

type pair struct {
	sender int64
	to     store.Box
}

type use struct {
	rows  int
	bytes int64
}

// runReceipts is how many receipts, or a message more, share a run: a few pages of their index.
const runReceipts = 2048

// maxReceiptSenders bounds ledger.receipts; at the bound they are read again as they come.
const maxReceiptSenders = 1 << 16

func (l *ledger) forget() {
	l.loaded = false
	l.spreads.forget()
}

// load reads the ledger from the store, once.
func (l *ledger) load(tx *sqlite.Tx) error {
	if l.loaded {
		return nil
	}
	l.receipts, l.pairs = map[int64]int64{}, map[pair]use{}
	l.boxes, l.meshes = map[store.Box]int64{}, map[mesh.ID]int64{}
	banned, err := store.ListBanned(tx)
	if err != nil {
		return err
	}
	l.banned = map[int64]bool{}
	for _, n := range banned {
		l.banned[n] = true
	}
	if l.messages, err = store.LastMessage(tx); err != nil {
		return err
	}
	if err := l.openRun(tx); err != nil {
		return err
	}
	if err := store.UnfoldAll(tx); err != nil {
		return err
	}
	l.spreads.reset()
	all, err := store.ListUsage(tx)
	if err != nil {
		return err
	}
	for _, u := range all {
		l.pairs[pair{u.Sender, u.To}] = use{u.Rows, u.Bytes}
		l.boxes[u.To] += u.Bytes
		l.meshes[u.Mesh] += u.Bytes
	}
	l.loaded = true
	return nil
}

// admits refuses a copy that would fill its recipient's mailbox, or its sender's part of it. The error is queue_full.
func (l *ledger) admits(sender int64, to store.Box, bytes int64) error {
	u := l.pairs[pair{sender, to}]
	switch {
	case u.rows >= l.set.PairRows:
		return full(config.BoundPairRows, "%d messages of yours wait for this recipient", u.rows)
	case u.bytes+bytes > l.set.PairBytes:
		return full(config.BoundPairBytes, "%d messages of yours wait for this recipient", u.rows)
	case l.boxes[to]+bytes > l.set.RecipientBytes:
		return full(config.BoundRecipientBytes, "too much waits for this recipient")
	}
	return nil
}

func full(bound config.Bound, format string, args ...any) error {
	return met{error: mesh.Errorf(mesh.QueueFull, format, args...), bound: bound}
}

// admitsMesh refuses what would fill the mesh.
func (l *ledger) admitsMesh(meshID mesh.ID, bytes int64) error {
	if l.meshes[meshID]+bytes > l.set.MeshBytes {
		return full(config.BoundMeshBytes, "too much waits in this mesh")
	}
	return nil
}

// charge adds a copy that waits.
func (l *ledger) charge(meshID mesh.ID, d store.Delivery) {
	l.chargeBox(d)
	l.meshes[meshID] += d.Bytes
}

// chargeBox is charge without the mesh's part.
func (l *ledger) chargeBox(d store.Delivery) {
	p := pair{d.Sender, d.To}
	u := l.pairs[p]
	l.pairs[p] = use{u.rows + 1, u.bytes + d.Bytes}
	l.boxes[d.To] += d.Bytes
}

// release takes a copy away that no longer waits.
func (l *ledger) release(meshID mesh.ID, d store.Delivery) {
	l.releaseBox(d)
	less(l.meshes, meshID, d.Bytes)
}

// releaseBox is release without the mesh's part.
func (l *ledger) releaseBox(d store.Delivery) {
	p := pair{d.Sender, d.To}
	u := l.pairs[p]
	if u = (use{u.rows - 1, u.bytes - d.Bytes}); u.rows <= 0 {
		delete(l.pairs, p)
	} else {
		l.pairs[p] = u
	}
	less(l.boxes, d.To, d.Bytes)
}

func less[K comparable](m map[K]int64, k K, bytes int64) {
	if m[k] -= bytes; m[k] <= 0 {
		delete(m, k)
	}
}

// nextReceipt returns the number for the next receipt of a sender. It counts when it is kept by keepReceipt.
func (l *ledger) nextReceipt(tx *sqlite.Tx, sender int64) (int64, error) {
	last, ok := l.receipts[sender]
	if !ok {
		var err error
		if last, err = store.LastReceipt(tx, sender, l.run); err != nil {
			return 0, err
		}
		if len(l.receipts) >= maxReceiptSenders {
			clear(l.receipts)
		}
		l.receipts[sender] = last
	}
	return last + 1, nil
}

// keepReceipts counts n receipts that were written, from a number on.
func (l *ledger) keepReceipts(tx *sqlite.Tx, sender, first int64, n int) error {
	l.receipts[sender] = first + int64(n) - 1
	if l.inRun += n; l.inRun < runReceipts {
		return nil
	}
	return l.openRun(tx)
}

// openRun begins the run after the last one in use.
func (l *ledger) openRun(tx *sqlite.Tx) error {
	last, err := store.LastRun(tx)
	if err != nil {
		return err
	}
	l.run, l.inRun = last+1, 0
	return store.CloseRun(tx, last)
}
