package queue

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

const (
	bodiesEvery = 5 * time.Second // how long the body of a final message stays
	expireEvery = 5 * time.Minute // how late a message expires, or a quarter of its lifetime
	pruneEvery  = time.Hour
	checkEvery  = 24 * time.Hour      // between two searches for rows that belong to nothing (daemon 15)
	receiptTTL  = 14 * 24 * time.Hour // how long a receipt can be read after it was written
	sliceRows   = 512                 // of one transaction, so that acceptance does not wait for a sweep
)

// sweeper forgets what is over.
type sweeper struct {
	db    *sqlite.DB
	set   config.Broker
	now   mesh.Clock
	log   *slog.Logger
	loop  *loop
	spent *spent

	spared map[lateCopy]bool // by the last expire
}

func newSweeper(opt Options, l *loop) *sweeper {
	return &sweeper{db: opt.DB, set: opt.Settings, now: opt.Now, log: opt.Log, loop: l, spent: newSpent()}
}

// run sweeps until ctx ends.
func (s *sweeper) run(ctx context.Context) {
	var bodies <-chan time.Time
	expire := time.NewTicker(max(time.Second, min(expireEvery, s.set.MessageTTL/4)))
	defer expire.Stop()
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	s.swept(ctx, "withdraw", s.withdraw(ctx)) // what a process that ended had not done yet
	s.swept(ctx, "drop bodies", s.dropAllBodies(ctx))
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.spent.wake:
			bodies = time.After(bodiesEvery) // together with what comes until then
		case <-bodies:
			err := s.dropBodies(ctx)
			if err != nil {
				s.spent.lose()
			}
			s.swept(ctx, "drop bodies", err)
		case <-expire.C:
			s.swept(ctx, "expire", s.expire(ctx))
			s.swept(ctx, "bequeath", s.inherit(ctx))
		case <-prune.C:
			s.swept(ctx, "prune", s.prune(ctx))
		case <-check.C:
			s.swept(ctx, "check", s.check(ctx))
		}
	}
}

// swept logs what went wrong; the next sweep tries again.
func (s *sweeper) swept(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		s.log.Warn("sweep of the store stopped", slog.String(logkey.Component, what), slog.Any(logkey.Err, err))
	}
}

// expire ends the copies that have waited for too long. One that is on its way to its recipient may be there already: it has
// until the next time.
func (s *sweeper) expire(ctx context.Context) error {
	before := s.spared
	s.spared = map[lateCopy]bool{}
	return s.end(ctx, store.Expired, func(tx *sqlite.Tx) ([]store.Overdue, error) {
		return store.ListOverdue(tx, s.now().Add(-s.set.MessageTTL), sliceRows)
	}, func(late []store.Overdue) ([]store.Overdue, error) { return s.spare(ctx, late, before) })
}

// lateCopy names a copy of a message.
type lateCopy struct {
	message int64
	to      store.Box
}

// spare takes out what is on its way, but for what was taken out before.
func (s *sweeper) spare(ctx context.Context, late []store.Overdue, before map[lateCopy]bool) ([]store.Overdue, error) {
	return ask(ctx, s.loop, func() []store.Overdue {
		return slices.DeleteFunc(late, func(o store.Overdue) bool {
			c := lateCopy{o.Message, o.To}
			spared := !before[c] && hub.Flies(s.loop.hub, hub.Mailbox{Member: o.Recipient, Session: o.Session}, o.Message)
			if spared {
				s.spared[c] = true
			}
			return spared
		})
	})
}

// withdraw ends the copies that those who are banned have sent.
func (s *sweeper) withdraw(ctx context.Context) error {
	list := func(tx *sqlite.Tx) ([]store.Overdue, error) { return store.ListBannedMail(tx, sliceRows) }
	return s.end(ctx, store.Withdrawn, list, func(all []store.Overdue) ([]store.Overdue, error) { return all, nil })
}

