package enroll

import (
	"encoding/hex"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// InviteDraft is what an invite shall allow.
type InviteDraft struct {
	Mesh      membership.Mesh
	Owner     seal.SecretKey
	Base      string    // of the link: http:// or https://, without a slash at the end; empty means as the mesh has it
	Pin       string    // SPKI pin of the broker, for the link
	ExpiresAt time.Time // cut to seconds
	MaxUses   int       // 1 to 1000
	Role      string    // admin or member
}

// Invite is a new invite: the frame for the broker, and the link for the guest, which alone holds the code.
type Invite struct {
	Request protocol.InviteCreateRequest
	Link    Link
}

// maxUses bounds an invite (design C3).
const maxUses = 1000

// NewInvite signs an invite. It counts once the broker has answered the frame.
func NewInvite(d InviteDraft, now time.Time) (Invite, error) {
	if err := d.check(now); err != nil {
		return Invite{}, err
	}
	code, id := mesh.NewInviteCode(), mesh.NewID()
	sig, err := seal.Capability{
		MeshID: string(d.Mesh.ID), InviteID: string(id), ExpiresAt: d.ExpiresAt, Role: d.Role, Owner: d.Owner.Public(),
	}.Sign(d.Owner)
	if err != nil {
		return Invite{}, mesh.Errorf(mesh.BadRequest, "sign the invite: its role is admin or member: %w", err)
	}
	hash := seal.CodeHash(code)
	return d.request(Invite{
		Request: protocol.InviteCreateRequest{InviteID: id, CodeHash: hex.EncodeToString(hash[:]), Signature: sig.String()},
		Link: Link{
			Base: d.base(), Code: code, Pin: d.Pin, Fingerprint: seal.OwnerFingerprint(string(d.Mesh.ID), d.Owner.Public()),
		},
	}, now)
}

// base is where guests reach the broker.
func (d InviteDraft) base() string {
	if d.Base != "" {
		return d.Base
	}
	return baseOf(d.Mesh.BrokerURL)
}

// check refuses what a broker would.
func (d InviteDraft) check(now time.Time) error {
	switch {
	case d.MaxUses < 1 || d.MaxUses > maxUses:
		return mesh.Errorf(mesh.BadRequest, "an invite has 1 to %d uses", maxUses)
	case !d.ExpiresAt.After(now):
		return mesh.Errorf(mesh.BadRequest, "an invite ends in the future")
	}
	return nil
}

// request completes the frame of an invite and signs it.
func (d InviteDraft) request(i Invite, now time.Time) (Invite, error) {
	i.Request.ExpiresAt, i.Request.MaxUses, i.Request.Role = d.ExpiresAt.Unix(), d.MaxUses, d.Role
	var err error
	op := Operation{Mesh: d.Mesh, Owner: d.Owner, Name: protocol.InviteCreate.Type, Args: i.Request.Signed()}
	if i.Request.Operation, err = op.Sign(now); err != nil {
		return Invite{}, err
	}
	return i, nil
}

// RevokeInvite signs the frame that ends an invite.
func RevokeInvite(m membership.Mesh, owner seal.SecretKey, id mesh.ID, now time.Time) (protocol.InviteRevokeRequest, error) {
	req := protocol.InviteRevokeRequest{InviteID: id}
	var err error
	req.Operation, err = Operation{Mesh: m, Owner: owner, Name: protocol.InviteRevoke.Type, Args: req.Signed()}.Sign(now)
	return req, err
}
