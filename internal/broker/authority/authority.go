// Package authority asks whether the owner of a mesh wants what a frame demands. A mesh is its owner's key, so what
// changes the mesh or its members is an operation which that key signed. The role of who sends it counts in one case
// alone: an admin, whom an invite of the owner made one, may keep order by its own member key (design C1, wire 8.2).
package authority

import (
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Authority checks signed operations. Its fields are set once; it may be used from any goroutine.
type Authority struct {
	Now  mesh.Clock
	Once func(parts ...string) bool // reports whether signed parts come for the first time, and remembers them
}

// Require wants the owner's signature over an operation: on the caller's mesh, at this broker, with these arguments,
// now, for the first time. Name is the type of the frame; args is the frame without its operation, as its Signed
// method gives it. Everything else is forbidden. It returns the host under which the owner dialled this broker, which
// the signature names.
func (a *Authority) Require(s *session.Session, name string, args any, op protocol.SignedOperation) (host string, err error) {
	if op.Key != s.OwnerKey {
		return "", mesh.Errorf(mesh.Forbidden, "%s needs the signature of the mesh's owner", name)
	}
	return a.signed(s, name, args, op)
}

// RequireAdmin is Require, also satisfied by the signature of the caller's own member key where the caller came in as an
// admin. Owner says that it was the owner's; otherwise whether the caller is an admin still is the caller's question.
func (a *Authority) RequireAdmin(s *session.Session, name string, args any, op protocol.SignedOperation) (owner bool, err error) {
	if op.Key != s.OwnerKey && (op.Key != s.MemberKey || !s.Admin) {
		return false, mesh.Errorf(mesh.Forbidden, "%s needs the signature of the mesh's owner or of an admin", name)
	}
	_, err = a.signed(s, name, args, op)
	return op.Key == s.OwnerKey, err
}

// signed checks an operation whose key was chosen, and returns the host that it names.
func (a *Authority) signed(s *session.Session, name string, args any, op protocol.SignedOperation) (host string, err error) {
	holder, err := seal.ParsePublicKey(string(op.Key))
	if err != nil {
		return "", mesh.Errorf(mesh.Forbidden, "the signing key: %w", err)
	}
	signature, err := seal.ParseSignature(op.Signature)
	if err != nil {
		return "", mesh.Errorf(mesh.Forbidden, "the signature: %w", err)
	}
	text, err := wire.Encode(args)
	if err != nil {
		return "", err
	}
	hash, err := seal.ArgsHash(text)
	if err != nil {
		return "", mesh.Errorf(mesh.Forbidden, "the arguments cannot be signed: %w", err)
	}
	o := seal.Operation{MeshID: string(s.Mesh), Name: name, Args: hash, Nonce: op.Nonce, At: time.UnixMilli(op.AtMs)}
	if host, err = a.verify(o, s.Hosts, holder, signature); err != nil {
		return "", err
	}
	if !a.Once("operation", string(s.Mesh), op.Nonce) {
		return "", mesh.Errorf(mesh.Forbidden, "this signature was used before")
	}
	return host, nil
}

// verify tries the names under which the caller may have dialled this broker.
func (a *Authority) verify(o seal.Operation, hosts []string, holder seal.PublicKey, signature seal.Signature) (string, error) {
	now := a.Now()
	err := error(seal.ErrSignature)
	for _, o.Host = range hosts {
		if err = o.Verify(holder, signature, now); err == nil {
			return o.Host, nil
		}
	}
	return "", mesh.Errorf(mesh.Forbidden, "%w, by this broker's clock at %s", err, mesh.FormatTime(now))
}
