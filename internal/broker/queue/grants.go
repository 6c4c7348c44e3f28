package queue

import (
	"context"
	"maps"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// sender is who sends a message, with the keys by which it is looked up in the grants of a recipient.
type sender struct {
	hub.Sender
	member, session mesh.Key
}

// Guard keeps people apart: those who are banned from a mesh, and what members let each other do.
type Guard struct{ q *Queue }

// Guard gives the guard of the queue.
func (q *Queue) Guard() Guard { return Guard{q} }

// Regrant changes what a member lets others do: what it does not let through waits from now on, as for somebody who is
// away, and what it lets through now is pushed (design D5). A missing entry means the defaults. It returns how many
// entries there are. More than maxGrants are bad_request, and nothing is changed.
func (g Guard) Regrant(ctx context.Context, s *session.Session, set mesh.Grants, reset []mesh.Key) (int, error) {
	own, err := g.q.dir.find(ctx, s.Mesh, s.MemberKey)
	if err != nil {
		return 0, gone(err)
	}
	var all mesh.Grants
	err = g.q.commit(ctx, func(tx *sqlite.Tx, _ *ledger) (err error) {
		if all, err = store.ListGrants(tx, own.n.Member); err != nil {
			return err
		}
		maps.Copy(all, set)
		for _, key := range reset {
			delete(all, key)
		}
		if len(all) > maxGrants {
			return nil
		}
		return store.SaveGrants(tx, own.n.Member, set, reset)
	}, func() {
		if len(all) <= maxGrants {
			g.q.dir.setGrants(s.Member, all)
			g.q.loop.do(g.q.loop.hub.Reread(g.q.now(), hub.OfBoxes(s.Member)))
		}
	})
	if err == nil && len(all) > maxGrants {
		err = mesh.Errorf(mesh.BadRequest, "a member has entries for at most %d others", maxGrants)
	}
	return len(all), err
}

// maxGrants bounds what is kept in memory for each member.
const maxGrants = 1000

// Permits reports whether a member lets the caller do all of something. Everybody may do everything to itself.
func (g Guard) Permits(member mesh.ID, caller *session.Session, what mesh.Caps) bool {
	if caller.Member == member {
		return true
	}
	return g.q.dir.grantsOf(member).Of(caller.MemberKey, caller.SessionKey).Has(what)
}

// Sees reports whether a member lets the holder of other keys see it; the session key may be empty.
func (g Guard) Sees(member mesh.ID, by, session mesh.Key) bool {
	return g.q.dir.grantsOf(member).Of(by, session).Has(mesh.CapsOf(mesh.CapRead))
}

// Grants are the entries of a member. The map is not to be changed.
func (g Guard) Grants(member mesh.ID) mesh.Grants { return g.q.dir.grantsOf(member) }

// readGrants reads what the store has, once.
func (d *directory) readGrants(ctx context.Context) error {
	var all map[mesh.ID]mesh.Grants
	err := d.db.Read(ctx, func(tx *sqlite.Tx) (err error) {
		all, err = store.ListAllGrants(tx)
		return err
	})
	if err == nil {
		d.mu.Lock()
		d.grants = all
		d.mu.Unlock()
	}
	return err
}

func (d *directory) setGrants(member mesh.ID, g mesh.Grants) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(g) == 0 {
		delete(d.grants, member)
		return
	}
	d.grants[member] = g
}

func (d *directory) grantsOf(member mesh.ID) mesh.Grants {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.grants[member]
}

// restricted reports whether a member has any entry.
func (d *directory) restricted(member mesh.ID) bool { return len(d.grantsOf(member)) > 0 }

// permitted gives the recipients of a message that let its sender through. The copies of the others wait.
func (d *directory) permitted(a *accept) []*address {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if len(d.grants) == 0 {
		return a.placed
	}
	need := a.msg.Kind.Cap()
	let := make([]*address, 0, len(a.placed))
	for _, to := range a.placed {
		if to.box.Member == a.from.Member || d.grants[to.box.Member].Of(a.from.member, a.from.session).Has(need) {
			let = append(let, to)
		}
	}
	return let
}

// blocking reports of members whether they keep the sender of a message to many away: they neither take it nor let the
// sender see them. A copy for each of their sessions would tell which of those are there.
func (d *directory) blocking(a *accept) func(mesh.ID) bool {
	need := a.msg.Kind.Cap() | mesh.CapsOf(mesh.CapRead)
	d.mu.RLock()
	nobody := len(d.grants) == 0
	d.mu.RUnlock()
	return func(member mesh.ID) bool {
		return !nobody && member != a.from.Member && d.grantsOf(member).Of(a.from.member, a.from.session)&need == 0
	}
}
