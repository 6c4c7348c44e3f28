package enroll

import (
	"context"
	"encoding/hex"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// tokenLink begins an invite of version 1.
const tokenLink = "ic://join/"

// minTokenBytes parts a token that stands alone from a code (http-api B.2).
const minTokenBytes = 21

// tokenIn finds the token of an invite of version 1.
func tokenIn(where string) (token string, ok bool) {
	if _, token, ok = strings.Cut(where, "/join/"); ok {
		return strings.TrimSuffix(token, "/"), true
	}
	return where, len(where) >= minTokenBytes && !strings.ContainsAny(where, ":/.")
}

// parseToken refuses a token that no broker can have made, or that names no broker we would dial.
func parseToken(text string) (Link, error) {
	t, err := seal.ParseInviteToken(text)
	if err != nil {
		return Link{}, mesh.Errorf(mesh.BadRequest, "the link was cut or changed")
	}
	if err := t.Verify(); err != nil {
		return Link{}, mesh.Errorf(mesh.BadRequest, "the link is not signed by the owner that it names: it was changed")
	}
	if _, err := uplink.Host(t.BrokerURL); err != nil || !strings.HasPrefix(t.BrokerURL, "ws") {
		return Link{}, mesh.Errorf(mesh.BadRequest, "the link names a broker's URL that is none")
	}
	base := baseOf(t.BrokerURL)
	if err := uplink.CheckClear(base); err != nil {
		return Link{}, err
	}
	return Link{Base: base, Token: text, Fingerprint: seal.OwnerFingerprint(t.MeshID, t.Owner)}, nil
}

// Join redeems an invite of version 1 for member. The owner signed everything in the token, so only the member's id is
// the broker's word. The same key again uses nothing up.
func (c *Client) Join(ctx context.Context, l Link, displayName string, member seal.SecretKey) (Joined, error) {
	t, err := seal.ParseInviteToken(l.Token)
	if err != nil {
		return Joined{}, mesh.Errorf(mesh.BadRequest, "the link was cut or changed")
	}
	now := c.Now()
	if t.Expired(now) {
		return Joined{}, mesh.Errorf(mesh.InviteRefused, "the invite is over since %s", mesh.FormatTime(t.ExpiresAt))
	}
	slug, err := mesh.ParseSlug(t.MeshSlug)
	if err != nil {
		slug = mesh.SlugOf(t.MeshSlug)
	}
	payload, err := seal.ParseBase64URL(l.Token)
	if err != nil {
		return Joined{}, mesh.Errorf(mesh.BadRequest, "the link was cut or changed")
	}
	body, err := wire.Encode(joinRequest{
		JoinRequest: protocol.JoinRequest{InviteToken: l.Token, PeerPubkey: member.Public().String(), DisplayName: displayName},
		Payload:     payload,
	})
	if err != nil {
		return Joined{}, err
	}
	var answer protocol.JoinAnswer
	if err := c.post(ctx, target{base: l.Base, path: protocol.PathJoin}, body, &answer); err != nil {
		return Joined{}, err
	}
	if !validID(answer.MemberID) || !validID(mesh.ID(t.MeshID)) {
		return Joined{}, untrusted("an id that is none")
	}
	return Joined{
		Mesh: membership.Mesh{
			ID: mesh.ID(t.MeshID), MemberID: answer.MemberID, Slug: slug, Name: slug, Secret: member, BrokerURL: t.BrokerURL,
			JoinedAt: now, RootKey: t.RootKey, InviteVersion: 1,
		},
		Owner: mesh.Key(t.Owner.String()), Fingerprint: l.Fingerprint, Role: t.Role,
	}, nil
}

// joinRequest is what brokers of the TypeScript system want: the token, and what it says, once more.
type joinRequest struct {
	JoinRequest protocol.JoinRequest `json:",embed"`
	Payload     wire.RawMessage      `json:"invite_payload"`
}

// pathLookUp is where the site of the TypeScript system tells the token behind a short code (http-api B.2).
const pathLookUp = "/api/public/invite-code/"

// lookUp turns a short link of the TypeScript system into the long one.
func (c *Client) lookUp(ctx context.Context, l Link) (Link, error) {
	var answer struct {
		Found bool   `json:"found"`
		Token string `json:"token"`
	}
	if err := c.post(ctx, target{base: l.Base, path: pathLookUp + l.Code, pin: l.Pin}, nil, &answer); err != nil {
		return Link{}, err
	}
	if !answer.Found {
		return Link{}, mesh.Errorf(mesh.InviteRefused, "the site knows no such code")
	}
	return parseToken(answer.Token)
}

// NewLegacyInvite signs an invite of version 1, which clients of the TypeScript system need: they cannot use others
// (design C3). Its link holds the mesh's root key. Self-signed brokers have none, as those clients refuse them.
func NewLegacyInvite(d InviteDraft, now time.Time) (Invite, error) {
	base := d.base()
	socket := socketOf(base)
	switch {
	case d.Pin != "":
		return Invite{}, mesh.Errorf(mesh.BadRequest, "the broker signed its certificate itself, which clients of the TypeScript system refuse")
	case d.Mesh.RootKey.IsZero():
		return Invite{}, mesh.Errorf(mesh.BadRequest, "this mesh was joined without its root key, which links of version 1 hold")
	}
	if err := d.check(now); err != nil {
		return Invite{}, err
	}
	t, err := seal.InviteToken{
		MeshID: string(d.Mesh.ID), MeshSlug: d.Mesh.Slug, BrokerURL: socket, ExpiresAt: d.ExpiresAt, RootKey: d.Mesh.RootKey, Role: d.Role,
	}.Sign(d.Owner)
	if err != nil {
		return Invite{}, mesh.Errorf(mesh.BadRequest, "sign the invite: its role is admin or member: %w", err)
	}
	text, err := t.Encode()
	if err != nil {
		return Invite{}, mesh.Errorf(mesh.Internal, "encode the invite: %w", err)
	}
	hash := seal.CodeHash(text)
	return d.request(Invite{Link: Link{Base: base, Token: text, Fingerprint: seal.OwnerFingerprint(t.MeshID, t.Owner)}, Request: protocol.InviteCreateRequest{
		InviteID: mesh.NewID(), Version: 1, CodeHash: hex.EncodeToString(hash[:]), Signature: t.Signature.String(), BrokerURL: socket,
	}}, now)
}
