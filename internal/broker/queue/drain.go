package queue

import (
	"context"
	"log/slog"
	"sync"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// load is a page of a mailbox that the hub wants.
type load struct {
	to   *address
	box  hub.Mailbox
	page hub.Page
}

// loads are the pages to be read, oldest first. The hub wants one of a mailbox at a time, which bounds them.
type loads struct {
	mu    sync.Mutex
	items []load
	wake  chan struct{} // holds one token while there are items
}

func newLoads() *loads { return &loads{wake: make(chan struct{}, 1)} }

func (s *loads) add(l load) {
	s.mu.Lock()
	s.items = append(s.items, l)
	s.mu.Unlock()
	signal(s.wake)
}

// take waits for a page; false when ctx has ended.
func (s *loads) take(ctx context.Context) (load, bool) {
	for {
		select {
		case <-ctx.Done():
			return load{}, false
		case <-s.wake:
		}
		s.mu.Lock()
		if len(s.items) == 0 {
			s.mu.Unlock()
			continue
		}
		l := s.items[0]
		if s.items = s.items[1:]; len(s.items) > 0 {
			signal(s.wake) // for the next reader
		}
		s.mu.Unlock()
		return l, true
	}
}

// readMailboxes reads pages until ctx ends.
func (q *Queue) readMailboxes(ctx context.Context) {
	for {
		l, ok := q.loads.take(ctx)
		if !ok {
			return
		}
		rows, more, err := q.readPage(ctx, l)
		if err != nil {
			q.log.Error("read mailbox", slog.Any(logkey.Err, err))
			q.in.post(func() { q.do(q.hub.LoadFailed(l.box)) })
			continue
		}
		q.in.post(func() { q.do(q.hub.Loaded(q.now(), l.box, rows, more)) })
	}
}

func (q *Queue) readPage(ctx context.Context, l load) (rows []hub.Row, more bool, err error) {
	var copies []store.Copy
	err = q.db.Read(ctx, func(tx *sqlite.Tx) error {
		copies, err = store.ListWaiting(tx, l.to.n, store.Page(l.page))
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
