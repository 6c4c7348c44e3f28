package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/claudemesh/claudemesh/internal/daemon/events"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/order"
	"github.com/claudemesh/claudemesh/internal/daemon/trust"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// attachment is one joined mesh: the member's own connection, one per session, and the drain of its outbox.
type attachment struct {
	node    *Node
	mesh    membership.Mesh
	facts   localdb.Mesh
	link    *uplink.Link
	seating *seating // of the member
	voices  *voices
	life
	wake   events.Broadcast // fired when a connection changes
	missed chan struct{}    // holds one wish to read the receipts that were missed
	roster *roster
	order  *order.Order

	mu       sync.Mutex
	spawn    spawn                   // nil unless run runs
	redrain  func()                  // makes the drain begin anew; nil before the first
	sessions map[string]*sessionLink // by host session id
}

// life is how long an attachment runs.
type life struct {
	ending chan struct{} // closed by stop
	ended  chan struct{} // closed when run has returned
}

func newAttachment(n *Node, m membership.Mesh) (*attachment, error) {
	ctx, cancel := context.WithTimeout(context.Background(), localTime) // a read of our own file, which nobody waits for
	defer cancel()
	facts, _, err := n.opt.DB.FindMesh(ctx, m.ID)
	if err != nil {
		return nil, err
	}
	at := &attachment{node: n, mesh: m, facts: facts, wake: events.NewBroadcast(), sessions: map[string]*sessionLink{}}
	at.roster = &roster{at: at}
	if at.roster.pins, err = trust.Open(ctx, trust.Options{DB: n.opt.DB, MeshID: m.ID, Now: n.opt.Now, Log: n.opt.Log.With(logkey.Mesh, m.Slug)}); err != nil {
		return nil, err
	}
	at.ending, at.ended, at.missed = make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	at.seating, at.voices = newSeating(at, ""), newVoices(at)
	if at.link, err = at.newLink(seal.SecretKey{}, at.memberPresence, at.seating); err != nil {
		return nil, err
	}
	at.order, err = newOrder(at)
	return at, err
}

// localTime bounds work on this machine's own databases that nobody waits for.
const localTime = 10 * time.Second

// same reports whether an attachment still serves an entry of config.json.
func (a *attachment) same(m membership.Mesh) bool {
	return a.mesh.ID == m.ID && a.mesh.Slug == m.Slug && a.mesh.MemberID == m.MemberID &&
		a.mesh.BrokerURL == m.BrokerURL && a.mesh.Pubkey() == m.Pubkey()
}

// newLink makes a connection: of the member where session is zero.
func (a *attachment) newLink(session seal.SecretKey, presence func() protocol.Presence, seat *seating) (*uplink.Link, error) {
	n := a.node
	set := n.opt.Settings
	said := func() protocol.Presence {
		p := presence()
		p.Groups = seat.hello()
		return p
	}
	var err error
	seat.link, err = uplink.New(uplink.Options{
		URL: a.mesh.BrokerURL, Pin: a.facts.BrokerPin, Presence: said, Dial: n.opt.Dial,
		Identity: uplink.Identity{MeshID: a.mesh.ID, MemberID: a.mesh.MemberID, Member: a.mesh.Secret, Session: session},
		Timing: uplink.Timing{
			ReconnectMin: set.ReconnectMin, ReconnectMax: set.ReconnectMax, Ping: set.PingInterval, DeadAfter: set.DeadAfter,
		},
		ReadLimitBytes: set.ReadLimitBytes, Now: n.opt.Now, Log: n.opt.Log.With(logkey.Mesh, a.mesh.Slug),
		OnPush:    newIntake(a, session, seat.sessionID).receive,
		OnReceipt: a.onReceipt,
		Strongest: a.roster.pins.Spoken,
		Spoke:     a.roster.pins.Spoke,
		OnState: func(s uplink.State) {
			a.onState(session.IsZero(), s)
			if s == uplink.Unsupported {
				drainAnew(a)
			}
			if s == uplink.Open {
				a.later(seat.tellLater) // what changed while the hello was on its way
				a.later(a.voices.introduce(seat.sessionID))
			}
		},
	})
	return seat.link, err
}

// memberPresence is what the daemon's own connection tells: nothing of this machine (design C5).
func (a *attachment) memberPresence() protocol.Presence {
	return protocol.Presence{SessionID: "daemon", PeerType: "ai", Channel: "claudemesh-daemon"}
}

