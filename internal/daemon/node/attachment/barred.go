package attachment

import (
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Barred says why a sender is not heard any more: the member was banned, or the session kicked (outbox.Route). A daemon
// that was kicked, which only older brokers do, is heard again when it begins anew.
func (r route) Barred(sender mesh.Key) mesh.Code {
	link := r.sender(sender)
	switch {
	case r.Link.State() == uplink.Banned, link != nil && link.State() == uplink.Banned:
		return mesh.Revoked
	case link != nil && link.State() == uplink.Kicked && sender != "":
		return mesh.Kicked
	}
	return ""
}

// MaySend refuses what a member or session would send to a broker that does not hear it.
func (a *Attachment) MaySend(sender mesh.Key) error {
	if (route{a}).Barred(sender) == mesh.Kicked {
		return mesh.Errorf(mesh.Kicked, "this session was kicked from %s", a.Mesh.Slug)
	}
	return a.Order.Barred()
}
