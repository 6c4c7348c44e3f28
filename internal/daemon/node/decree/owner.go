package decree

import (
	"context"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/enroll"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Owner signs orders for a mesh, and gives them to its broker.
type Owner struct {
	Mesh  membership.Mesh
	Facts localdb.Mesh
	Key   seal.SecretKey
	Peer  *wire.Peer
	Now   mesh.Clock
}

// orderTime bounds one order.
const orderTime = 10 * time.Second

// order makes one call to the broker of a mesh.
func order[Req, Resp any](ctx context.Context, o Owner, c wire.Call[Req, Resp], req Req) (Resp, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	return c.Do(ctx, o.Peer, req)
}

func (o Owner) sign(name string, args any) (protocol.SignedOperation, error) {
	return enroll.Operation{Mesh: o.Mesh, Owner: o.Key, Name: name, Args: args}.Sign(o.Now())
}

// Rename gives the mesh another slug, another name, or both.
func (o Owner) Rename(ctx context.Context, slug, name string) (protocol.MeshRenameAnswer, error) {
	req := protocol.MeshRenameRequest{Slug: slug, Name: name}
	var err error
	if req.Operation, err = o.sign(protocol.MeshRename.Type, req.Signed()); err != nil {
		return protocol.MeshRenameAnswer{}, err
	}
	return order(ctx, o, protocol.MeshRename, req)
}

// SetRole changes what a member may do.
func (o Owner) SetRole(ctx context.Context, target, role string) (protocol.MemberUpdateAnswer, error) {
	req := protocol.MemberUpdateRequest{Target: target, Role: role}
	var err error
	if req.Operation, err = o.sign(protocol.MemberUpdate.Type, req.Signed()); err != nil {
		return protocol.MemberUpdateAnswer{}, err
	}
	return order(ctx, o, protocol.MemberUpdate, req)
}

// Archive ends the mesh, which the broker calls slug.
func (o Owner) Archive(ctx context.Context, slug string) error {
	req := protocol.MeshArchiveRequest{Slug: slug}
	var err error
	if req.Operation, err = o.sign(protocol.MeshArchive.Type, req.Signed()); err == nil {
		_, err = order(ctx, o, protocol.MeshArchive, req)
	}
	return err
}

// Revoke ends an invite.
func (o Owner) Revoke(ctx context.Context, id mesh.ID) error {
	req, err := enroll.RevokeInvite(o.Mesh, o.Key, id, o.Now())
	if err == nil {
		_, err = order(ctx, o, protocol.InviteRevoke, req)
	}
	return err
}

// Bounds of an invite (design C3).
const (
	defaultExpiry = 7 * 24 * time.Hour
	maxExpiry     = 365 * 24 * time.Hour
)

// Invite makes an invite link. The code is in the answer and nowhere else.
func (o Owner) Invite(ctx context.Context, req localapi.InviteCreateRequest) (localapi.InviteAnswer, error) {
	var none localapi.InviteAnswer
	expiry := defaultExpiry
	if req.ExpiresIn != "" {
		var err error
		if expiry, err = time.ParseDuration(req.ExpiresIn); err != nil || expiry < time.Second || expiry > maxExpiry {
			return none, mesh.Errorf(mesh.BadRequest, "an invite works for a second to 365 days, not %s", req.ExpiresIn)
		}
	}
	draft := enroll.InviteDraft{Mesh: o.Mesh, Owner: o.Key, ExpiresAt: o.Now().Add(expiry), MaxUses: max(req.Uses, 1), Role: req.Role}
	if draft.Role == "" {
		draft.Role = "member"
	}
	var err error
	if draft.Base, draft.Pin, err = o.place(ctx); err != nil {
		return none, err
	}
	version := 2
	if req.Legacy {
		version = 1
	}
	invite, err := o.mint(ctx, &draft, version)
	if err != nil {
		return none, err
	}
	return localapi.InviteAnswer{
		URL: invite.Link.String(), Code: invite.Link.Code, Version: version, InviteID: invite.Request.InviteID, Mesh: o.Mesh.Slug,
		ExpiresAt: mesh.FormatTime(draft.ExpiresAt), Uses: draft.MaxUses, Role: draft.Role, LocalOnly: OnThisMachine(invite.Link.Base),
	}, nil
}

// mintTries bounds the search for a second in which no other invite of version 1 ends.
const mintTries = 100

// mint has the broker store an invite of a version. Those of version 1 hold nothing but who invites to what until when: of
// two that would be the same, the later ends a second later.
func (o Owner) mint(ctx context.Context, d *enroll.InviteDraft, version int) (invite enroll.Invite, err error) {
	sign := enroll.NewInvite
	if version == 1 {
		sign = enroll.NewLegacyInvite
	}
	for range mintTries {
		if invite, err = sign(*d, o.Now()); err != nil {
			return invite, err
		}
		if _, err = order(ctx, o, protocol.InviteCreate, invite.Request); version != 1 || !mesh.IsCode(err, mesh.Reused) {
			return invite, err
		}
		d.ExpiresAt = d.ExpiresAt.Add(time.Second)
	}
	return invite, err
}

// place is where guests reach the broker: as we do, or as a broker of this machine says. Empty means as we do.
func (o Owner) place(ctx context.Context) (base, pin string, err error) {
	if !OnThisMachine(o.Mesh.BrokerURL) {
		return "", o.Facts.BrokerPin, nil
	}
	said, err := order(ctx, o, protocol.BrokerPlace, protocol.PlaceRequest{})
	switch {
	case mesh.IsCode(err, mesh.UnknownType), err == nil && said.URL == "":
		return "", o.Facts.BrokerPin, nil
	case err != nil:
		return "", "", err
	}
	if _, err := uplink.Host(said.URL); err != nil || !strings.HasPrefix(said.URL, "http") {
		return "", "", mesh.Errorf(mesh.BrokerRefused, "the broker says that others reach it at %.80q, which is no address", said.URL)
	}
	if said.Pin != "" {
		err = uplink.CheckPin(said.Pin)
	}
	return said.URL, said.Pin, err
}

// OnThisMachine reports whether a URL names a loopback address.
func OnThisMachine(rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.Unmap().IsLoopback()
}
