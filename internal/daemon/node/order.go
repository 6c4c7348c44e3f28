package node

import (
	"github.com/claudemesh/claudemesh/internal/daemon/order"
)

// OrderOf gives the order of a mesh: the one named, or the only one.
func OrderOf(n *Node, slug string) (*order.Order, error) {
	all, err := narrow(n, slug)
	if err != nil {
		return nil, err
	}
	orders := make([]*order.Order, 0, len(all))
	for _, at := range all {
		orders = append(orders, at.Order)
	}
	return order.Sole(orders)
}
