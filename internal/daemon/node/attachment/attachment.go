// Package attachment is one joined mesh: the member's own connection, one per session, the drain of its outbox, and what
// comes in.
package attachment

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/daemon/approval"
	"github.com/claudemesh/claudemesh/internal/daemon/events"
	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/order"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/daemon/trust"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Options are what the attachments of a daemon share. All fields but Dial are required.
type Options struct {
	Settings  config.Daemon
	User      string // <user>@<host>
	Book      *membership.Book
	DB        *localdb.DB
	Outbox    *outbox.Outbox
	Inbox     *inbox.Inbox
	Boxes     *seal.Boxes
	Events    *events.Events
	Moved     events.Broadcast // fired when a connection changes
	Owners    Owners
	Approvals *approval.Board
	Dial      uplink.DialFunc // nil means the network of the machine
	Now       mesh.Clock
	Log       *slog.Logger
}

// Owners takes in what owners of meshes changed.
type Owners interface {
	// NameOf is what a mesh is called for people, as it stands; otherwise where that cannot be read.
	NameOf(id mesh.ID, otherwise string) string
	// Learn takes in what a broker says of a mesh in its welcome.
	Learn(m membership.Mesh, facts localdb.Mesh, said protocol.MeshFacts)
	// Hear takes in an event of a mesh.
	Hear(m membership.Mesh, facts localdb.Mesh, msg protocol.PushedMessage)
}

// Attachment is one joined mesh: the member's own connection, one per session, and the drain of its outbox.
type Attachment struct {
	opt     *Options
	Mesh    membership.Mesh
	Facts   localdb.Mesh
	Link    *uplink.Link // of the member
	Seating *Seating     // of the member
	voices  *voices
	life
	wake     events.Broadcast // fired when a connection changes
	receipts *receipts
	Roster   *Roster
	Order    *order.Order
	Sessions *Sessions
	drain    *drain
}

// life is how long an attachment runs.
type life struct {
	ending chan struct{} // closed by Stop
	ended  chan struct{} // closed when Run has returned
}

// New makes what Run runs for a joined mesh.
func New(opt *Options, m membership.Mesh) (*Attachment, error) {
	ctx, cancel := context.WithTimeout(context.Background(), localTime) // a read of our own file, which nobody waits for
	defer cancel()
	facts, _, err := opt.DB.FindMesh(ctx, m.ID)
	if err != nil {
		return nil, err
	}
	at := &Attachment{opt: opt, Mesh: m, Facts: facts, wake: events.NewBroadcast()}
	at.Sessions, at.drain = newSessions(at), &drain{at: at}
	at.Roster = &Roster{at: at}
	if at.Roster.Pins, err = trust.Open(ctx, trust.Options{DB: opt.DB, MeshID: m.ID, Now: opt.Now, Log: opt.Log.With(logkey.Mesh, m.Slug)}); err != nil {
		return nil, err
	}
	at.ending, at.ended = make(chan struct{}), make(chan struct{})
	at.receipts = &receipts{Options: opt, mesh: m, pins: at.Roster.Pins, missed: make(chan struct{}, 1)}
	at.Seating, at.voices = newSeating(at, ""), newVoices(at)
	if at.Link, err = at.newLink(seal.SecretKey{}, memberPresence, at.Seating); err != nil {
		return nil, err
	}
	at.receipts.link = at.Link
	at.Order, err = newOrder(at)
	return at, err
}

// localTime bounds work on this machine's own databases that nobody waits for.
const localTime = 10 * time.Second

// Same reports whether an attachment still serves an entry of config.json.
func (a *Attachment) Same(m membership.Mesh) bool {
	return a.Mesh.ID == m.ID && a.Mesh.Slug == m.Slug && a.Mesh.MemberID == m.MemberID &&
		a.Mesh.BrokerURL == m.BrokerURL && a.Mesh.Pubkey() == m.Pubkey()
}

