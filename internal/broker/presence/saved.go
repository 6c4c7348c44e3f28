package presence

import (
	"context"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// factsRow is what is kept of a presence beside its seat: enough to keep its place over a restart, and to restore what
// it had told when it comes back later.
type factsRow struct {
	MemberKey  mesh.Key          `json:"memberKey"`
	SessionKey mesh.Key          `json:"sessionKey,omitzero"`
	Name       string            `json:"name"`
	Go         bool              `json:"go,omitzero"`
	Proved     bool              `json:"proved,omitzero"`
	Role       mesh.PeerRole     `json:"role"`
	Since      time.Time         `json:"since"`
	Hello      protocol.Presence `json:"hello"`
	Groups     []protocol.Group  `json:"groups,omitzero"`
	Status     mesh.Status       `json:"status"`
	Source     Source            `json:"source"`
	SaidAt     time.Time         `json:"saidAt"`
	Summary    string            `json:"summary,omitzero"`
	Hidden     bool              `json:"hidden,omitzero"`
	Profile    protocol.Profile  `json:"profile,omitzero"`
	Stats      *protocol.Stats   `json:"stats,omitzero"`
}

// saved is a row of the store that is to be written, or removed.
type saved struct {
	seat seat
	gone bool
	row  store.Presence
}

// save notes what an entry is now. p.mu is held.
func (p *Presence) save(e *entry, here bool) {
	facts, err := wire.Encode(factsRow{
		MemberKey: e.MemberKey, SessionKey: e.SessionKey, Name: e.Name, Go: e.Go, Proved: e.Proved, Role: e.Role, Since: e.ConnectedAt,
		Hello: e.Presence, Groups: e.Groups, Status: e.Mood.Status, Source: e.Mood.Source, SaidAt: e.Mood.At,
		Summary: e.Summary, Hidden: e.Hidden, Profile: e.Profile, Stats: e.Stats,
	})
	if err != nil {
		p.opt.Log.Error("presence not saved", slog.String(logkey.Mesh, string(e.Mesh)), slog.Any(logkey.Err, err))
		return
	}
	_, lasting := seatOf(e.Conn)
	if !lasting {
		return // nobody can come back to it
	}
	p.note(saved{seat: e.seat, row: store.Presence{
		Mesh: e.Mesh, Seat: e.seat.who, Member: e.Member, Lasting: e.Proved || e.Go, Here: here, SeenAt: p.opt.Now(), Facts: string(facts),
	}})
}

// same reports whether a connection tells of itself what is saved of a presence. Then nothing is to be written when it
// comes back: who is here, or has only lost its connection, is kept as being here.
func (e *entry) same(p *Peer) bool {
	x, y := e.Presence, p.Presence
	if !slices.Equal(x.Groups, y.Groups) || !slices.Equal(e.Groups, p.Groups) {
		return false
	}
	x.Groups, y.Groups = nil, nil
	return e.MemberKey == p.MemberKey && e.SessionKey == p.SessionKey && e.Name == p.Name && e.Go == p.Go && e.Role == p.Role &&
		(e.Proved || !p.Proved) && reflect.DeepEqual(x, y)
}

// note queues a row. Of each seat only the last one counts, so what waits is bounded by who comes in the meantime.
// p.mu is held.
func (p *Presence) note(s saved) {
	p.unsaved[s.seat] = s
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// flush writes what waits, in one transaction. What cannot be written is lost: then a peer that comes back is
// announced once more, and no harm is done.
func (p *Presence) flush(ctx context.Context) {
	p.mu.Lock()
	all := slices.Collect(maps.Values(p.unsaved))
	clear(p.unsaved)
	p.mu.Unlock()
	if len(all) == 0 {
		return
	}
	err := p.opt.DB.Write(ctx, func(tx *sqlite.Tx) error {
		for _, s := range all {
			if err := s.write(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		p.opt.Log.Warn("presence not saved", slog.Int(logkey.Count, len(all)), slog.Any(logkey.Err, err))
	}
}

func (s saved) write(tx *sqlite.Tx) error {
	if s.gone {
		return store.RemovePresence(tx, s.seat.mesh, s.seat.who)
	}
	return store.SavePresence(tx, s.row)
}

// Load gives who was here when the last process ended their places back, until they come or the lease ends, and
// forgets whom nobody has seen for too long. Call it once, before anybody is let in.
func (p *Presence) Load(ctx context.Context) error {
	var rows []store.Present
	err := p.opt.DB.Read(ctx, func(tx *sqlite.Tx) (err error) {
		rows, err = store.ListPresent(tx)
		return err
	})
	if err != nil {
		return err
	}
	now := p.opt.Now()
	p.mu.Lock()
	for _, row := range rows {
		was, err := parse(row.Presence)
		if err != nil {
			continue // of another version: it comes as somebody new
		}
		p.book.last++
		e := &entry{Peer: was.peer(row.Presence, now), seat: seat{row.Mesh, row.Seat}}
		e.N, e.Told = p.book.last, Told{MemberName: row.MemberName, Owned: row.Proved, Vouch: ParseVouch(row.Vouch)}
		p.book.add(e)
	}
	p.mu.Unlock()
	return p.opt.DB.Write(ctx, func(tx *sqlite.Tx) error {
		return store.PrunePresence(tx, now.Add(-p.opt.Settings.SessionSeen))
	})
}

// ParseVouch reads a member's word for a session key, as the store has it; nil where it gave none that a reader could check.
func ParseVouch(text string) *protocol.Vouch {
	v := new(protocol.Vouch)
	if text == "" || wire.Decode([]byte(text), v) != nil {
		return nil
	}
	return v
}

// past is what a presence was when it ended.
type past struct {
	factsRow
	seat seat
	seen time.Time
}

func parse(row store.Presence) (*past, error) {
	w := &past{seat: seat{row.Mesh, row.Seat}, seen: row.SeenAt}
	err := wire.Decode([]byte(row.Facts), &w.factsRow)
	return w, err
}

// peer is the presence as it was, without a connection since now.
func (w *past) peer(row store.Presence, now time.Time) Peer {
	return Peer{
		Conn: hub.Conn{
			Mesh: row.Mesh, Member: row.Member, MemberKey: w.MemberKey, SessionKey: w.SessionKey, SessionID: w.Hello.SessionID, Name: w.Name,
			Role: w.Role, Go: w.Go, Groups: w.Groups, Status: w.Status, ConnectedAt: w.Since, Presence: w.Hello,
		},
		Mood: Mood{w.Status, w.Source, w.SaidAt}, Summary: w.Summary, Hidden: w.Hidden, Profile: w.Profile, Stats: w.Stats,
		Proved: w.Proved, Lost: now,
	}
}

// recall finds what a connection that comes anew had told before. A session that proves its key is restored only
// where it is ours (wire 2.2); a client with a key for each connection goes on where its member's last one left.
func (p *Presence) recall(ctx context.Context, c hub.Conn, proved bool) (*past, error) {
	s, lasting := seatOf(c)
	if !lasting || proved && !c.Go {
		return nil, nil
	}
	p.mu.Lock()
	waiting, ok := p.unsaved[s]
	p.mu.Unlock()
	row, ok := waiting.row, ok && !waiting.gone
	if ok {
		return parseOld(row), nil
	}
	err := p.opt.DB.Read(ctx, func(tx *sqlite.Tx) (err error) {
		row, ok, err = store.FindPresence(tx, s.mesh, s.who)
		if err == nil && !ok && !proved && !c.Go {
			row, ok, err = store.LastDeparted(tx, c.Member)
		}
		return err
	})
	if err != nil || !ok || row.Member != c.Member {
		return nil, err
	}
	return parseOld(row), nil
}

// parseOld is parse without what another version wrote.
func parseOld(row store.Presence) *past {
	if w, err := parse(row); err == nil {
		return w
	}
	return nil
}

// restore tells a connection what it was (wire 2.3). A client of others adds the counts to its own, so they are for a new
// process alone: one that comes under the same key has them still, and would report twice as much (wire TRAP F).
func (w *past) restore(c *hub.Conn, answer *protocol.HelloAnswer) {
	answer.Restored, answer.LastSummary, answer.LastSeenAt = true, w.Summary, mesh.FormatTime(w.seen)
	if s, _ := seatOf(*c); s != w.seat {
		answer.RestoredStats = w.Stats
	}
	if len(c.Groups) == 0 && !c.Go && len(w.Groups) > 0 {
		c.Groups, c.Presence.Groups, answer.RestoredGroups = w.Groups, w.Groups, w.Groups
	}
	if w.Status == mesh.DND {
		c.Status = mesh.DND
	}
}

// apply makes a peer that comes anew what it was. The status is that of a newcomer, but for do not disturb, which only
// its user ends.
func (w *past) apply(p *Peer, now time.Time) *protocol.PeerEvent {
	p.Summary, p.Hidden, p.Profile, p.Stats = w.Summary, w.Hidden, w.Profile, w.Stats
	p.Mood = Mood{mesh.Idle, Transcript, now}
	if w.Status == mesh.DND {
		p.Mood = Mood{w.Status, w.Source, w.SaidAt}
	}
	return &protocol.PeerEvent{LastSeenAt: mesh.FormatTime(w.seen), Summary: w.Summary}
}
