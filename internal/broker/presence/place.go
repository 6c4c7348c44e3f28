package presence

import (
	"cmp"
	"container/list"
	"iter"
	"slices"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// village is who is present in a mesh. Nothing that one presence does looks at all the others.
type village struct {
	all  []*entry // by N
	ears []*entry // of all, who may be told of others; by N
}

func byNumber(x, y *entry) int { return cmp.Compare(x.N, y.N) }

// hears reports whether an entry may be told of others at all: sessions of ours have a daemon that is.
func (e *entry) hears() bool { return !e.Go || e.Role != mesh.SessionRole }

// listen puts an entry among those who hear, or takes it out.
func (v *village) listen(e *entry) {
	i, in := slices.BinarySearchFunc(v.ears, e, byNumber)
	switch hears := e.hears(); {
	case hears && !in:
		v.ears = slices.Insert(v.ears, i, e)
	case !hears && in:
		v.ears = slices.Delete(v.ears, i, i+1)
	}
}

func (v *village) remove(e *entry) {
	if i, ok := slices.BinarySearchFunc(v.all, e, byNumber); ok {
		v.all = slices.Delete(v.all, i, i+1)
	}
	if i, ok := slices.BinarySearchFunc(v.ears, e, byNumber); ok {
		v.ears = slices.Delete(v.ears, i, i+1)
	}
}

// everybody lists who is present in a mesh, in the order of coming.
func (b *book) everybody(meshID mesh.ID) []*entry {
	if v := b.meshes[meshID]; v != nil {
		return v.all
	}
	return nil
}

// ears lists who of a mesh may be told of others.
func (b *book) ears(meshID mesh.ID) []*entry {
	if v := b.meshes[meshID]; v != nil {
		return v.ears
	}
	return nil
}

// household is what is counted of a member.
type household struct {
	away   list.List                         // its entries without a connection, the oldest absence first
	served map[mesh.ConnID]map[mesh.Key]bool // sessions that the daemon behind a connection says it serves
}

// absent gives the entries without a connection, the oldest absence first; they may be ended afterwards.
func (h *household) absent() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for el := h.away.Front(); el != nil; el = el.Next() {
			if !yield(el.Value.(*entry)) {
				return
			}
		}
	}
}

// home gives the household of a member.
func (b *book) home(member mesh.ID) *household {
	h := b.homes[member]
	if h == nil {
		h = &household{}
		b.homes[member] = h
	}
	return h
}

// tidyHome forgets a household that is empty.
func (b *book) tidyHome(member mesh.ID) {
	if h := b.homes[member]; h != nil && h.away.Len() == 0 && len(h.served) == 0 {
		delete(b.homes, member)
	}
}

// wentAway counts an entry that has no connection now, cameBack one that has one again, or ends.
func (b *book) wentAway(e *entry) { e.away = b.home(e.Member).away.PushBack(e) }

func (b *book) cameBack(e *entry) {
	if e.away == nil {
		return
	}
	b.homes[e.Member].away.Remove(e.away)
	e.away = nil
	b.tidyHome(e.Member)
}

// unplug forgets the connection of an entry, if it has one, and what was said on it.
func (b *book) unplug(e *entry) {
	if b.conns[e.ID] != e {
		return
	}
	delete(b.conns, e.ID)
	if h := b.homes[e.Member]; h != nil {
		delete(h.served, e.ID)
		b.tidyHome(e.Member)
	}
}
