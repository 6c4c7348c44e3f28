package invite

import (
	"context"
	"errors"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Visit is how somebody without a membership came here.
type Visit struct {
	Hosts     []string // host:port forms that the visitor may have signed
	BrokerURL string   // address for the new member's connections, ws:// or wss://
}

// Claim redeems a code for a member key (design C3). The same key again gets the same answer and uses nothing up.
// Everything that is wrong with the invite is one and the same invite_refused.
func (v *Invites) Claim(ctx context.Context, visit Visit, code string, req protocol.ClaimRequest) (protocol.ClaimAnswer, error) {
	c, recipient, err := readClaim(visit, code, req)
	if err != nil {
		return protocol.ClaimAnswer{}, err
	}
	r, err := v.redeem(ctx, c)
	if err != nil {
		return protocol.ClaimAnswer{}, err
	}
	return r.answer(recipient, visit)
}

// claim is a request that is well formed and, in version 2, proved.
type claim struct {
	version    int
	codeHash   string
	ownerPrint string // of the link; empty when it has none
	peer       mesh.Key
	name       string
}

// redeem makes the peer a member in one transaction.
func (v *Invites) redeem(ctx context.Context, c claim) (r redeemed, err error) {
	err = v.DB.Write(ctx, func(tx *sqlite.Tx) error {
		r, err = c.redeem(tx, v.Now())
		return err
	})
	if mesh.IsCode(err, mesh.NotFound) {
		err = errRefused()
	}
	return r, err
}

func readClaim(visit Visit, code string, req protocol.ClaimRequest) (claim, seal.X25519Public, error) {
	var none seal.X25519Public
	if req.PeerPubkey == "" || req.Proof == "" {
		return claim{}, none, mesh.Errorf(mesh.BadRequest, "a claim names the joiner's key and proves it: join with a claudemesh that does")
	}
	if !mesh.ValidInviteCode(code) {
		return claim{}, none, errRefused()
	}
	recipient, err := seal.ParseX25519Public(req.RecipientX25519)
	if err != nil {
		return claim{}, none, mesh.Errorf(mesh.CodeOf(err), "recipient_x25519_pubkey: %w", err)
	}
	peer, err := seal.ParsePublicKey(req.PeerPubkey)
	if err != nil {
		return claim{}, none, mesh.Errorf(mesh.CodeOf(err), "peer_pubkey: %w", err)
	}
	signature, err := seal.ParseSignature(req.Proof)
	if err != nil {
		return claim{}, none, mesh.Errorf(mesh.CodeOf(err), "proof: %w", err)
	}
	name := req.DisplayName
	if name == "" {
		name = unnamed(req.PeerPubkey)
	}
	if err := mesh.CheckName(name); err != nil {
		return claim{}, none, err
	}
	if !proved(seal.Claim{CodeHash: seal.CodeHash(code), Recipient: recipient, Peer: peer}, visit.Hosts, signature) {
		return claim{}, none, mesh.Errorf(mesh.BadSignature, "the proof is not by peer_pubkey for this broker and code")
	}
	c := claim{version: 2, codeHash: codeHash(code), ownerPrint: req.OwnerPrint, peer: mesh.Key(req.PeerPubkey), name: name}
	return c, recipient, nil
}

// unnamed is the name of a member that gave none.
func unnamed(pubkey string) string { return "member-" + pubkey[:8] }

// redeemed is what a claim led to.
type redeemed struct {
	mesh   store.Mesh
	invite store.Invite
	member store.Member
	again  bool // it was a member before
}

// redeem makes the peer a member, if the invite allows it. Every refusal is errRefused or not_found, or
// revoked for a key that is banned.
func (c claim) redeem(tx *sqlite.Tx, now time.Time) (r redeemed, err error) {
	if r.invite, err = store.FindInvite(tx, c.codeHash); err != nil {
		return r, err
	}
	if r.invite.Version != c.version {
		return r, errRefused()
	}
	if r.mesh, err = store.FindMesh(tx, r.invite.Mesh); err != nil {
		return r, err
	}
	if err := c.meant(r.mesh); err != nil {
		return r, err
	}
	r.member, err = store.FindMemberByKey(tx, r.mesh.ID, c.peer)
	switch {
	case err == nil: // again, perhaps because the answer was lost
		r.again = true
		if !r.invite.RevokedAt.IsZero() || !now.Before(r.invite.ExpiresAt) {
			return r, errRefused()
		}
		return r, nil
	case !mesh.IsCode(err, mesh.NotFound):
		return r, err
	}
	was, err := store.WasMember(tx, r.mesh.ID, c.peer)
	if err != nil {
		return r, err
	}
	_, banned, err := store.FindBan(tx, r.mesh.ID, c.peer)
	if err != nil {
		return r, err
	}
	used, err := store.UseInvite(tx, r.invite.ID, now)
	switch { // an error undoes the use
	case err != nil:
	case !used, was && !banned:
		err = errRefused()
	case banned: // who holds a code that works, and proved the key, may know what has become of it
		err = mesh.Errorf(mesh.Revoked, "this key is banned from %s", r.mesh.Slug)
	}
	if err != nil {
		return r, err
	}
	r.member, _, err = store.AddMember(tx, store.Member{
		ID: mesh.NewID(), Mesh: r.mesh.ID, Key: c.peer, Name: c.name, Role: r.invite.Role, JoinedAt: now,
	})
	return r, err
}

// meant compares the mesh with the owner that the link names: a joiner that would refuse the answer uses nothing up.
func (c claim) meant(m store.Mesh) error {
	if c.ownerPrint == "" {
		return nil
	}
	owner, err := seal.ParsePublicKey(string(m.OwnerKey))
	if err != nil {
		return mesh.Errorf(mesh.Internal, "owner key of mesh %s: %w", m.ID, err)
	}
	if c.ownerPrint != seal.OwnerFingerprint(string(m.ID), owner) {
		return mesh.Errorf(mesh.InviteUntrusted, "the mesh of this code has another owner than the link says; nothing was used up")
	}
	return nil
}

// answer tells the joiner what it must check before it believes it.
func (r redeemed) answer(recipient seal.X25519Public, visit Visit) (protocol.ClaimAnswer, error) {
	owner, ownerErr := seal.ParsePublicKey(string(r.mesh.OwnerKey))
	root, rootErr := seal.ParseBase64URL(r.mesh.RootKey)
	if err := errors.Join(ownerErr, rootErr); err != nil {
		return protocol.ClaimAnswer{}, mesh.Errorf(mesh.Internal, "keys of mesh %s: %w", r.mesh.ID, err)
	}
	sealed, err := seal.SealAnonymous(recipient, root)
	if err != nil {
		return protocol.ClaimAnswer{}, mesh.Errorf(mesh.CodeOf(err), "recipient_x25519_pubkey: %w", err)
	}
	signed := seal.Capability{
		MeshID: string(r.mesh.ID), InviteID: string(r.invite.ID), ExpiresAt: r.invite.ExpiresAt, Role: r.invite.Role, Owner: owner,
	}
	canonical, err := signed.Canonical()
	if err != nil {
		return protocol.ClaimAnswer{}, mesh.Errorf(mesh.Internal, "canonical text of invite %s: %w", r.invite.ID, err)
	}
	return protocol.ClaimAnswer{
		SealedRootKey: seal.Base64URL(sealed), MeshID: r.mesh.ID, MemberID: r.member.ID, OwnerPubkey: string(r.mesh.OwnerKey),
		CanonicalV2: canonical, InviteID: r.invite.ID, Role: r.invite.Role, ExpiresAt: r.invite.ExpiresAt.Unix(),
		CapabilitySignature: r.invite.Signature, MeshSlug: r.mesh.Slug, MeshName: r.mesh.Name, BrokerURL: visit.BrokerURL,
	}, nil
}
