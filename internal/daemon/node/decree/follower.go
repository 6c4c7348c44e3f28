package decree

import (
	"context"
	"log/slog"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Follower takes in what owners changed. Run does the work: a change may end the connection that brought it.
type Follower struct {
	Records
	Now    mesh.Clock
	Log    *slog.Logger
	Attach func(id mesh.ID, anew bool)                        // attaches to what is written down now; anew: this mesh in any case
	Forget func(ctx context.Context, m membership.Mesh) error // takes a mesh off this device

	one    chan struct{} // has room for who makes a change or writes one down
	behind chan func(context.Context)
}

// maxBehind is how many changes may wait. What finds no room is left out: the next welcome of a broker brings it again.
const maxBehind = 64

// Ready makes a follower that can hear. Its exported fields are set before Run.
func (f *Follower) Ready() *Follower {
	f.behind = make(chan func(context.Context), maxBehind)
	f.one = make(chan struct{}, 1)
	return f
}

// Run does what was handed over, one change after the other, until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case work := <-f.behind:
			work(ctx)
		}
	}
}

// Hear takes in an event of a mesh, as it was attached.
func (f *Follower) Hear(m membership.Mesh, facts localdb.Mesh, msg protocol.PushedMessage) {
	f.Learn(m, facts, News(msg, m.MemberID))
	if facts.IsOwner { // who gave the order forgets the mesh, and says so
		return
	}
	var e protocol.ArchivedEvent
	if msg.Event != protocol.MeshArchived || wire.Decode(msg.EventData, &e) != nil || !Ended(m.ID, facts.Owner, e, f.Now()) {
		return
	}
	f.later(m, func(ctx context.Context) error {
		f.Log.Info("the owner has ended a mesh", slog.String(logkey.Mesh, m.Slug))
		return f.Forget(ctx, m)
	})
}

// Learn takes in what a broker says of a mesh: in an event, or in its welcome to who was away.
func (f *Follower) Learn(m membership.Mesh, facts localdb.Mesh, said protocol.MeshFacts) {
	if (said.Slug == "" || said.Slug == m.Slug && said.Name == m.Name) && (said.Role == "" || said.Role == facts.Role) {
		return
	}
	f.later(m, func(ctx context.Context) error { return f.Adapt(ctx, m.ID, said) })
}

func (f *Follower) later(m membership.Mesh, work func(ctx context.Context) error) {
	select {
	case f.behind <- func(ctx context.Context) {
		if err := work(ctx); err != nil && ctx.Err() == nil && !mesh.IsCode(err, mesh.MeshNotAttached) {
			f.Log.Warn("change of a mesh not written down", slog.String(logkey.Mesh, m.Slug), slog.Any(logkey.Err, err))
		}
	}:
	default:
		f.Log.Warn("change of a mesh left for later", slog.String(logkey.Mesh, m.Slug))
	}
}

// Adapt writes a change down, and attaches where the connections have to know.
func (f *Follower) Adapt(ctx context.Context, id mesh.ID, said protocol.MeshFacts) error {
	return f.Lead(ctx, id, func() (protocol.MeshFacts, error) { return said, nil })
}

// Lead makes a change, and writes down what came of it. The event that tells of the same change waits meanwhile: it would
// end the connection that the answer to the change comes by.
func (f *Follower) Lead(ctx context.Context, id mesh.ID, change func() (protocol.MeshFacts, error)) error {
	select {
	case f.one <- struct{}{}:
		defer func() { <-f.one }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	said, err := change()
	if err != nil {
		return err
	}
	renamed, role, err := f.Keep(ctx, id, said)
	if err == nil && (renamed || role) {
		f.Attach(id, role)
	}
	return err
}
