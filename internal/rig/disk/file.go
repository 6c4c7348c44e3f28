package disk

import (
	"math/rand/v2"
	"slices"
)

// sectorBytes are written whole or not at all.
const sectorBytes = 512

// content is what a file holds.
type content struct {
	there bool
	data  []byte
}

// change is one operation that changes a file: a write of data, or what op says.
type change struct {
	op   Op // Write, Truncate, Delete, or Open for a file that is made
	at   int64
	data []byte
}

// file is one file: what is on the disk whatever happens, and what was done since, in its order.
type file struct {
	synced  content
	pending []change
	size    int64 // with all that is pending
}

// do does a change.
func (c *content) do(ch change) {
	switch ch.op {
	case Open:
		*c = content{there: true}
	case Delete:
		*c = content{}
	case Truncate:
		c.grow(ch.at)
		c.data = c.data[:ch.at]
	case Write:
		c.grow(ch.at + int64(len(ch.data)))
		copy(c.data[ch.at:], ch.data)
	}
}

// grow fills up to a size with zeros.
func (c *content) grow(size int64) {
	if more := size - int64(len(c.data)); more > 0 {
		c.data = append(c.data, make([]byte, more)...)
	}
}

func (f *file) note(c change) {
	f.pending = append(f.pending, c)
	switch c.op {
	case Open, Delete:
		f.size = 0
	case Truncate:
		f.size = c.at
	case Write:
		f.size = max(f.size, c.at+int64(len(c.data)))
	}
}

func (f *file) sync() { f.settle(len(f.pending)) }

// settle makes the first n pending changes last.
func (f *file) settle(n int) {
	for _, c := range f.pending[:n] {
		f.synced.do(c)
	}
	f.pending = slices.Clone(f.pending[n:])
}

// syncName makes last that the file was made or deleted.
func (f *file) syncName() {
	for i, c := range slices.Backward(f.pending) {
		if c.op == Open || c.op == Delete {
			f.settle(i + 1)
			return
		}
	}
}

func (f *file) clone() *file {
	return &file{content{f.synced.there, slices.Clone(f.synced.data)}, slices.Clone(f.pending), f.size}
}

// current is what a reader sees.
func (f *file) current() content {
	c := f.clone()
	c.sync()
	return c.synced
}

// survivors are those of the pending changes that a power cut leaves: the first ones, the last of them torn, as a disk that
// writes in order does, or any, as one that does not. Files are made and deleted in order.
func (f *file) survivors(rnd *rand.Rand) (kept []change) {
	all := f.pending[:f.until(rnd)]
	if rnd.IntN(2) == 0 {
		n := rnd.IntN(len(all) + 1)
		kept = slices.Clone(all[:n])
		if n < len(all) && all[n].op == Write {
			kept = append(kept, all[n].torn(rnd, false)...)
		}
		return kept
	}
	percent := rnd.IntN(101)
	for _, c := range all {
		switch {
		case c.op == Open || c.op == Delete || rnd.IntN(100) < percent:
			kept = append(kept, c)
		case c.op == Write:
			kept = append(kept, c.torn(rnd, true)...)
		}
	}
	return kept
}

// until picks how many of the pending changes can have come through before the folder knows of the next file that was made
// or deleted.
func (f *file) until(rnd *rand.Rand) int {
	var ends []int
	for i, c := range f.pending {
		if c.op == Open || c.op == Delete {
			ends = append(ends, i)
		}
	}
	ends = append(ends, len(f.pending))
	return ends[rnd.IntN(len(ends))]
}

// torn is a write of which some sectors came through: the first ones, or any.
func (c change) torn(rnd *rand.Rand, scattered bool) (parts []change) {
	left := rnd.IntN(len(c.data)/sectorBytes + 2)
	for from := int64(0); from < int64(len(c.data)); {
		end := min(int64(len(c.data)), (c.at+from)/sectorBytes*sectorBytes+sectorBytes-c.at)
		if scattered && rnd.IntN(2) == 0 || !scattered && left > 0 {
			parts = append(parts, change{Write, c.at + from, c.data[from:end]})
		}
		left--
		from = end
	}
	return parts
}
