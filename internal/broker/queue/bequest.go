package queue

import (
	"context"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// estate is the mailbox of a session that has ended, and its member's.
type estate struct{ from, heir *address }

func (n *line) estate() estate { return estate{from: n.boxes[len(n.boxes)-1], heir: n.boxes[0]} }

// bequest leaves what waits for a session that has ended, and was meant for many, to its member: as if it had been sent a
// moment later (design D1). What was meant for the session itself goes on to wait for it.
type bequest struct {
	estate
	at    time.Time
	moved bool      // after apply: the heir has something new
	had   []*finish // copies of which the heir's is final: the member has them
}

func (b *bequest) apply(tx *sqlite.Tx, l *ledger) error {
	b.moved, b.had = false, nil
	if err := (&unfold{box: &b.from.n}).apply(tx, l); err != nil {
		return err
	}
	had, err := store.ListHad(tx, b.from.n)
	if err != nil {
		return err
	}
	for _, h := range had {
		f := &finish{
			row: hub.Row{N: h.Message, ID: h.ID, ClientID: h.ClientID, Sender: hub.Sender{N: h.Sender, Member: h.SenderID}, Bytes: h.Bytes},
			to:  b.from, outcome: h.Outcome, at: b.at,
		}
		if err := f.apply(tx, l); err != nil {
			return err
		}
		b.had = append(b.had, f)
	}
	left, err := store.Bequeath(tx, b.from.n, b.at)
	for _, d := range left {
		l.release(b.from.mesh, d)
		d.To = b.heir.n
		l.charge(b.from.mesh, d)
	}
	b.moved = len(left) > 0
	return err
}

// done has the member read what its session left.
func (b *bequest) done(l *loop) {
	if b.moved {
		l.do(l.hub.Reread(l.now(), hub.OfBoxes(b.heir.box.Member)))
	}
}

// leave ends the mailbox of the session for what is meant for many.
func (e estate) leave(l *loop) { l.writer.addLazy(&bequest{estate: e, at: l.now()}) }

// late bequeaths the copies of a message whose recipients were looked for before one of them said goodbye.
func (p *parted) late(l *loop, a *accept) {
	if len(p.ended) == 0 || a.to.others == nil {
		return
	}
	for _, to := range a.placed {
		if e, ok := p.ended[to.n]; ok {
			e.leave(l)
		}
	}
}

// settle forgets who said goodbye when no message is under way. Whose recipients are being looked for has no slot yet, and
// is counted until it has.
func (p *parted) settle(l *loop) {
	if p.seeking.Load() == 0 && len(l.slots) == 0 {
		clear(p.ended)
	}
}

// silentFor is how long a daemon is back before those of its sessions that are not are taken for ended without a goodbye: it
// connects all of them, and tries again every half minute.
const silentFor = 5 * time.Minute

// inherit bequeaths for the sessions that can say no goodbye any more, because their machine lost its power or its network
// at the end, or whose goodbye a broker that ended did not store. A member that is away as well may come back with them.
func (s *sweeper) inherit(ctx context.Context) error {
	since := s.now().Add(-max(silentFor, 2*s.set.PresenceLease))
	homes, err := ask(ctx, s.loop, func() []*address {
		var homes []*address
		for _, n := range s.loop.lines {
			if n.conn.Role == mesh.ControlPlane && n.conn.Go && n.conn.ConnectedAt.Before(since) {
				homes = append(homes, n.boxes[0])
			}
		}
		return homes
	})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(homes, sliceRows) {
		var all []estate
		err := s.db.Read(ctx, func(tx *sqlite.Tx) error {
			for _, home := range part {
				silent, err := store.ListSilent(tx, home.n.Member, since)
				if err != nil {
					return err
				}
				for _, o := range silent {
					box := hub.Mailbox{Member: home.box.Member, Session: o.Key}
					all = append(all, estate{from: &address{mesh: home.mesh, key: o.Key, box: box, n: o.To}, heir: home})
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if _, err := ask(ctx, s.loop, func() bool { s.loop.parted.inherit(s.loop, all); return true }); err != nil {
			return err
		}
	}
	return nil
}

// inherit bequeaths for those that are not here, and were not a moment ago.
func (p *parted) inherit(l *loop, all []estate) {
	for _, e := range all {
		if !l.dir.online(e.from.box) && p.of[e.from.n] == nil {
			e.leave(l)
		}
	}
}
