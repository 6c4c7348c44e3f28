package enroll

import (
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Operation is a change of a mesh that its owner signs: invite, role, ban, rename, delete (design C1).
type Operation struct {
	Mesh  membership.Mesh
	Owner seal.SecretKey
	Name  string // type of the frame
	Args  any    // the frame without its operation, as its Signed method gives it
}

// nonceHex is the length of an operation's nonce.
const nonceHex = 32

// Sign signs the operation for the broker of the mesh. It counts for a minute.
func (o Operation) Sign(now time.Time) (protocol.SignedOperation, error) {
	host, err := uplink.Host(o.Mesh.BrokerURL)
	if err != nil {
		return protocol.SignedOperation{}, err
	}
	args, err := wire.Encode(o.Args)
	if err != nil {
		return protocol.SignedOperation{}, err
	}
	text := seal.Operation{Host: host, MeshID: string(o.Mesh.ID), Name: o.Name, Nonce: mesh.NewToken()[:nonceHex], At: now}
	if text.Args, err = seal.ArgsHash(args); err != nil {
		return protocol.SignedOperation{}, mesh.Errorf(mesh.Internal, "hash the arguments of %s: %w", o.Name, err)
	}
	sig, err := text.Sign(o.Owner)
	if err != nil {
		return protocol.SignedOperation{}, mesh.Errorf(mesh.NotOwner, "sign %s: %w", o.Name, err)
	}
	return protocol.SignedOperation{
		Nonce: text.Nonce, AtMs: now.UnixMilli(), Key: mesh.Key(o.Owner.Public().String()), Signature: sig.String(),
	}, nil
}
