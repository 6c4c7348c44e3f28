package node

import (
	"context"
	"slices"

	"github.com/claudemesh/claudemesh/internal/daemon/enroll"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// membershipFacts is a joined mesh with what is known of it, whether it is served or not.
type membershipFacts struct {
	membership.Mesh
	facts localdb.Mesh
}

// joinedMeshes reads what is joined. What nothing is known of, as of a mesh that the TypeScript CLI joined, has no owner.
func joinedMeshes(ctx context.Context, n *Node) ([]membershipFacts, error) {
	list, err := n.opt.Book.List()
	if err != nil {
		return nil, err
	}
	all := make([]membershipFacts, 0, len(list))
	for _, m := range list {
		facts, _, err := n.opt.DB.FindMesh(ctx, m.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, membershipFacts{m, facts})
	}
	return all, nil
}

// recognise says which joined mesh a link leads to. One that does not name the owner could lead to any: its broker is asked with
// the key of each that is there, which makes nobody a member and uses nothing up. A second membership would take the place
// of the first one's key, and what is on its way to that key would never be read.
func recognise(ctx context.Context, n *Node, link enroll.Link, name string, joined []membershipFacts) (enroll.Link, error) {
	if link.Fingerprint != "" || link.Token != "" {
		return link, nil
	}
	for _, m := range joined {
		owner, err := seal.DecodePublicKey(string(m.facts.Owner))
		if err != nil || !link.LeadsTo(m.BrokerURL, link.Pin) {
			continue
		}
		named := link
		named.Fingerprint, named.Pin = seal.OwnerFingerprint(string(m.ID), owner), m.facts.BrokerPin
		switch _, err := n.enroll.Claim(ctx, named, name, m.Secret); {
		case err == nil:
			return named, nil
		case !mesh.IsCode(err, mesh.InviteUntrusted) && !mesh.IsCode(err, mesh.InviteRefused):
			return link, err
		}
	}
	return link, nil
}

// readmit serves a mesh again that the daemon was told to leave out: who joins it wants it.
func readmit(n *Node, link enroll.Link, joined []membershipFacts) {
	for _, m := range joined {
		if link.Of(m.ID, m.facts.Owner) && serveAgain(n, m.ID) {
			n.reconcile()
		}
	}
}

func serveAgain(n *Node, id mesh.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	left := n.left[id]
	delete(n.left, id)
	return left
}

// keepKey refuses to put a new membership in the place of one whose broker has not ended it: the key of that one would be
// lost.
func keepKey(n *Node, joined []membershipFacts, id mesh.ID) error {
	i := slices.IndexFunc(joined, func(m membershipFacts) bool { return m.ID == id })
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
