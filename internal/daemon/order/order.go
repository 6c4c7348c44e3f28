// Package order keeps people apart in one mesh: what the own member lets others do, and what the mesh's owner and its
// admins do to connections and members.
package order

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/address"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Place is the mesh, as an Order needs it. All fields are required; the functions may be called from any goroutine.
type Place struct {
	ID   mesh.ID
	Slug string
	DB   *localdb.DB
	Link *uplink.Link                          // the member's own connection; set before anything but New is called
	Own  func() map[mesh.Key]bool              // the keys that this daemon holds
	Met  func() []address.Known                // who was met
	Here func(context.Context) []protocol.Peer // the roster of a moment ago; empty where nobody answers
	// Resolve finds whom an address means in this mesh, own ones too.
	Resolve func(ctx context.Context, to string) (address.Result, error)
	// Sign signs an operation, with the owner's key where that is on this device, else with the member's.
	Sign func(name string, args any) (protocol.SignedOperation, error)
	Old  func() (mesh.Grants, error) // the list that the TypeScript client left
	Now  mesh.Clock
	Log  *slog.Logger
}

// Order keeps the order of one mesh. Its methods may be called from any goroutine.
type Order struct {
	Place
	turn chan struct{} // holds a token while the broker is told

	mu     sync.Mutex
	grants mesh.Grants // replaced, never changed
}

// readTime bounds reading this machine's own database.
const readTime = 10 * time.Second

// New reads what the member lets others do. Without that nothing must come in: a blocked peer would be let through.
func New(p Place) (*Order, error) {
	o := &Order{Place: p, turn: make(chan struct{}, 1), grants: mesh.Grants{}}
	ctx, cancel := context.WithTimeout(context.Background(), readTime)
	defer cancel()
	table := localdb.GrantsOf(p.DB, p.ID)
	if err := o.takeOver(ctx, table); err != nil {
		p.Log.Warn("old grants not taken over", logkey.Mesh, p.Slug, logkey.Err, err) // tried again at the next start
	}
	rows, err := table.List(ctx)
	for _, row := range rows {
		if !row.Gone {
			o.grants[row.Key] = row.Caps
		}
	}
	return o, err
}

// takeOver begins with what the user let others do before: a block must not end because the client is another.
func (o *Order) takeOver(ctx context.Context, table localdb.Grants) error {
	taken, err := table.Taken(ctx)
	if err != nil || taken {
		return err
	}
	old, err := o.Old()
	if err != nil {
		return err
	}
	return table.Take(ctx, old)
}

// ask makes one call to the broker.
func ask[Req, Resp any](ctx context.Context, o *Order, limit time.Duration, c wire.Call[Req, Resp], req Req) (Resp, error) {
	var none Resp
	if err := o.Barred(); err != nil {
		return none, err
	}
	peer := o.Link.Peer()
	if peer == nil {
		return none, mesh.Errorf(mesh.BrokerDown, "%s is not connected to its broker", o.Slug)
	}
	if err := uplink.Answers(o.Link, c.Entry); err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.Do(ctx, peer, req)
}

// Barred says that the broker does not hear this member any more; nil while it may.
func (o *Order) Barred() error {
	if o.Link.State() != uplink.Banned {
		return nil
	}
	return mesh.Errorf(mesh.Revoked, "you are banned from %s", o.Slug)
}

// Sole gives the only order there is: what changes an order must not guess whose (cli 8).
func Sole(all []*Order) (*Order, error) {
	switch len(all) {
	case 0:
		return nil, mesh.Errorf(mesh.NothingJoined, "no mesh is joined")
	case 1:
		return all[0], nil
	}
	slugs := make([]string, 0, len(all))
	for _, o := range all {
		slugs = append(slugs, o.Slug)
	}
	return nil, mesh.Errorf(mesh.MeshRequired, "several meshes are joined: say which one is meant").With(mesh.Details{Attached: slugs})
}
