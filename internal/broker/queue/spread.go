package queue

import (
	"cmp"
	"slices"
	"sync"

	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// spreads are the messages whose waiting copies are one record of the store. Whoever needs such a copy as a row, to read a
// mailbox or to look for what is old, asks for it to be unfolded first. Only the committer's goroutine changes them, but
// for reading.
type spreads struct {
	touched []*spread // in this group: to be settled at its end

	mu      sync.Mutex
	known   bool              // false: the store may have others than these
	open    map[int64]*spread // by message
	order   []int64           // of acceptance; begins with an open one
	boxes   int               // of those in open
	reading map[store.Box]int // mailboxes that are being read: nothing is spread to them
}

// spread is one of them.
type spread struct {
	store.Spread           // the boxes are sorted
	gone         []bool    // by box: it does not wait here any more
	left         int       // that do
	parts        int64     // settlements
	ended        []*finish // in this group
	touched      bool
}

const (
	spreadFrom     = 3       // recipients who are connected; for fewer, rows cost less
	maxSpreads     = 4096    // at either bound the oldest is unfolded
	maxSpreadBoxes = 1 << 18 // some megabytes
)

// forget says that a group was lost.
func (s *spreads) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = false
}

// reset begins anew, after the store was unfolded.
func (s *spreads) reset() {
	s.touched = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.open, s.order, s.boxes = true, map[int64]*spread{}, nil, 0
}

// begin marks a mailbox as being read, and reports whether it may have copies to be unfolded before. What is accepted
// until end is called has a row, so that a page misses nothing before its last row.
func (s *spreads) begin(box store.Box) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading == nil {
		s.reading = map[store.Box]int{}
	}
	s.reading[box]++
	if !s.known {
		return true
	}
	for _, sp := range s.open {
		if sp.waits(box) >= 0 {
			return true
		}
	}
	return false
}

func (s *spreads) end(box store.Box) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading[box]--; s.reading[box] <= 0 {
		delete(s.reading, box)
	}
}

// add spreads a message to those of the recipients that are not being read, if they are enough, and returns the others.
func (s *spreads) add(d store.Delivery, to []*address) (*spread, []*address) {
	if len(to) < spreadFrom {
		return nil, to
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var alone []*address
	boxes := make([]store.Box, 0, len(to))
	for _, a := range to {
		if s.reading[a.n] > 0 {
			alone = append(alone, a)
		} else {
			boxes = append(boxes, a.n)
		}
	}
	if len(boxes) < spreadFrom {
		return nil, to
	}
	slices.SortFunc(boxes, compareBoxes)
	sp := &spread{
		Spread: store.Spread{Message: d.Message, Sender: d.Sender, Urgent: d.Urgent, Bytes: d.Bytes, Boxes: boxes},
		gone:   make([]bool, len(boxes)), left: len(boxes),
	}
	s.open[d.Message] = sp
	s.order = append(s.order, d.Message)
	s.boxes += len(boxes)
	return sp, alone
}

func compareBoxes(a, b store.Box) int {
	return cmp.Or(cmp.Compare(a.Member, b.Member), cmp.Compare(a.Session, b.Session))
}

// waits finds the place of a mailbox whose copy waits here, or returns -1.
func (sp *spread) waits(box store.Box) int {
	i, ok := slices.BinarySearchFunc(sp.Boxes, box, compareBoxes)
	if !ok || sp.gone[i] {
		return -1
	}
	return i
}

// take ends the waiting of a copy here; false when it does not wait here.
func (s *spreads) take(f *finish) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sp := s.open[f.row.N]
	if sp == nil {
		return false
	}
	i := sp.waits(f.to.n)
	if i < 0 {
		return false
	}
	sp.gone[i] = true
	sp.left--
	sp.ended = append(sp.ended, f)
	s.touch(sp)
	return true
}

func (s *spreads) touch(sp *spread) {
	if !sp.touched {
		sp.touched = true
		s.touched = append(s.touched, sp)
	}
}

// close forgets a spread of which nothing waits here any more.
func (s *spreads) close(sp *spread) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, sp.Message)
	s.boxes -= len(sp.Boxes)
	for len(s.order) > 0 && s.open[s.order[0]] == nil {
		s.order = s.order[1:]
	}
}

