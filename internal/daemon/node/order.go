package node

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/address"
	"github.com/claudemesh/claudemesh/internal/daemon/enroll"
	"github.com/claudemesh/claudemesh/internal/daemon/order"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// newOrder keeps the order of a mesh.
func newOrder(a *attachment) (*order.Order, error) {
	n := a.node
	return order.New(order.Place{
		ID: a.mesh.ID, Slug: a.mesh.Slug, DB: n.opt.DB, Link: a.link, Own: a.ownKeys, Met: a.roster.met, Now: n.opt.Now, Log: n.opt.Log.With(logkey.Mesh, a.mesh.Slug),
		Here: func(ctx context.Context) []protocol.Peer {
			rows, _ := a.roster.lately(ctx) // without an answer those count who were met
			return rows
		},
		Resolve: func(ctx context.Context, to string) (address.Result, error) {
			book := n.addressBook("", n.opt.Now().Add(-rosterFresh))
			return address.Resolve(ctx, address.Request{To: to, Mesh: a.mesh.Slug, Meshes: book, ToSelf: true})
		},
		Sign: func(name string, args any) (protocol.SignedOperation, error) {
			key, owner, err := n.opt.Book.OwnerSecret(a.mesh.ID)
			if err != nil {
				return protocol.SignedOperation{}, err
			}
			if !owner {
				key = a.mesh.Secret // an admin signs as a member (design C1, wire 8.2)
			}
			return enroll.Operation{Mesh: a.mesh, Owner: key, Name: name, Args: args}.Sign(n.opt.Now())
		},
	})
}

// OrderOf gives the order of a mesh: the one named, or the only one.
func OrderOf(n *Node, slug string) (*order.Order, error) {
	all, err := narrow(n, slug)
	if err != nil {
		return nil, err
	}
	orders := make([]*order.Order, 0, len(all))
	for _, at := range all {
		orders = append(orders, at.order)
	}
	return order.Sole(orders)
}
