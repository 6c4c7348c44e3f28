package enroll

import (
	"encoding/hex"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// InviteDraft is what an invite shall allow.
type InviteDraft struct {
	Mesh      membership.Mesh
	Owner     seal.SecretKey
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
	switch {
	case d.MaxUses < 1 || d.MaxUses > maxUses:
		return Invite{}, mesh.Errorf(mesh.BadRequest, "an invite has 1 to %d uses", maxUses)
	case !d.ExpiresAt.After(now):
		return Invite{}, mesh.Errorf(mesh.BadRequest, "an invite ends in the future")
	}
	code, id := mesh.NewInviteCode(), mesh.NewID()
	sig, err := seal.Capability{
		MeshID: string(d.Mesh.ID), InviteID: string(id), ExpiresAt: d.ExpiresAt, Role: d.Role, Owner: d.Owner.Public(),
	}.Sign(d.Owner)
	if err != nil {
		return Invite{}, mesh.Errorf(mesh.BadRequest, "sign the invite: its role is admin or member: %w", err)
	}
	hash := seal.CodeHash(code)
	req := protocol.InviteCreateRequest{
		InviteID: id, CodeHash: hex.EncodeToString(hash[:]), ExpiresAt: d.ExpiresAt.Unix(), MaxUses: d.MaxUses, Role: d.Role,
		Signature: sig.String(),
	}
	op := operation{mesh: d.Mesh, owner: d.Owner, name: protocol.InviteCreate.Type, args: req.Signed()}
	if req.Operation, err = op.sign(now); err != nil {
		return Invite{}, err
	}
	return Invite{Request: req, Link: Link{
		Base: baseOf(d.Mesh.BrokerURL), Code: code, Pin: d.Pin, Fingerprint: seal.OwnerFingerprint(string(d.Mesh.ID), d.Owner.Public()),
	}}, nil
}

// RevokeInvite signs the frame that ends an invite.
func RevokeInvite(m membership.Mesh, owner seal.SecretKey, id mesh.ID, now time.Time) (protocol.InviteRevokeRequest, error) {
	req := protocol.InviteRevokeRequest{InviteID: id}
	var err error
	req.Operation, err = operation{mesh: m, owner: owner, name: protocol.InviteRevoke.Type, args: req.Signed()}.sign(now)
	return req, err
}

// operation is a change of a mesh that its owner signs (design C1).
type operation struct {
	mesh  membership.Mesh
	owner seal.SecretKey
	name  string // of the frame
	args  any    // the frame without the operation
}

// nonceHex is the length of an operation's nonce.
const nonceHex = 32

func (o operation) sign(now time.Time) (protocol.SignedOperation, error) {
	host, err := uplink.Host(o.mesh.BrokerURL)
	if err != nil {
		return protocol.SignedOperation{}, err
	}
	args, err := wire.Encode(o.args)
	if err != nil {
		return protocol.SignedOperation{}, err
	}
	text := seal.Operation{Host: host, MeshID: string(o.mesh.ID), Name: o.name, Nonce: mesh.NewToken()[:nonceHex], At: now}
	if text.Args, err = seal.ArgsHash(args); err != nil {
		return protocol.SignedOperation{}, mesh.Errorf(mesh.Internal, "hash the arguments of %s: %w", o.name, err)
	}
	sig, err := text.Sign(o.owner)
	if err != nil {
		return protocol.SignedOperation{}, mesh.Errorf(mesh.NotOwner, "sign %s: %w", o.name, err)
	}
	return protocol.SignedOperation{
		Nonce: text.Nonce, AtMs: now.UnixMilli(), Key: mesh.Key(o.owner.Public().String()), Signature: sig.String(),
	}, nil
}
