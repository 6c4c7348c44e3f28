// Package node is the running state of this user's daemon: the joined meshes with their connections, and what goes in
// and out through them.
package node

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/claudemesh/claudemesh/internal/audit"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/daemon/approval"
	"github.com/claudemesh/claudemesh/internal/daemon/enroll"
	"github.com/claudemesh/claudemesh/internal/daemon/events"
	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/daemon/node/decree"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Options are what a node is made of. All fields but Dial and Network are required; the caller opens and closes the databases.
type Options struct {
	Home     paths.Home
	Settings config.Daemon
	User     string // <user>@<host>, the name of new members
	Book     *membership.Book
	DB       *localdb.DB
	Outbox   *outbox.Outbox
	Inbox    *inbox.Inbox
	Dial     uplink.DialFunc // nil means the network of the machine
	Network  func() string   // describes the networks of the machine; nil asks the system
	Now      mesh.Clock
	Log      *slog.Logger
}

// Node is the state. Its methods may be called from any goroutine.
type Node struct {
	Events *events.Events // what happens besides messages: those are read from the inbox (design D6)

	opt    Options
	shared *attachment.Options
	enroll *enroll.Client
	owners *decree.Follower

	mu       sync.Mutex
	attached map[mesh.ID]*attachment.Attachment
	order    []mesh.ID                  // of config.json
	left     map[mesh.ID]bool           // joined meshes that are not served (config.Daemon.Meshes); nil before the first look
	lines    map[lineID]attachment.Line // the sessions' places in meshes, attached or not
	spawn    attachment.Spawn           // nil unless Run runs
	changed  events.Broadcast           // fired when a mesh comes or goes
	peers    events.Broadcast           // fired when a connection changes
	ready    chan struct{}
	first    sync.Once // closes ready
}

// keptBoxes is how many peers' shared keys are kept.
const keptBoxes = 4096

// New returns a node that is attached to nothing until Run.
func New(opt Options) *Node {
	if opt.Network == nil {
		opt.Network = addresses
	}
	n := &Node{
		opt: opt, enroll: &enroll.Client{Dial: opt.Dial, Now: opt.Now}, Events: events.New(),
		attached: map[mesh.ID]*attachment.Attachment{}, lines: map[lineID]attachment.Line{}, changed: events.NewBroadcast(),
		ready: make(chan struct{}),
	}
	n.owners = follower(n)
	n.shared = &attachment.Options{
		Settings: opt.Settings, User: opt.User, Book: opt.Book, DB: opt.DB, Outbox: opt.Outbox, Inbox: opt.Inbox,
		Boxes: seal.NewBoxes(keptBoxes), Events: n.Events, Moved: events.NewBroadcast(), Owners: n.owners, Dial: opt.Dial,
		Approvals: approval.New(opt.Now, audit.New(opt.Home.Config.Audit(), opt.Now).Append),
		Now:       opt.Now, Log: opt.Log,
	}
	return n
}

// Run attaches to every joined mesh, and follows what is joined and left, until ctx ends and everything has stopped.
func (n *Node) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	n.setSpawn(attachment.Spawner(ctx, group))
	n.reconcile()
	group.Go(func() error { return n.opt.Outbox.Run(ctx) })
	group.Go(func() error { return n.opt.Inbox.Run(ctx) })
	group.Go(func() error { return localdb.Watch(ctx, n.opt.DB) })
	group.Go(func() error { return prune(ctx, n.opt) })
	group.Go(func() error { return n.owners.Run(ctx) })
	group.Go(func() error { return n.watch(ctx) })
	group.Go(func() error { return NewSkills(n).follow(ctx) })
	group.Go(func() error { return n.opt.Book.Watch(ctx, n.reconcile) })
	<-ctx.Done()
	n.setSpawn(nil) // from here on nothing is started
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (n *Node) setSpawn(s attachment.Spawn) {
	n.mu.Lock()
	n.spawn = s
	n.mu.Unlock()
}

// pruneInterval is how often what is out of date is forgotten.
const pruneInterval = time.Hour

