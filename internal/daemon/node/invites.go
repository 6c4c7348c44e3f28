package node

import (
	"context"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/enroll"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// inviteTime bounds one call about invites.
const inviteTime = 10 * time.Second

// Bounds of an invite (design C3).
const (
	defaultExpiry = 7 * 24 * time.Hour
	maxExpiry     = 365 * 24 * time.Hour
)

// Invites are the invites of the joined meshes.
type Invites struct{ n *Node }

// Invites gives the invites of the joined meshes.
func (n *Node) Invites() Invites { return Invites{n} }

// owned gives a mesh with its owner's key; not_owner where that is on another device.
func (i Invites) owned(slug string) (*attachment, seal.SecretKey, error) {
	n := i.n
	at, err := n.find(slug)
	if err != nil {
		return nil, seal.SecretKey{}, err
	}
	owner, ok, err := n.opt.Book.OwnerSecret(at.mesh.ID)
	if err != nil {
		return nil, seal.SecretKey{}, err
	}
	if !ok {
		return nil, seal.SecretKey{}, mesh.Errorf(mesh.NotOwner, "the key that owns %s is not on this device", slug)
	}
	return at, owner, nil
}

// Create makes an invite link. The code is in the answer and nowhere else.
func (i Invites) Create(ctx context.Context, req localapi.InviteCreateRequest) (localapi.InviteAnswer, error) {
	n := i.n
	at, owner, err := i.owned(req.Slug)
	if err != nil {
		return localapi.InviteAnswer{}, err
	}
	expiry := defaultExpiry
	if req.ExpiresIn != "" {
		if expiry, err = time.ParseDuration(req.ExpiresIn); err != nil || expiry < time.Second || expiry > maxExpiry {
			return localapi.InviteAnswer{}, mesh.Errorf(mesh.BadRequest, "an invite works for 1s to 8760h, not %q", req.ExpiresIn)
		}
	}
	draft := enroll.InviteDraft{Mesh: at.mesh, Owner: owner, ExpiresAt: n.opt.Now().Add(expiry), MaxUses: max(req.Uses, 1), Role: req.Role}
	if draft.Role == "" {
		draft.Role = "member"
	}
	if draft.Base, draft.Pin, err = place(ctx, at); err != nil {
		return localapi.InviteAnswer{}, err
	}
	return mint(ctx, at, draft, req.Legacy)
}

// mint makes an invite and gives it to the broker.
func mint(ctx context.Context, a *attachment, draft enroll.InviteDraft, legacy bool) (localapi.InviteAnswer, error) {
	sign, version := enroll.NewInvite, 2
	if legacy {
		sign, version = enroll.NewLegacyInvite, 1
	}
	invite, err := sign(draft, a.node.opt.Now())
	if err != nil {
		return localapi.InviteAnswer{}, err
	}
	if _, err := ask(ctx, a, inviteTime, protocol.InviteCreate, invite.Request); err != nil {
		return localapi.InviteAnswer{}, err
	}
	return localapi.InviteAnswer{
		URL: invite.Link.String(), Code: invite.Link.Code, Version: version, InviteID: invite.Request.InviteID, Mesh: a.mesh.Slug,
		ExpiresAt: mesh.FormatTime(draft.ExpiresAt), Uses: draft.MaxUses, Role: draft.Role, LocalOnly: onThisMachine(invite.Link.Base),
	}, nil
}

// place is where guests reach the broker: as we do, or as a broker of this machine says. Empty means as we do.
func place(ctx context.Context, a *attachment) (base, pin string, err error) {
	if !onThisMachine(a.mesh.BrokerURL) {
		return "", a.facts.BrokerPin, nil
	}
	said, err := ask(ctx, a, inviteTime, protocol.BrokerPlace, protocol.PlaceRequest{})
	switch {
	case mesh.IsCode(err, mesh.UnknownType), err == nil && said.URL == "":
		return "", a.facts.BrokerPin, nil
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

// List lists the invites of a mesh.
func (i Invites) List(ctx context.Context, slug string) (localapi.InvitesAnswer, error) {
	at, err := i.n.find(slug)
	if err != nil {
		return localapi.InvitesAnswer{}, err
	}
	answer, err := ask(ctx, at, inviteTime, protocol.InviteList, protocol.InviteListRequest{})
	return localapi.InvitesAnswer{Invites: answer.Invites}, err
}

// Revoke ends an invite.
func (i Invites) Revoke(ctx context.Context, slug string, id mesh.ID) error {
	n := i.n
	at, owner, err := i.owned(slug)
	if err != nil {
		return err
	}
	req, err := enroll.RevokeInvite(at.mesh, owner, id, n.opt.Now())
	if err != nil {
		return err
	}
	_, err = ask(ctx, at, inviteTime, protocol.InviteRevoke, req)
	return err
}

// onThisMachine reports whether a URL names a loopback address.
func onThisMachine(rawURL string) bool {
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
