package attachment

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/address"
	"github.com/claudemesh/claudemesh/internal/daemon/enroll"
	"github.com/claudemesh/claudemesh/internal/daemon/order"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// newOrder keeps the order of a mesh.
func newOrder(a *Attachment) (*order.Order, error) {
	return order.New(order.Place{
		ID: a.Mesh.ID, Slug: a.Mesh.Slug, DB: a.opt.DB, Link: a.Link, Own: a.OwnKeys, Met: a.Roster.Met, Now: a.opt.Now, Log: a.opt.Log.With(logkey.Mesh, a.Mesh.Slug),
		Old: func() (mesh.Grants, error) { return a.opt.Book.OldGrants(a.Mesh.Slug) },
		Here: func(ctx context.Context) []protocol.Peer {
			rows, _ := a.Roster.Lately(ctx) // without an answer those count who were met
			return rows
		},
		Resolve: func(ctx context.Context, to string) (address.Result, error) {
			return address.Resolve(ctx, address.Request{To: to, Mesh: a.Mesh.Slug, Meshes: []address.Mesh{a.Address("", a.opt.Now().Add(-Fresh))}, ToSelf: true})
		},
		Sign: func(name string, args any) (protocol.SignedOperation, error) {
			key, owner, err := a.opt.Book.OwnerSecret(a.Mesh.ID)
			if err != nil {
				return protocol.SignedOperation{}, err
			}
			if !owner {
				key = a.Mesh.Secret // an admin signs as a member (design C1, wire 8.2)
			}
			return enroll.Operation{Mesh: a.Mesh, Owner: key, Name: name, Args: args}.Sign(a.opt.Now())
		},
	})
}
