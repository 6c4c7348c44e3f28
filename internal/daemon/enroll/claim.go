package enroll

import (
	"context"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Joined is a mesh that an invite led into.
type Joined struct {
	Mesh        membership.Mesh
	Owner       mesh.Key
	Fingerprint string // of the owner (seal.OwnerFingerprint), to be shown and compared when Unpinned
	Role        string // admin or member
	InviteID    mesh.ID
	Pin         string // SPKI pin of a self-signed broker; empty for public certificates
	Unpinned    bool   // the link had no owner fingerprint: Owner is the broker's word
}

// claimTries is how often a claim is sent when no answer comes. The same key again uses nothing up.
const claimTries = 2

// Redeem redeems an invite of either version for member; see Claim and Join.
func (c *Client) Redeem(ctx context.Context, l Link, displayName string, member seal.SecretKey) (Joined, error) {
	if l.Token != "" {
		return c.Join(ctx, l, displayName, member)
	}
	joined, err := c.Claim(ctx, l, displayName, member)
	if l.Fingerprint != "" || !mesh.IsCode(err, mesh.BrokerRefused) {
		return joined, err
	}
	long, lookErr := c.lookUp(ctx, l) // a site of the TypeScript system, which gives no answer that a broker of ours gives
	if lookErr != nil {
		return joined, err
	}
	return c.Join(ctx, long, displayName, member)
}

// Claim redeems an invite of version 2 for member: a new key, or that of an earlier claim of the same invite, which makes the same
// member again and uses nothing up (design C3). It returns only after owner fingerprint, capability signature,
// canonical text, expiry, ids and the sealed root key were checked; invite_untrusted says that one was wrong.
func (c *Client) Claim(ctx context.Context, l Link, displayName string, member seal.SecretKey) (Joined, error) {
	host, err := uplink.Host(l.Base)
	if err != nil {
		return Joined{}, err
	}
	recipient := seal.NewX25519Secret()
	text := seal.Claim{Host: host, CodeHash: seal.CodeHash(l.Code), Recipient: recipient.Public(), Peer: member.Public()}
	proof, err := text.Sign(member)
	if err != nil {
		return Joined{}, mesh.Errorf(mesh.Internal, "sign the claim: %w", err)
	}
	body, err := wire.Encode(protocol.ClaimRequest{
		RecipientX25519: text.Recipient.String(), PeerPubkey: text.Peer.String(), DisplayName: displayName, Proof: proof.String(),
		OwnerPrint: l.Fingerprint,
	})
	if err != nil {
		return Joined{}, err
	}
	to := target{base: l.Base, path: strings.Replace(protocol.PathClaim, "{code}", l.Code, 1), pin: l.Pin}
	var answer protocol.ClaimAnswer
	for try := 1; ; try++ {
		answer = protocol.ClaimAnswer{}
		if err = c.post(ctx, to, body, &answer); err == nil {
			break
		}
		if !mesh.IsCode(err, mesh.BrokerDown) || try == claimTries || ctx.Err() != nil {
			return Joined{}, err
		}
	}
	return checked(l, answer, keys{member: member, recipient: recipient}, c.Now())
}

// keys are the secrets of a claim.
type keys struct {
	member    seal.SecretKey
	recipient seal.X25519Secret
}

// checked believes nothing of an answer that the owner has not signed, or the link does not name.
func checked(l Link, a protocol.ClaimAnswer, k keys, now time.Time) (Joined, error) {
	if !validID(a.MeshID) || !validID(a.MemberID) || !validID(a.InviteID) {
		return Joined{}, untrusted("an id that is none")
	}
	owner, err := checkOwner(l, a)
	if err != nil {
		return Joined{}, err
	}
	if err := checkCapability(a, owner, now); err != nil {
		return Joined{}, err
	}
	root, err := openRoot(a, k.recipient)
	if err != nil {
		return Joined{}, err
	}
	socket, err := checkBroker(l, a.BrokerURL)
	if err != nil {
		return Joined{}, err
	}
	slug, err := mesh.ParseSlug(a.MeshSlug)
	if err != nil {
		slug = mesh.SlugOf(a.MeshSlug)
	}
	return Joined{
		Mesh: membership.Mesh{
			ID: a.MeshID, MemberID: a.MemberID, Slug: slug, Name: mesh.SafeName(a.MeshName, slug), Secret: k.member,
			BrokerURL: socket, JoinedAt: now, RootKey: root, InviteVersion: inviteVersion,
		},
		Owner: mesh.Key(owner.String()), Fingerprint: seal.OwnerFingerprint(string(a.MeshID), owner),
		Role: a.Role, InviteID: a.InviteID, Pin: l.Pin, Unpinned: l.Fingerprint == "",
	}, nil
}

func untrusted(format string, args ...any) error {
	return mesh.Errorf(mesh.InviteUntrusted, "the broker's answer to the claim has "+format, args...)
}

// checkOwner compares the owner with the link.
func checkOwner(l Link, a protocol.ClaimAnswer) (seal.PublicKey, error) {
	owner, err := seal.ParsePublicKey(a.OwnerPubkey)
	if err != nil {
		return seal.PublicKey{}, untrusted("an owner's key that is none: %w", err)
	}
	if l.Fingerprint != "" && !l.Of(a.MeshID, mesh.Key(owner.String())) {
		return seal.PublicKey{}, untrusted("another owner or mesh than the link")
	}
	return owner, nil
}

// checkCapability checks what the owner signed, and that it is what the broker says.
func checkCapability(a protocol.ClaimAnswer, owner seal.PublicKey, now time.Time) error {
	capability := seal.Capability{
		MeshID: string(a.MeshID), InviteID: string(a.InviteID), ExpiresAt: time.Unix(a.ExpiresAt, 0), Role: a.Role, Owner: owner,
	}
	text, err := capability.Canonical()
	if err != nil || text != a.CanonicalV2 {
		return untrusted("another canonical text than its fields give")
	}
	sig, err := seal.ParseSignature(a.CapabilitySignature)
	if err != nil {
		return untrusted("a signature that is none")
	}
	if err := capability.Verify(sig); err != nil {
		return untrusted("an invite that the owner did not sign: %w", err)
	}
	if capability.Expired(now) {
		return untrusted("an invite that is over since %s", mesh.FormatTime(capability.ExpiresAt))
	}
	return nil
}

func openRoot(a protocol.ClaimAnswer, recipient seal.X25519Secret) (seal.SymmetricKey, error) {
	sealed, err := seal.ParseBase64URL(a.SealedRootKey)
	if err != nil {
		return seal.SymmetricKey{}, untrusted("a root key that is none")
	}
	raw, err := seal.OpenAnonymous(recipient, sealed)
	if err != nil {
		return seal.SymmetricKey{}, untrusted("a root key that is not sealed to us")
	}
	root, err := seal.SymmetricKeyOf(raw)
	if err != nil {
		return seal.SymmetricKey{}, untrusted("a root key that is none")
	}
	return root, nil
}

// checkBroker says where the mesh is to be reached: where the broker says, or where the link was. It never leads
// out of TLS, and with a pinned key not to another host.
func checkBroker(l Link, brokerURL string) (string, error) {
	if brokerURL == "" {
		return socketOf(l.Base), nil
	}
	told, err := uplink.Host(brokerURL)
	if err != nil || !strings.HasPrefix(brokerURL, "ws") {
		return "", untrusted("a broker's URL that is none")
	}
	asked, err := uplink.Host(l.Base)
	if err != nil {
		return "", err
	}
	plain := strings.HasPrefix(brokerURL, "ws://")
	switch {
	case plain && strings.HasPrefix(l.Base, "https://"):
		return "", untrusted("a broker's URL without TLS, unlike the link")
	case l.Pin != "" && told != asked:
		return "", untrusted("a broker's URL of another host than the link, whose key is pinned")
	}
	return brokerURL, uplink.CheckClear(brokerURL)
}