// oldest is the spread that has to go for the bounds; nil when they are kept.
func (s *spreads) oldest() *spread {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) <= maxSpreads && s.boxes <= maxSpreadBoxes {
		return nil
	}
	return s.open[s.order[0]]
}

// part takes the copies that wait in a spread out of it, or just that of one mailbox.
func (s *spreads) part(sp *spread, box *store.Box) []store.Box {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []store.Box
	for i, b := range sp.Boxes {
		if !sp.gone[i] && (box == nil || b == *box) {
			sp.gone[i] = true
			sp.left--
			out = append(out, b)
		}
	}
	if len(out) > 0 {
		s.touch(sp)
	}
	return out
}

// list gives the open spreads in their order.
func (s *spreads) list() []*spread {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*spread, 0, len(s.open))
	for _, n := range s.order {
		if sp := s.open[n]; sp != nil {
			out = append(out, sp)
		}
	}
	return out
}

// unfold gives copies rows of their own: those of one mailbox, or all.
type unfold struct {
	barrier
	box *store.Box
}

func (u *unfold) apply(tx *sqlite.Tx, l *ledger) error {
	for _, sp := range l.spreads.list() {
		if err := l.unfold(tx, sp, u.box); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) unfold(tx *sqlite.Tx, sp *spread, box *store.Box) error {
	out := l.spreads.part(sp, box)
	if len(out) == 0 {
		return nil
	}
	return store.Unfold(tx, &sp.Spread, out)
}

// settle stores what became final in this group, one record for a message and an outcome, and ends the spreads of which
// nothing waits.
func (l *ledger) settle(tx *sqlite.Tx) error {
	for sp := l.spreads.oldest(); sp != nil && sp.left > 0; sp = l.spreads.oldest() {
		if err := l.unfold(tx, sp, nil); err != nil {
			return err
		}
		if err := l.settleOne(tx, sp); err != nil {
			return err
		}
	}
	for _, sp := range l.spreads.touched {
		if err := l.settleOne(tx, sp); err != nil {
			return err
		}
	}
	clear(l.spreads.touched)
	l.spreads.touched = l.spreads.touched[:0]
	return nil
}

func (l *ledger) settleOne(tx *sqlite.Tx, sp *spread) error {
	if !sp.touched {
		return nil
	}
	sp.touched = false
	for len(sp.ended) > 0 {
		how := sp.ended[0].outcome
		same := sp.ended
		if i := slices.IndexFunc(same, func(f *finish) bool { return f.outcome != how }); i >= 0 {
			same = same[:i]
		}
		if err := l.settlePart(tx, sp, same); err != nil {
			return err
		}
		sp.ended = sp.ended[len(same):]
	}
	sp.ended = nil
	if sp.left > 0 {
		return nil
	}
	l.spreads.close(sp)
	return store.CloseSpread(tx, sp.Message)
}

// settlePart ends copies with the same outcome.
func (l *ledger) settlePart(tx *sqlite.Tx, sp *spread, ended []*finish) error {
	first := ended[0]
	part := store.Settlement{
		Message: sp.Message, Part: sp.parts, Sender: sp.Sender, Outcome: first.outcome, At: first.at, Boxes: make([]store.Box, 0, len(ended)),
	}
	sp.parts++
	for _, f := range ended {
		part.Boxes = append(part.Boxes, f.to.n)
	}
	if first.outcome != store.Written {
		var err error
		part.Run = l.run
		if part.Receipt, err = l.nextReceipt(tx, sp.Sender); err != nil {
			return err
		}
	}
	if err := store.Settle(tx, &part); err != nil {
		return err
	}
	for i, f := range ended {
		f.done, f.at, f.more = true, first.at, sp.left > 0 || i > 0
		if part.Receipt > 0 {
			f.receipt = part.Receipt + int64(i)
		}
		l.releaseBox(store.Delivery{To: f.to.n, Sender: sp.Sender, Bytes: sp.Bytes})
	}
	less(l.meshes, first.to.mesh, sp.Bytes*int64(len(ended)))
	if part.Receipt == 0 {
		return nil
	}
	return l.keepReceipts(tx, sp.Sender, part.Receipt, len(ended))
}