// end ends what is listed and chosen, a slice after the other, until nothing is.
func (s *sweeper) end(ctx context.Context, how store.Outcome, list func(*sqlite.Tx) ([]store.Overdue, error), choose func([]store.Overdue) ([]store.Overdue, error)) error {
	if err := s.loop.unfold(ctx, nil); err != nil {
		return err
	}
	for {
		var late []store.Overdue
		err := s.db.Read(ctx, func(tx *sqlite.Tx) (err error) {
			late, err = list(tx)
			return err
		})
		if err == nil && len(late) > 0 {
			late, err = choose(late)
		}
		if err != nil || len(late) == 0 {
			return err
		}
		for _, o := range late {
			s.loop.writer.add(s.overdue(o, how))
		}
		stored := barrier{make(chan error, 1)}
		s.loop.writer.add(stored)
		select {
		case err = <-stored.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

func (s *sweeper) overdue(o store.Overdue, how store.Outcome) *finish {
	return &finish{
		row: hub.Row{
			N: o.Message, ID: o.ID, ClientID: o.ClientID, Bytes: o.Bytes,
			Sender: hub.Sender{N: o.Sender, Member: o.SenderID},
		},
		to:      &address{mesh: o.Mesh, key: o.Key, box: hub.Mailbox{Member: o.Recipient, Session: o.Session}, n: o.To},
		outcome: how,
		at:      s.now(),
	}
}

// spent are the numbers of messages of which a copy became final: their bodies may be of no use any more.
type spent struct {
	mu   sync.Mutex
	n    []int64
	all  bool          // some were not kept: look at all messages
	wake chan struct{} // holds one token when the first came
}

func newSpent() *spent { return &spent{wake: make(chan struct{}, 1)} }

const maxSpent = 1 << 20 // at the bound all messages are looked at

func (s *spent) add(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.n) == 0 && !s.all {
		signal(s.wake)
	}
	if len(s.n) >= maxSpent {
		s.n, s.all = s.n[:0], true
	}
	if !s.all {
		s.n = append(s.n, n)
	}
}

// lose says that some numbers that were taken could not be used.
func (s *spent) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = true
	signal(s.wake)
}

func (s *spent) take() (n []int64, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, all = s.n, s.all
	s.n, s.all = nil, false
	return n, all
}

// dropBodies forgets the bodies of messages that became final since the last time.
func (s *sweeper) dropBodies(ctx context.Context) error {
	n, all := s.spent.take()
	if all {
		return s.dropAllBodies(ctx)
	}
	slices.Sort(n)
	for len(n) > 0 {
		first := n[0]
		i, _ := slices.BinarySearch(n, first+sliceRows)
		if err := s.dropRange(ctx, first, n[i-1]); err != nil {
			return err
		}
		n = n[i:]
	}
	return nil
}

// dropAllBodies looks at all messages, for what was final when the last process ended.
func (s *sweeper) dropAllBodies(ctx context.Context) error {
	var last int64
	err := s.db.Read(ctx, func(tx *sqlite.Tx) (err error) {
		last, err = store.LastMessage(tx)
		return err
	})
	for n := int64(1); err == nil && n <= last; n += sliceRows {
		err = s.dropRange(ctx, n, n+sliceRows-1)
	}
	return err
}

func (s *sweeper) dropRange(ctx context.Context, first, last int64) error {
	return s.db.Write(ctx, func(tx *sqlite.Tx) error { return store.DropBodies(tx, first, last) })
}

// prune forgets messages with their receipts, sessions and groups that are too old, and of each member those that are
// too many.
func (s *sweeper) prune(ctx context.Context) error {
	keep := max(s.set.DedupeTTL, s.set.MessageTTL+receiptTTL)
	old := s.now().Add(-keep)
	if err := s.touch(ctx); err != nil {
		return err
	}
	err := s.slices(ctx, config.BoundDedupeTTL, func(tx *sqlite.Tx) (int, error) { return store.PruneMessages(tx, old, sliceRows) })
	if err != nil {
		return err
	}
	if err := s.trim(ctx); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *sqlite.Tx) error {
		if err := store.PruneSessions(tx, old.Add(-s.set.SessionSeen)); err != nil {
			return err
		}
		return store.PruneGroups(tx, s.now().Add(-s.set.SessionSeen))
	})
}

// check says which rows belong to nothing. It mends none: why they are there has to be found out first.
func (s *sweeper) check(ctx context.Context) error {
	broken, err := store.ListBroken(ctx, s.db)
	for _, b := range broken {
		s.log.Error("the store breaks a rule", slog.String(logkey.Reason, b.Rule), slog.Int64(logkey.Rows, b.Rows))
	}
	return err
}

// touch notes that the sessions that are connected are, in their groups, for a process that ends without notice.
func (s *sweeper) touch(ctx context.Context) error {
	live, err := ask(ctx, s.loop, func() []store.Box {
		var boxes []store.Box
		for _, l := range s.loop.lines {
			boxes = append(boxes, l.boxes[len(l.boxes)-1].n)
		}
		return boxes
	})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(live, sliceRows) {
		err := s.db.Write(ctx, func(tx *sqlite.Tx) error {
			for _, box := range part {
				if err := store.SeeSession(tx, box.Session, s.now()); err != nil {
					return err
				}
				if err := store.SeeGroups(tx, box, s.now()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// trim forgets the oldest messages of members with too many. Their recipients still know what they have.
func (s *sweeper) trim(ctx context.Context) error {
	var crowded []store.Remembered
	err := s.db.Read(ctx, func(tx *sqlite.Tx) (err error) {
		crowded, err = store.ListCrowded(tx, s.set.DedupeRows)
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range crowded {
		left := c.Messages - s.set.DedupeRows
		err := s.slices(ctx, config.BoundDedupeRows, func(tx *sqlite.Tx) (int, error) {
			n, err := store.TrimMessages(tx, c.Sender, min(left, sliceRows))
			left -= n
			return n, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// slices repeats a write of up to sliceRows until there is less to do, and counts the rows for the bound.
func (s *sweeper) slices(ctx context.Context, bound config.Bound, write func(*sqlite.Tx) (int, error)) error {
	for {
		n := 0
		err := s.db.Write(ctx, func(tx *sqlite.Tx) (err error) {
			n, err = write(tx)
			return err
		})
		if err == nil && n > 0 {
			s.loop.count(bound, n)
		}
		if err != nil || n < sliceRows {
			return err
		}
	}
}
