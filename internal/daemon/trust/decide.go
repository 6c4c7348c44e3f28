package trust

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/claudemesh/claudemesh/internal/daemon/address"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Entry is a member's key as a human decides about it.
type Entry struct {
	localdb.Pin            // Level is empty for a key that is not pinned, because its name is another's
	Claimed     string     // how the broker calls it now; empty when it does not
	Present     bool       // the broker still names it as a member; true before the first roster
	Conflict    bool       // it claims a name that is pinned to another key
	Holders     []mesh.Key // to whom, with Conflict; all of them, where several have the name of what was just accepted
}

// Entries lists every key that was met, by name: those that wait for a decision first.
func (p *Pins) Entries() []Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Entry
	for _, member := range slices.Sorted(maps.Keys(p.pins)) {
		list = append(list, p.entry(p.pins[member]))
	}
	for _, member := range slices.Sorted(maps.Keys(p.current)) {
		if _, pinned := p.pins[member]; !pinned {
			list = append(list, p.entry(localdb.Pin{MeshID: p.opt.MeshID, Member: member}))
		}
	}
	slices.SortStableFunc(list, func(a, b Entry) int {
		return cmp.Or(compare(b.Conflict, a.Conflict), cmp.Compare(cmp.Or(a.Name, a.Claimed), cmp.Or(b.Name, b.Claimed)))
	})
	return list
}

func compare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// entry is the state of one key; p.mu is held.
func (p *Pins) entry(pin localdb.Pin) Entry {
	e := Entry{Pin: pin, Present: p.current == nil}
	if name, ok := p.current[pin.Member]; ok {
		e.Claimed, e.Present = name, true
	}
	if pin.Level != localdb.Rejected && pin.Level != localdb.Replaced && p.taken(e.Claimed, pin.Member) {
		e.Conflict, e.Holders = true, slices.Clone(p.holders(e.Claimed))
	}
	return e
}

// Accept is a human's word that a key is its peer's: it is pinned under the name that it has now. A key that had the name
// before and is no member any more is replaced; one that is still there keeps it too, and both are then addressed by
// their keys. not_found for a key that was never met.
func (p *Pins) Accept(ctx context.Context, member mesh.Key, unattended bool) (Entry, error) {
	now := p.opt.Now()
	p.mu.Lock()
	pin, known := p.pins[member]
	claimed, there := p.current[member]
	if !known && !there {
		p.mu.Unlock()
		return Entry{}, errUnmet(member)
	}
	if !known {
		pin = localdb.Pin{MeshID: p.opt.MeshID, Member: member, FirstSeen: now}
	}
	pin.Name, pin.Level, pin.Unattended, pin.LastSeen = cmp.Or(claimed, pin.Name), localdb.Accepted, unattended, now
	for _, holder := range slices.Clone(p.holders(pin.Name)) {
		if _, there := p.current[holder]; holder != member && !there && p.current != nil {
			old := p.pins[holder]
			old.Level, old.Unattended, old.Device = localdb.Replaced, false, false
			p.put(old)
		}
	}
	p.put(pin)
	e := p.entry(pin)
	if holders := p.holders(pin.Name); len(holders) > 1 {
		e.Holders = slices.Clone(holders)
	}
	p.mu.Unlock()
	return e, p.flush(ctx)
}

// Reject is a human's word that a key is not to be dealt with: nothing that it signs is verified, and nothing is sent to
// it. not_found for a key that was never met.
func (p *Pins) Reject(ctx context.Context, member mesh.Key) (Entry, error) {
	now := p.opt.Now()
	p.mu.Lock()
	pin, known := p.pins[member]
	claimed, there := p.current[member]
	if !known && !there {
		p.mu.Unlock()
		return Entry{}, errUnmet(member)
	}
	if !known {
		pin = localdb.Pin{MeshID: p.opt.MeshID, Member: member, Name: claimed, FirstSeen: now}
	}
	pin.Level, pin.Unattended, pin.Device, pin.LastSeen = localdb.Rejected, false, false, now
	p.put(pin)
	e := p.entry(pin)
	p.mu.Unlock()
	return e, p.flush(ctx)
}

// SetDevice notes whether an accepted key is of another device of this user, which is asked for permissions and may answer.
// not_found for a key that is not accepted.
func SetDevice(ctx context.Context, p *Pins, member mesh.Key, on bool) error {
	p.mu.Lock()
	pin, known := p.pins[member]
	if !known || pin.Level != localdb.Accepted {
		p.mu.Unlock()
		return errUnmet(member)
	}
	if pin.Device != on {
		pin.Device = on
		p.put(pin)
	}
	p.mu.Unlock()
	return p.flush(ctx)
}

// Devices lists the keys of this user's other devices.
func Devices(p *Pins) []mesh.Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []mesh.Key
	for _, member := range slices.Sorted(maps.Keys(p.pins)) {
		if pin := p.pins[member]; pin.Device && pin.Level == localdb.Accepted {
			all = append(all, member)
		}
	}
	return all
}

func errUnmet(member mesh.Key) error {
	return mesh.Errorf(mesh.NotFound, "the key %s was never met in this mesh", member.Short())
}

// Addresses are the pins as names are resolved over them. Nobody may change the slice.
func (p *Pins) Addresses() []address.Pin {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.addresses != nil {
		return p.addresses
	}
	list := make([]address.Pin, 0, len(p.pins))
	for _, pin := range p.pins {
		list = append(list, address.Pin{
			Member: pin.Member, Name: pin.Name, Rejected: pin.Level == localdb.Rejected, Replaced: pin.Level == localdb.Replaced,
		})
	}
	p.addresses = list
	return list
}
