package queue

import (
	"context"
	"log/slog"
	"sync"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// load is a page of a mailbox that the hub wants.
type load struct {
	to   *address
	box  hub.Mailbox
	page hub.Page
}

// drain reads mailboxes for the hub, oldest wish first. The hub wants one page of a mailbox at a time, which bounds
// what waits here.
type drain struct {
	db   *sqlite.DB
	log  *slog.Logger
	loop *loop

	mu    sync.Mutex
	items []load
	wake  chan struct{} // holds one token while there are items
}

// readers is how many goroutines read mailboxes; the store has four connections that read.
const readers = 2

func newDrain(opt Options, l *loop) *drain {
	return &drain{db: opt.DB, log: opt.Log, loop: l, wake: make(chan struct{}, 1)}
}

func (d *drain) add(l load) {
	d.mu.Lock()
	d.items = append(d.items, l)
	d.mu.Unlock()
	signal(d.wake)
}

// run reads pages until ctx ends. Several may run.
func (d *drain) run(ctx context.Context) {
	for {
		l, ok := d.take(ctx)
		if !ok {
			return
		}
		rows, more, err := d.read(ctx, l)
		d.loop.in.post(func() {
			if ctx.Err() == nil {
				d.loop.faults.reads.note(d.loop.now(), d.log, err)
			}
			if err != nil {
				d.loop.do(d.loop.hub.LoadFailed(l.box))
				return
			}
			d.loop.do(d.loop.hub.Loaded(d.loop.now(), l.box, rows, more))
		})
	}
}

// take waits for a page; false when ctx has ended.
func (d *drain) take(ctx context.Context) (load, bool) {
	for {
		select {
		case <-ctx.Done():
			return load{}, false
		case <-d.wake:
		}
		if l, ok := d.first(); ok {
			return l, true
		}
	}
}

func (d *drain) first() (load, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.items) == 0 {
		return load{}, false
	}
	l := d.items[0]
	if d.items = d.items[1:]; len(d.items) > 0 {
		signal(d.wake) // for the next reader
	}
	return l, true
}

func (d *drain) read(ctx context.Context, l load) (rows []hub.Row, more bool, err error) {
	var copies []store.Copy
	defer d.loop.writer.ledger.spreads.end(l.to.n)
	if d.loop.writer.ledger.spreads.begin(l.to.n) {
		if err := d.loop.unfold(ctx, &l.to.n); err != nil {
			return nil, false, err
		}
	}
	err = d.db.Read(ctx, func(tx *sqlite.Tx) error {
		list := store.ListWaiting
		if d.loop.dir.restricted(l.box.Member) {
			list = store.ListPermitted
		}
		copies, err = list(tx, l.to.n, store.Page(l.page))
		return err
	})
	if err != nil {
		return nil, false, err
	}
	rows = make([]hub.Row, 0, len(copies))
	for i := range copies {
		row, err := storedRow(l.to, &copies[i])
		if err != nil {
			return nil, false, err
		}
		rows = append(rows, row)
	}
	return rows, len(rows) > 0 && len(rows) == l.page.Limit, nil
}