// newLink makes a connection: of the member where session is zero.
func (a *Attachment) newLink(session seal.SecretKey, presence func() protocol.Presence, seat *Seating) (*uplink.Link, error) {
	set := a.opt.Settings
	said := func() protocol.Presence {
		p := presence()
		p.Groups = seat.hello()
		return p
	}
	var err error
	seat.Link, err = uplink.New(uplink.Options{
		URL: a.Mesh.BrokerURL, Pin: a.Facts.BrokerPin, Presence: said, Dial: a.opt.Dial,
		Identity: uplink.Identity{MeshID: a.Mesh.ID, MemberID: a.Mesh.MemberID, Member: a.Mesh.Secret, Session: session},
		Timing: uplink.Timing{
			ReconnectMin: set.ReconnectMin, ReconnectMax: set.ReconnectMax, Ping: set.PingInterval, DeadAfter: set.DeadAfter,
		},
		ReadLimitBytes: set.ReadLimitBytes, Now: a.opt.Now, Log: a.opt.Log.With(logkey.Mesh, a.Mesh.Slug),
		OnPush:    newIntake(a, session, seat.sessionID).receive,
		OnReceipt: a.receipts.take,
		Strongest: a.Roster.Pins.Spoken,
		Spoke:     a.Roster.Pins.Spoke,
		OnState: func(s uplink.State) {
			a.onState(session.IsZero(), s)
			if s == uplink.Unsupported {
				a.drain.anew()
			}
			if s == uplink.Open {
				a.Sessions.later(seat.tellLater) // what changed while the hello was on its way
				a.Sessions.later(a.voices.introduce(seat.sessionID))
			}
		},
	})
	return seat.Link, err
}

// memberPresence is what the daemon's own connection tells: nothing of this machine (design C5).
func memberPresence() protocol.Presence {
	return protocol.Presence{SessionID: "daemon", PeerType: "ai", Channel: "claudemesh-daemon"}
}

// Run keeps the connections and the drain until ctx ends or stop is called.
func (a *Attachment) Run(ctx context.Context) error {
	defer close(a.ended)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	a.Sessions.begin(Spawner(ctx, group))
	group.Go(func() error { return a.voices.report(ctx) })
	group.Go(func() error { return a.Link.Run(ctx) })
	group.Go(func() error { return a.drain.run(ctx) })
	group.Go(func() error { return a.receipts.read(ctx) })
	group.Go(func() error { return teller{a}.run(ctx) })
	select {
	case <-ctx.Done():
	case <-a.ending:
		cancel()
	}
	a.Sessions.begin(nil) // from here on nothing is started
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Stop ends the attachment and waits for it. Call it once, after its run was spawned.
func (a *Attachment) Stop() {
	close(a.ending)
	<-a.ended
}

// Nudge has every connection prove that it lives, or come back (uplink.Link.Nudge).
func (a *Attachment) Nudge() {
	a.Link.Nudge()
	for _, s := range a.Sessions.connected() {
		s.Link.Nudge()
	}
}

// OwnKeys lists the keys of this mesh that this daemon holds: the member's and its sessions'.
func (a *Attachment) OwnKeys() map[mesh.Key]bool {
	keys := map[mesh.Key]bool{a.Mesh.Pubkey(): true}
	for _, s := range a.Sessions.connected() {
		keys[s.Pubkey()] = true
	}
	return keys
}

// onState tells the rest of a change of a connection.
func (a *Attachment) onState(member bool, s uplink.State) {
	a.wake.Fire()
	a.opt.Moved.Fire()
	if !member {
		return
	}
	a.opt.Log.Info("broker status", logkey.Mesh, a.Mesh.Slug, logkey.State, string(s))
	a.opt.Events.Publish(events.Event{Kind: localapi.EventBrokerStatus, Mesh: a.Mesh.ID, Body: localapi.BrokerStatus{
		TS: mesh.FormatTime(a.opt.Now()), Mesh: a.Mesh.Slug, Status: string(s),
	}})
	if s == uplink.Open {
		a.Sessions.retry()
		if said := a.Link.Mesh(); said != nil {
			a.opt.Owners.Learn(a.Mesh, a.Facts, *said)
		}
		a.receipts.miss()
		a.Sessions.later(a.Order.Meet)
		a.voices.move()
	}
}

// Spawn starts a goroutine that its owner waits for; the context ends with the owner.
type Spawn func(run func(ctx context.Context) error)

// Spawner gives what starts the goroutines of a group.
func Spawner(ctx context.Context, group *errgroup.Group) Spawn {
	return func(run func(context.Context) error) { group.Go(func() error { return run(ctx) }) }
}
