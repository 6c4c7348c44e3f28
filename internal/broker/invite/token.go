package invite

import (
	"context"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// checkToken wants an invite of version 1 to be of the very token that its fields make, signed by the owner: what is
// stored is then all that a join needs to look at.
func checkToken(tx *sqlite.Tx, s *session.Session, req protocol.InviteCreateRequest) error {
	m, err := store.FindMesh(tx, s.Mesh)
	if err != nil {
		return err
	}
	if !strings.HasSuffix(req.BrokerURL, protocol.PathSocket) {
		return mesh.Errorf(mesh.BadRequest, "brokerUrl ends in %s", protocol.PathSocket)
	}
	t := seal.InviteToken{
		MeshID: string(m.ID), MeshSlug: m.Slug, BrokerURL: req.BrokerURL, ExpiresAt: time.Unix(req.ExpiresAt, 0), Role: req.Role,
	}
	if t.Owner, t.Signature, err = ownerSigned(s, req); err != nil {
		return err
	}
	if t.RootKey, err = seal.ParseSymmetricKey(m.RootKey); err != nil {
		return mesh.Errorf(mesh.Internal, "root key of mesh %s: %w", m.ID, err)
	}
	if err := t.Verify(); err != nil {
		return errUnsigned()
	}
	if text, err := t.Encode(); err != nil || codeHash(text) != req.CodeHash {
		return mesh.Errorf(mesh.BadRequest, "codeHash is of another token than the fields make")
	}
	return nil
}

// Join redeems a token of version 1 for a member key, as clients of the TypeScript system do (http-api A, row 5).
// Nothing proves the key: whoever holds the token may make anybody a member. The rest is as for Claim.
func (v *Invites) Join(ctx context.Context, req protocol.JoinRequest) (protocol.JoinAnswer, error) {
	if _, err := seal.ParsePublicKey(req.PeerPubkey); err != nil {
		return protocol.JoinAnswer{}, mesh.Errorf(mesh.CodeOf(err), "peer_pubkey: %w", err)
	}
	c := claim{
		version: 1, codeHash: codeHash(req.InviteToken), peer: mesh.Key(req.PeerPubkey),
		name: mesh.SafeName(req.DisplayName, unnamed(req.PeerPubkey)), // old clients do not know our rules
	}
	r, err := v.redeem(ctx, c)
	if err != nil {
		return protocol.JoinAnswer{}, err
	}
	return protocol.JoinAnswer{OK: true, MemberID: r.member.ID, AlreadyMember: r.again}, nil
}
