// Package enroll makes this device a member: it creates meshes, claims invites, and makes them. Nothing that a
// broker answers is returned before it was checked against the owner's signature (design C1, C3).
package enroll

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Client reaches brokers over HTTP. It may be used from many goroutines.
type Client struct {
	Dial uplink.DialFunc // nil means the network of the machine
	Now  mesh.Clock
}

// Founding is what a new mesh needs.
type Founding struct {
	BrokerURL   string // ws:// or wss://
	Pin         string // SPKI pin of a self-signed broker; empty means public certificates
	Token       string // create token of the broker; empty where it is open
	Name        string
	Slug        string // empty: the broker makes one of the name
	DisplayName string // of the first member
	Owner       seal.SecretKey
	Member      seal.SecretKey
}

// Founded is a mesh that was made, with this device as its first member and admin.
type Founded struct {
	Mesh membership.Mesh
	Role string
}

// CreateMesh makes a mesh on a broker. The caller has saved the owner's key before. A refusal has the broker's code:
// slug_taken, bad_bearer_token, weak_key, …
func (c *Client) CreateMesh(ctx context.Context, f Founding) (Founded, error) { panic("unwritten") }

// Link is a parsed invite.
type Link struct {
	Base        string // http:// or https:// address of the broker, without a slash at the end
	Code        string
	Fingerprint string // of the owner (seal.OwnerFingerprint); empty when the link has none
	Pin         string // SPKI pin of a self-signed broker; empty when the link has none
}

// ParseLink reads `<public-url>/i/<code>#<fp>[.<spki>]`, or a bare code together with a broker's URL. bad_request
// says what is wrong; ic://join/ links of TypeScript clients are refused with advice.
func ParseLink(text, brokerURL string) (Link, error) { panic("unwritten") }

// Of reports whether the link has a fingerprint and it is that of a mesh: who has joined it need not claim again.
func (l Link) Of(id mesh.ID, owner mesh.Key) bool { panic("unwritten") }

// String writes the link as ParseLink reads it.
func (l Link) String() string { panic("unwritten") }

// Joined is a mesh that an invite led into.
type Joined struct {
	Mesh      membership.Mesh
	Owner     mesh.Key
	OwnerFP   string // seal.OwnerFingerprint, to be shown and compared when Unpinned
	Role      string
	InviteID  mesh.ID
	BrokerPin string
	Unpinned  bool // the link had no owner fingerprint: Owner is the broker's word
}

// Claim redeems an invite for member, a new key, or that of an earlier claim of the same invite, which uses up nothing
// (design C3). It returns only after owner fingerprint, capability signature, canonical text, expiry, ids and
// the sealed root key were checked: invite_untrusted otherwise. invite_refused is the broker's only other answer.
func (c *Client) Claim(ctx context.Context, l Link, displayName string, member seal.SecretKey) (Joined, error) {
	panic("unwritten")
}

// InviteDraft is what an invite shall allow.
type InviteDraft struct {
	Mesh      membership.Mesh
	Owner     seal.SecretKey
	Pin       string // SPKI pin of the broker, for the link
	ExpiresAt time.Time
	MaxUses   int    // 1 to 1000
	Role      string // admin or member
}

// Invite is a new invite: the frame for the broker and the link for the guest. The code is in the link only.
type Invite struct {
	Request protocol.InviteCreateRequest
	Link    Link
}

// NewInvite signs an invite. It counts once the broker has answered the frame.
func NewInvite(d InviteDraft, now time.Time) (Invite, error) { panic("unwritten") }

// RevokeInvite signs the frame that ends an invite.
func RevokeInvite(m membership.Mesh, owner seal.SecretKey, id mesh.ID, now time.Time) (protocol.InviteRevokeRequest, error) {
	panic("unwritten")
}