// run keeps the connections and the drain until ctx ends or stop is called.
func (a *attachment) run(ctx context.Context) error {
	defer close(a.ended)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	a.begin(spawner(ctx, group))
	group.Go(func() error { return a.voices.report(ctx) })
	group.Go(func() error { return a.link.Run(ctx) })
	group.Go(func() error { return a.drain(ctx) })
	group.Go(func() error { return a.readReceipts(ctx) })
	select {
	case <-ctx.Done():
	case <-a.ending:
		cancel()
	}
	a.begin(nil) // from here on nothing is started
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// drain sends what waits. It begins anew after a session has ended, or the broker turned out to know no sessions, with
// that session's rows sealed by the member: they would wait for a connection that may never come.
func (a *attachment) drain(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := a.adopt(ctx); err != nil && ctx.Err() == nil {
			a.node.opt.Log.Error("messages of an ended session not sealed anew", logkey.Mesh, a.mesh.Slug, logkey.Err, err)
		}
		turn, cancel := context.WithCancel(ctx)
		a.mu.Lock()
		a.redrain = cancel
		a.mu.Unlock()
		err := a.node.opt.Outbox.Drain(turn, a.mesh.ID, a.mesh.Slug, route{a})
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// drainAnew lets the drain begin anew.
func drainAnew(a *attachment) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.redrain != nil {
		a.redrain()
	}
}

// adopt makes the member the sender of what sessions left that have ended, or cannot speak here.
func (a *attachment) adopt(ctx context.Context) error {
	own := senders(a)
	n, err := a.node.opt.Outbox.Reseal(ctx, a.mesh.ID, func(k mesh.Key) bool { return !own[k] },
		func(recipient mesh.Key, body []byte) (string, string, error) {
			peer, err := seal.ParsePublicKey(string(recipient))
			if err != nil {
				return "", "", err
			}
			box, err := a.node.boxes.Seal(a.mesh.Secret, peer, body)
			return box.Nonce, box.Ciphertext, err
		})
	if n > 0 {
		a.node.opt.Log.Info("messages of a session sealed anew by its member", logkey.Mesh, a.mesh.Slug, logkey.Count, n)
	}
	return err
}

// later runs something that nobody waits for, while the attachment runs.
func (a *attachment) later(run func(context.Context) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.spawn != nil {
		a.spawn(run)
	}
}

// begin lets sessions start, or with nil no more of them.
func (a *attachment) begin(s spawn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spawn = s
	if s == nil {
		return
	}
	for _, sl := range a.sessions {
		a.start(sl)
	}
}

// stop ends the attachment and waits for it. Call it once, after its run was spawned.
func (a *attachment) stop() {
	close(a.ending)
	<-a.ended
}

// ownKeys lists the keys of this mesh that this daemon holds: the member's and its sessions'.
func (a *attachment) ownKeys() map[mesh.Key]bool {
	keys := map[mesh.Key]bool{a.mesh.Pubkey(): true}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sessions {
		keys[s.Pubkey()] = true
	}
	return keys
}

// senders lists the keys with which messages leave.
func senders(a *attachment) map[mesh.Key]bool {
	keys := map[mesh.Key]bool{a.mesh.Pubkey(): true}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sessions {
		keys[s.Pubkey()] = s.speaks()
	}
	return keys
}

// onState tells the rest of a change of a connection.
func (a *attachment) onState(member bool, s uplink.State) {
	a.wake.Fire()
	a.node.peers.Fire()
	if !member {
		return
	}
	n := a.node
	n.opt.Log.Info("broker status", logkey.Mesh, a.mesh.Slug, logkey.State, string(s))
	n.Events.Publish(events.Event{Kind: localapi.EventBrokerStatus, Mesh: a.mesh.ID, Body: localapi.BrokerStatus{
		TS: mesh.FormatTime(n.opt.Now()), Mesh: a.mesh.Slug, Status: string(s),
	}})
	if s == uplink.Open {
		retrySessions(a)
		if said := a.link.Mesh(); said != nil {
			n.owners.Learn(a.mesh, a.facts, *said)
		}
		a.missReceipts()
		a.later(a.order.Meet)
		a.voices.move()
	}
}
