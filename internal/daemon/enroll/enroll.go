// Package enroll makes this device a member: it creates meshes, claims invites, and makes them. Nothing that a
// broker answers is returned before it was checked against the owner's signature (design C1, C3).
package enroll

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
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

// Founded is a mesh that was made, with this device as its first member.
type Founded struct {
	Mesh membership.Mesh
	Role string
}

// CreateMesh makes a mesh on a broker. The caller has saved the owner's key before (membership.NewOwner). A refusal
// has the broker's code: slug_taken, bad_bearer_token, weak_key, …; after any other error the mesh may exist.
func (c *Client) CreateMesh(ctx context.Context, f Founding) (Founded, error) {
	host, err := uplink.Host(f.BrokerURL)
	if err != nil {
		return Founded{}, err
	}
	now, root := c.Now(), seal.NewSymmetricKey()
	text := seal.MeshCreate{Host: host, Slug: f.Slug, Owner: f.Owner.Public(), Member: f.Member.Public(), CreatedAt: now}
	owner, err := text.Sign(f.Owner)
	if err != nil {
		return Founded{}, mesh.Errorf(mesh.Internal, "sign the new mesh as its owner: %w", err)
	}
	member, err := text.Sign(f.Member)
	if err != nil {
		return Founded{}, mesh.Errorf(mesh.Internal, "sign the new mesh as its member: %w", err)
	}
	body, err := wire.Encode(protocol.MeshCreateRequest{
		Name: f.Name, Slug: f.Slug, OwnerPubkey: text.Owner.String(),
		Member:  protocol.NewMember{Pubkey: text.Member.String(), DisplayName: f.DisplayName},
		RootKey: root.Reveal(), CreatedAtMs: now.UnixMilli(), OwnerSignature: owner.String(), MemberSignature: member.String(),
	})
	if err != nil {
		return Founded{}, err
	}
	var answer protocol.MeshCreateAnswer
	to := target{base: baseOf(f.BrokerURL), path: protocol.PathMeshes, pin: f.Pin, token: f.Token}
	if err := c.post(ctx, to, body, &answer); err != nil {
		return Founded{}, err
	}
	return founded(f, answer, root, now)
}

// founded checks what a broker says of a mesh that it has made.
func founded(f Founding, answer protocol.MeshCreateAnswer, root seal.SymmetricKey, now time.Time) (Founded, error) {
	slug, err := mesh.ParseSlug(answer.Slug)
	switch {
	case err != nil || f.Slug != "" && slug != f.Slug:
		return Founded{}, mesh.Errorf(mesh.BrokerRefused, "the broker made the mesh under another name than was asked")
	case !validID(answer.MeshID) || !validID(answer.MemberID):
		return Founded{}, mesh.Errorf(mesh.BrokerRefused, "the broker made the mesh under ids that are none")
	}
	return Founded{Role: answer.Role, Mesh: membership.Mesh{
		ID: answer.MeshID, MemberID: answer.MemberID, Slug: slug, Name: f.Name, Secret: f.Member, BrokerURL: f.BrokerURL,
		JoinedAt: now, RootKey: root, InviteVersion: inviteVersion,
	}}, nil
}

// LocalCreateToken is the create token of this machine's own broker; empty when there is none.
func LocalCreateToken(broker paths.Broker) string {
	data, err := os.ReadFile(broker.CreateToken())
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// MemberName is what a new member of a user is called: as wanted, else as the user.
func MemberName(wanted, user string) (string, error) {
	if wanted == "" {
		return mesh.SafeName(user, "member"), nil
	}
	return wanted, mesh.CheckName(wanted)
}

// inviteVersion is that of our invites, as config.json records it.
const inviteVersion = 2

// maxIDBytes is twice the length of an id (wire 1).
const maxIDBytes = 64

// validID admits what is an id on every broker: it becomes a file name, and a field of signed texts.
func validID(id mesh.ID) bool {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
	return id != "" && len(id) <= maxIDBytes && strings.Trim(string(id), letters) == ""
}
