// Package admission is how meshes begin and memberships end: a mesh is made by its owner's key, a member leaves by
// its own wish.
package admission

import (
	"context"
	"strconv"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Admission makes meshes and ends memberships. Its fields are set once; it may be used from any goroutine.
type Admission struct {
	DB   *sqlite.DB
	Now  mesh.Clock
	Once func(parts ...string) bool // reports whether signed parts come for the first time, and remembers them
	// Close closes the connections of a member whose membership has ended.
	Close func(meshID, member mesh.ID, code mesh.CloseCode, reason string)
}

// Bind registers the handlers.
func (a *Admission) Bind(m *wire.Mux[*session.Session]) {
	wire.HandleAsync(m, protocol.MeshLeave, a.Leave)
}

// reasonLeft stands in the close frame of a member that left.
const reasonLeft = "left"

// Leave ends the caller's membership: its sockets close and what waited for it goes. The owner cannot leave, for
// nobody could then act for the mesh.
func (a *Admission) Leave(ctx context.Context, s *session.Session, _ protocol.LeaveRequest, answer wire.Answer[protocol.LeaveAnswer]) {
	err := a.mayLeave(ctx, s)
	if err == nil {
		err = a.DB.Write(ctx, func(tx *sqlite.Tx) error {
			_, err := store.RevokeMember(tx, s.Member, a.Now())
			return err
		})
	}
	answer(protocol.LeaveAnswer{Left: err == nil}, err)
	if err == nil {
		a.Close(s.Mesh, s.Member, mesh.CloseNormal, reasonLeft)
	}
}

// mayLeave refuses the owner: the member whose key is the mesh's, and the one that came with it.
func (a *Admission) mayLeave(ctx context.Context, s *session.Session) error {
	var members []store.Member
	err := a.DB.Read(ctx, func(tx *sqlite.Tx) (err error) {
		members, err = store.ListMembers(tx, s.Mesh)
		return err
	})
	if err == nil && (s.Owner() || len(members) > 0 && members[0].ID == s.Member) {
		err = mesh.Errorf(mesh.Forbidden, "the owner of a mesh cannot leave it")
	}
	return err
}

// maxSlugTries bounds the numbers that are tried behind a slug that was not asked for.
const maxSlugTries = 100

// CreateMesh makes a mesh with its first member, who is admin. Hosts are the names that the caller may have signed
// (design C1). Who may create meshes at all was settled before.
func (a *Admission) CreateMesh(ctx context.Context, hosts []string, req protocol.MeshCreateRequest) (protocol.MeshCreateAnswer, error) {
	slug, err := a.check(hosts, req)
	if err != nil {
		return protocol.MeshCreateAnswer{}, err
	}
	now := a.Now()
	m := store.Mesh{ID: mesh.NewID(), Slug: slug, Name: req.Name, OwnerKey: mesh.Key(req.OwnerPubkey), RootKey: req.RootKey, CreatedAt: now}
	member := store.Member{
		ID: mesh.NewID(), Mesh: m.ID, Key: mesh.Key(req.Member.Pubkey), Name: req.Member.DisplayName, Role: store.RoleAdmin, JoinedAt: now,
	}
	err = a.DB.Write(ctx, func(tx *sqlite.Tx) error {
		if m.Slug, err = add(tx, m, req.Slug != ""); err != nil {
			return err
		}
		_, _, err := store.AddMember(tx, member)
		return err
	})
	return protocol.MeshCreateAnswer{MeshID: m.ID, Slug: m.Slug, MemberID: member.ID, Role: member.Role}, err
}

// add inserts the mesh, under a slug with a number behind it where its own is taken and was not asked for.
func add(tx *sqlite.Tx, m store.Mesh, asked bool) (slug string, err error) {
	base := m.Slug
	for n := 2; ; n++ {
		err = store.AddMesh(tx, m)
		if asked || n > maxSlugTries || !mesh.IsCode(err, mesh.SlugTaken) {
			return m.Slug, err
		}
		suffix := "-" + strconv.Itoa(n)
		m.Slug = base[:min(len(base), maxSlugBytes-len(suffix))] + suffix
	}
}

// maxSlugBytes is the bound of mesh.ParseSlug.
const maxSlugBytes = 32

// check refuses what is ill formed, weak, unsigned, or comes twice, and gives the slug.
func (a *Admission) check(hosts []string, req protocol.MeshCreateRequest) (slug string, err error) {
	if err := mesh.CheckName(req.Name); err != nil {
		return "", mesh.Errorf(mesh.BadName, "name: %w", err)
	}
	if err := mesh.CheckName(req.Member.DisplayName); err != nil {
		return "", mesh.Errorf(mesh.BadName, "member.display_name: %w", err)
	}
	slug = mesh.SlugOf(req.Name)
	if req.Slug != "" {
		if slug, err = mesh.ParseSlug(req.Slug); err != nil {
			return "", err
		}
	}
	if root, err := seal.ParseBase64URL(req.RootKey); err != nil || len(root) != 32 {
		return "", mesh.Errorf(mesh.Malformed, "root_key is not 32 bytes in base64url without padding")
	}
	if err := a.verify(hosts, req); err != nil {
		return "", err
	}
	if !a.Once("mesh", req.OwnerSignature) {
		return "", mesh.Errorf(mesh.Replay, "this request came before")
	}
	return slug, nil
}

// verify wants both signatures, for a name of this broker.
func (a *Admission) verify(hosts []string, req protocol.MeshCreateRequest) error {
	text := seal.MeshCreate{Slug: req.Slug, CreatedAt: time.UnixMilli(req.CreatedAtMs)}
	var owner, member seal.Signature
	for _, part := range []struct {
		name string
		read func() error
	}{
		{"owner_pubkey", func() (err error) { text.Owner, err = seal.ParsePublicKey(req.OwnerPubkey); return err }},
		{"member.pubkey", func() (err error) { text.Member, err = seal.ParsePublicKey(req.Member.Pubkey); return err }},
		{"owner_signature", func() (err error) { owner, err = seal.ParseSignature(req.OwnerSignature); return err }},
		{"member_signature", func() (err error) { member, err = seal.ParseSignature(req.MemberSignature); return err }},
	} {
		if err := part.read(); err != nil {
			return mesh.Errorf(mesh.CodeOf(err), "%s: %w", part.name, err)
		}
	}
	now := a.Now()
	err := error(seal.ErrSignature)
	for _, text.Host = range hosts {
		if err = text.Verify(owner, member, now); err == nil {
			return nil
		}
	}
	return mesh.Errorf(mesh.CodeOf(err), "%w, by this broker's clock at %s", err, mesh.FormatTime(now))
}
