// Package invite lets the owner of a mesh hand out invites, and strangers redeem them. An invite is what the owner's
// key signed; the broker only counts its uses, and knows the hash of its code (design C1, C3).
package invite

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/authority"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Invites keeps the invites of all meshes. Its fields are set once; it may be used from any goroutine.
type Invites struct {
	DB    *sqlite.DB
	Now   mesh.Clock
	Owner *authority.Authority
	// SelfSigned is set where the broker signed its certificate itself: clients of the TypeScript system refuse that,
	// so they get no links (design C3).
	SelfSigned bool
}

// Bind registers the handlers.
func (v *Invites) Bind(m *wire.Mux[*session.Session]) {
	wire.Handle(m, protocol.InviteCreate, v.Create)
	wire.Handle(m, protocol.InviteList, v.List)
	wire.Handle(m, protocol.InviteRevoke, v.Revoke)
}

const (
	maxUses     = 1000
	maxLifetime = 366 * 24 * time.Hour
	maxListed   = 250 // newest; their frame stays below the smallest read limit of a client
)

// Create stores an invite that the mesh's owner signed. Without the owner's signature it is forbidden.
func (v *Invites) Create(ctx context.Context, s *session.Session, req protocol.InviteCreateRequest) (protocol.InviteAnswer, error) {
	if _, err := v.Owner.Require(s, protocol.InviteCreate.Type, req.Signed(), req.Operation); err != nil {
		return protocol.InviteAnswer{}, err
	}
	row, err := v.check(s, req)
	if err != nil {
		return protocol.InviteAnswer{}, err
	}
	err = v.DB.Write(ctx, func(tx *sqlite.Tx) error {
		if row.Version == 1 {
			if err := checkToken(tx, s, req); err != nil {
				return err
			}
		}
		return store.AddInvite(tx, row)
	})
	return protocol.InviteAnswer{InviteID: req.InviteID}, err
}

// check refuses what could never be claimed, before it is handed out.
func (v *Invites) check(s *session.Session, req protocol.InviteCreateRequest) (store.Invite, error) {
	now, expires := v.Now(), time.Unix(req.ExpiresAt, 0)
	switch {
	case !isID(req.InviteID):
		return store.Invite{}, mesh.Errorf(mesh.BadRequest, "inviteId is not 32 letters and digits")
	case !mesh.IsKey(req.CodeHash): // the same shape: 64 hex in lower case
		return store.Invite{}, mesh.Errorf(mesh.BadRequest, "codeHash is not 64 hex")
	case req.MaxUses < 1 || req.MaxUses > maxUses:
		return store.Invite{}, mesh.Errorf(mesh.BadRequest, "an invite has 1 to %d uses", maxUses)
	case !expires.After(now) || expires.Sub(now) > maxLifetime:
		return store.Invite{}, mesh.Errorf(mesh.BadRequest, "an invite ends within a year from now")
	}
	row := store.Invite{
		ID: req.InviteID, Mesh: s.Mesh, Version: req.Version, CodeHash: req.CodeHash, Role: req.Role, MaxUses: req.MaxUses,
		ExpiresAt: expires, Signature: req.Signature, CreatedBy: s.Member, CreatedAt: now,
	}
	switch req.Version {
	case 0, 2:
		row.Version = 2
		return row, checkCapability(s, req)
	case 1:
		if v.SelfSigned {
			return row, mesh.Errorf(mesh.BadRequest, "this broker signed its certificate itself, which clients of the TypeScript system refuse")
		}
		return row, nil
	}
	return row, mesh.Errorf(mesh.BadRequest, "an invite has version 1 or 2")
}

// checkCapability wants the owner's signature over an invite of version 2.
func checkCapability(s *session.Session, req protocol.InviteCreateRequest) error {
	owner, signature, err := ownerSigned(s, req)
	if err != nil {
		return err
	}
	signed := seal.Capability{
		MeshID: string(s.Mesh), InviteID: string(req.InviteID), ExpiresAt: time.Unix(req.ExpiresAt, 0), Role: req.Role, Owner: owner,
	}
	if err := signed.Verify(signature); err != nil {
		return errUnsigned()
	}
	return nil
}

// ownerSigned reads the key of the mesh's owner, and what shall be its signature over an invite.
func ownerSigned(s *session.Session, req protocol.InviteCreateRequest) (owner seal.PublicKey, signature seal.Signature, err error) {
	if signature, err = seal.ParseSignature(req.Signature); err != nil {
		return owner, signature, mesh.Errorf(mesh.CodeOf(err), "signature: %w", err)
	}
	if owner, err = seal.ParsePublicKey(string(s.OwnerKey)); err != nil {
		return owner, signature, mesh.Errorf(mesh.Internal, "owner key of the mesh: %w", err)
	}
	return owner, signature, nil
}

func errUnsigned() error {
	return mesh.Errorf(mesh.Forbidden, "the invite itself is not signed by the owner of the mesh")
}

// List shows the newest invites to admins.
func (v *Invites) List(ctx context.Context, s *session.Session, _ protocol.InviteListRequest) (protocol.InviteListAnswer, error) {
	var rows []store.Invite
	err := v.DB.Read(ctx, func(tx *sqlite.Tx) error {
		caller, err := store.FindMember(tx, s.Member) // its role may have changed since it came in
		if err != nil {
			return err
		}
		if caller.Role != store.RoleAdmin {
			return mesh.Errorf(mesh.Forbidden, "invites are for the admins of the mesh")
		}
		rows, err = store.ListInvites(tx, s.Mesh)
		return err
	})
	var answer protocol.InviteListAnswer
	for _, r := range rows[:min(len(rows), maxListed)] {
		version := r.Version
		if version == 2 {
			version = 0 // left out
		}
		answer.Invites = append(answer.Invites, protocol.Invite{
			InviteID: r.ID, Version: version, Role: r.Role, ExpiresAt: r.ExpiresAt.Unix(), MaxUses: r.MaxUses, Used: r.Used,
			CreatedAt: mesh.FormatTime(r.CreatedAt), Revoked: !r.RevokedAt.IsZero(),
		})
	}
	return answer, err
}

// Revoke ends an invite. Without the owner's signature it is forbidden.
func (v *Invites) Revoke(ctx context.Context, s *session.Session, req protocol.InviteRevokeRequest) (protocol.InviteAnswer, error) {
	if _, err := v.Owner.Require(s, protocol.InviteRevoke.Type, req.Signed(), req.Operation); err != nil {
		return protocol.InviteAnswer{}, err
	}
	err := v.DB.Write(ctx, func(tx *sqlite.Tx) error { return store.RevokeInvite(tx, s.Mesh, req.InviteID, v.Now()) })
	return protocol.InviteAnswer{InviteID: req.InviteID}, err
}

// isID reports whether s has the shape of an id: it becomes a key of a table, and of signed texts.
func isID(s mesh.ID) bool {
	return len(s) == 32 && !strings.ContainsFunc(string(s), func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// codeHash is the form in which a code is kept.
func codeHash(code string) string {
	sum := seal.CodeHash(code)
	return hex.EncodeToString(sum[:])
}

// errRefused is the one answer to a claim that fails for any reason of the invite's (design C3).
func errRefused() error {
	return mesh.Errorf(mesh.InviteRefused, "this invite cannot be used: it does not exist, has ended, or is used up")
}

// proved finds the host over which a claim was signed.
func proved(c seal.Claim, hosts []string, signature seal.Signature) bool {
	return slices.ContainsFunc(hosts, func(host string) bool {
		c.Host = host
		return c.Verify(signature) == nil
	})
}
