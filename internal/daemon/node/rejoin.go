package node

import (
	"context"
	"slices"

	"github.com/claudemesh/claudemesh/internal/daemon/enroll"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// joinedMeshes reads what is joined, whether it is served or not. Of a mesh that the TypeScript CLI joined the owner may be
// unknown.
func joinedMeshes(ctx context.Context, n *Node) ([]enroll.Known, error) {
	list, err := n.opt.Book.List()
	all := make([]enroll.Known, len(list))
	for i, m := range list {
		facts, _, err := n.opt.DB.FindMesh(ctx, m.ID)
		if err != nil {
			return nil, err
		}
		all[i] = enroll.Known{Mesh: m, Owner: facts.Owner, Pin: facts.BrokerPin}
	}
	return all, err
}

// readmit serves a mesh again that the daemon was told to leave out: who joins it wants it.
func readmit(n *Node, link enroll.Link, joined []enroll.Known) {
	for _, m := range joined {
		if link.Of(m.ID, m.Owner) {
			n.mu.Lock()
			delete(n.left, m.ID)
			n.mu.Unlock()
			n.reconcile()
		}
	}
}

// keepKey refuses to put a new membership in the place of one whose broker has not ended it: the key of that one would be
// lost.
func keepKey(n *Node, joined []enroll.Known, id mesh.ID) error {
	i := slices.IndexFunc(joined, func(m enroll.Known) bool { return m.ID == id })
	if i < 0 {
		return nil
	}
	if at, err := n.byID(id); err == nil && at.Link.State().Final() {
		return nil
	}
	return mesh.Errorf(mesh.Forbidden, "%s is joined already, and this link does not say so: take the whole link, with what stands behind #, or leave the mesh first",
		joined[i].Slug)
}

// unserved lists the joined meshes that the daemon was told to leave out, by their slugs.
func unserved(n *Node) []string {
	list, err := n.opt.Book.List()
	if err != nil {
		return nil // whoever asked for what is joined is told
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var slugs []string
	for _, m := range list {
		if n.left[m.ID] {
			slugs = append(slugs, m.Slug)
		}
	}
	return slugs
}