// prune forgets keys and peers that were not seen for long.
func prune(ctx context.Context, opt Options) error {
	tick := time.NewTicker(pruneInterval)
	defer tick.Stop()
	for {
		if err := pruneKeys(ctx, opt); err != nil && ctx.Err() == nil {
			opt.Log.Warn("session keys not pruned", logkey.Err, err)
		}
		if err := opt.DB.PruneGroups(ctx, opt.Now()); err != nil && ctx.Err() == nil {
			opt.Log.Warn("groups not pruned", logkey.Err, err)
		}
		if err := opt.DB.PruneWishes(ctx, opt.Now()); err != nil && ctx.Err() == nil {
			opt.Log.Warn("profiles not pruned", logkey.Err, err)
		}
		if err := dropStrays(ctx, opt); err != nil && ctx.Err() == nil {
			opt.Log.Warn("messages to meshes that were left wait on", logkey.Err, err)
		}
		if _, err := opt.DB.PrunePeers(ctx, opt.Now()); err != nil && ctx.Err() == nil {
			opt.Log.Warn("peers not pruned", logkey.Err, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// pruneKeys forgets the keys of sessions that do not come back. One that is registered keeps its own, however long it says
// nothing.
func pruneKeys(ctx context.Context, opt Options) error {
	sessions, err := opt.DB.ListSessions(ctx)
	if err != nil {
		return err
	}
	_, err = opt.Book.PruneSessions(opt.Now(), func(id string) bool {
		return slices.ContainsFunc(sessions, func(s localdb.Session) bool { return s.ID == id })
	})
	return err
}

// dropStrays ends the messages that wait for meshes which nobody has joined. Where nothing is joined, or that cannot be
// read, nothing ends: the file may be about to come back.
func dropStrays(ctx context.Context, opt Options) error {
	joined, err := opt.Book.List()
	if err != nil || len(joined) == 0 {
		return err
	}
	n, err := opt.Outbox.DropStrays(ctx, func(id mesh.ID, slug string) bool {
		return slices.ContainsFunc(joined, func(m membership.Mesh) bool { return m.ID == id || id == "" && m.Slug == slug })
	})
	if n > 0 {
		opt.Log.Warn("messages to meshes that were left are given up", logkey.Count, n)
	}
	return err
}

// reconcile attaches what was joined and detaches what was left.
func (n *Node) reconcile() {
	defer n.first.Do(func() { close(n.ready) })
	joined, err := n.opt.Book.List()
	if err != nil {
		n.opt.Log.Error("joined meshes unreadable", logkey.Err, err)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.spawn == nil {
		return
	}
	leaveOut(n, joined)
	n.order = n.order[:0]
	listed := map[mesh.ID]bool{}
	for _, m := range joined {
		listed[m.ID] = true
		if n.left[m.ID] {
			continue
		}
		n.order = append(n.order, m.ID)
		if at, ok := n.attached[m.ID]; ok && !at.Same(m) {
			at.Stop()
			delete(n.attached, m.ID)
		}
		if _, ok := n.attached[m.ID]; !ok {
			n.attach(m)
		}
	}
	maps.DeleteFunc(n.left, func(id mesh.ID, _ bool) bool { return !listed[id] }) // joined again, it is a new one
	for id, at := range n.attached {
		if !listed[id] {
			at.Stop()
			delete(n.attached, id)
		}
	}
	n.changed.Fire()
}

// leaveOut decides at the first look which meshes are not served; what is joined later is, whatever it is called. n.mu is
// held.
func leaveOut(n *Node, joined []membership.Mesh) {
	if n.left != nil {
		return
	}
	n.left = map[mesh.ID]bool{}
	for _, m := range joined {
		if wanted := n.opt.Settings.Meshes; len(wanted) > 0 && !slices.Contains(wanted, m.Slug) {
			n.left[m.ID] = true
			n.opt.Log.Info("mesh is not served", logkey.Mesh, m.Slug)
		}
	}
}

// attach begins the connections of one mesh. n.mu is held.
func (n *Node) attach(m membership.Mesh) {
	at, err := attachment.New(n.shared, m)
	if err != nil {
		n.opt.Log.Error("mesh not attached", logkey.Mesh, m.Slug, logkey.Err, err)
		return
	}
	n.attached[m.ID] = at
	for id, l := range n.lines { // before it runs: what a session left is the member's to send only when it is over
		if id.mesh == m.ID {
			at.Sessions.Add(l)
		}
	}
	n.spawn(at.Run)
}

// Ready is closed when Run has read for the first time what is joined.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Changed gives a channel that is closed when a mesh comes or goes.
func (n *Node) Changed() <-chan struct{} { return n.changed.Wait() }

// meshes lists what is attached, in the order of config.json.
func (n *Node) meshes() []*attachment.Attachment {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []*attachment.Attachment
	for _, id := range n.order {
		if at, ok := n.attached[id]; ok {
			all = append(all, at)
		}
	}
	return all
}

// Slugs names what is attached, in the order of config.json.
func Slugs(n *Node) (slugs []string) {
	for _, at := range n.meshes() {
		slugs = append(slugs, at.Mesh.Slug)
	}
	return slugs
}

// find gives an attached mesh by its slug; mesh_not_attached with the slugs otherwise.
func (n *Node) find(slug string) (*attachment.Attachment, error) {
	for _, at := range n.meshes() {
		if at.Mesh.Slug == slug {
			return at, nil
		}
	}
	slugs := Slugs(n)
	if slices.Contains(unserved(n), slug) {
		return nil, mesh.Errorf(mesh.MeshNotAttached, "the daemon was told to serve %s only: %s is joined and left out until the next start",
			strings.Join(slugs, ", "), slug).With(mesh.Details{Attached: slugs})
	}
	return nil, mesh.Errorf(mesh.MeshNotAttached, "no mesh %q is joined", slug).With(mesh.Details{Attached: slugs})
}

// CheckMesh refuses a slug of no joined mesh: mesh_not_attached. An empty one is none.
func CheckMesh(n *Node, slug string) error {
	_, err := narrow(n, slug)
	return err
}

// narrow keeps one mesh to one mesh where a slug is given.
func narrow(n *Node, slug string) ([]*attachment.Attachment, error) {
	if slug == "" {
		return n.meshes(), nil
	}
	at, err := n.find(slug)
	if err != nil {
		return nil, err
	}
	return []*attachment.Attachment{at}, nil
}
