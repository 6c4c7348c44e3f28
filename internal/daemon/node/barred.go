package node

import (
	"cmp"

	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Barred says why a sender is not heard any more: the member was banned, or the session kicked (outbox.Route). A daemon
// that was kicked, which only older brokers do, is heard again when it begins anew.
func (r route) Barred(sender mesh.Key) mesh.Code {
	link := r.sender(sender)
	switch {
	case r.link.State() == uplink.Banned, link != nil && link.State() == uplink.Banned:
		return mesh.Revoked
	case link != nil && link.State() == uplink.Kicked && sender != "":
		return mesh.Kicked
	}
	return ""
}

// barred refuses what a member or session would send to a broker that does not hear it.
func barred(a *attachment, sender mesh.Key) error {
	if (route{a}).Barred(sender) == mesh.Kicked {
		return mesh.Errorf(mesh.Kicked, "this session was kicked from %s", a.mesh.Slug)
	}
	return a.order.Barred()
}

// unheard is why a recipient was not found, where the one broker that could have known it does not hear this member.
func (l letter) unheard(err error) error {
	meshes, narrowErr := narrow(l.node, l.req.Mesh)
	if !mesh.IsCode(err, mesh.TargetNotFound) || narrowErr != nil || len(meshes) != 1 {
		return err
	}
	return cmp.Or(barred(meshes[0], ""), err)
}
