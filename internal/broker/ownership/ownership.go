// Package ownership changes a mesh as its owner orders: its name, the roles of its members, its end (design C1, F3).
package ownership

import (
	"context"
	"errors"
	"strings"

	"github.com/claudemesh/claudemesh/internal/broker/authority"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Ownership answers the owner's frames. Its fields are set once; it may be used from any goroutine.
type Ownership struct {
	DB    *sqlite.DB
	Owner *authority.Authority
	Now   mesh.Clock
	// Tell sends a frame to the connections of a mesh that announced claudemesh.go/1.
	Tell func(meshID mesh.ID, frame []byte)
	// TellMember sends a frame to the connections of a member that did not announce it.
	TellMember func(member mesh.ID, frame []byte)
	// Close ends the connections of a mesh, after what Tell has sent.
	Close func(meshID mesh.ID, code mesh.CloseCode, reason string)
}

// Bind registers the handlers.
func (o *Ownership) Bind(m *wire.Mux[*session.Session]) {
	wire.Handle(m, protocol.MeshRename, o.Rename)
	wire.Handle(m, protocol.MemberUpdate, o.UpdateMember)
	wire.HandleAsync(m, protocol.MeshArchive, o.Archive)
}

// Rename gives the mesh another short name, another name, or both, and tells its members.
func (o *Ownership) Rename(ctx context.Context, s *session.Session, req protocol.MeshRenameRequest) (protocol.MeshRenameAnswer, error) {
	var none protocol.MeshRenameAnswer
	if _, err := o.Owner.Require(s, protocol.MeshRename.Type, req.Signed(), req.Operation); err != nil {
		return none, err
	}
	if err := checkNames(req); err != nil {
		return none, err
	}
	var m store.Mesh
	err := o.DB.Write(ctx, func(tx *sqlite.Tx) (err error) {
		if m, err = store.FindMesh(tx, s.Mesh); err != nil {
			return err
		}
		if req.Slug != "" {
			m.Slug = req.Slug
		}
		if req.Name != "" {
			m.Name = req.Name
		}
		return store.RenameMesh(tx, m)
	})
	if err != nil {
		return none, err
	}
	return protocol.MeshRenameAnswer{Slug: m.Slug, Name: m.Name}, o.tell(s.Mesh, protocol.MeshRenamed, protocol.RenamedEvent{Slug: m.Slug, Name: m.Name})
}

func checkNames(req protocol.MeshRenameRequest) error {
	if req.Slug == "" && req.Name == "" {
		return mesh.Errorf(mesh.BadRequest, "a new slug is wanted, a new name, or both")
	}
	if req.Slug != "" {
		if _, err := mesh.ParseSlug(req.Slug); err != nil {
			return err
		}
	}
	if req.Name != "" {
		return mesh.CheckName(req.Name)
	}
	return nil
}

// UpdateMember changes the role of a member, and tells the mesh. The owner's own cannot be changed.
func (o *Ownership) UpdateMember(ctx context.Context, s *session.Session, req protocol.MemberUpdateRequest) (protocol.MemberUpdateAnswer, error) {
	var none protocol.MemberUpdateAnswer
	if _, err := o.Owner.Require(s, protocol.MemberUpdate.Type, req.Signed(), req.Operation); err != nil {
		return none, err
	}
	if req.Role != store.RoleAdmin && req.Role != store.RoleMember {
		return none, mesh.Errorf(mesh.BadRequest, "a role is admin or member")
	}
	var who store.Member
	err := o.DB.Write(ctx, func(tx *sqlite.Tx) error {
		members, err := store.ListMembers(tx, s.Mesh)
		if err != nil {
			return err
		}
		if who, err = find(members, req.Target); err != nil {
			return err
		}
		founder, err := store.FindFounder(tx, s.Mesh)
		if err != nil {
			return err
		}
		if who.ID == founder.ID || who.Key == s.OwnerKey {
			return mesh.Errorf(mesh.Forbidden, "%s is the owner of the mesh, and stays an admin", who.Name)
		}
		who.Role = req.Role
		return store.SetRole(tx, who.ID, who.Role)
	})
	if err != nil {
		return none, err
	}
	e := protocol.UpdatedEvent{MemberID: who.ID, MemberPubkey: who.Key, Name: who.Name, Role: who.Role}
	return protocol.MemberUpdateAnswer(e), errors.Join(o.tell(s.Mesh, protocol.MemberUpdated, e), o.tellMember(s.Mesh, e))
}

// tellMember tells clients of others what has become of their member.
func (o *Ownership) tellMember(meshID mesh.ID, e protocol.UpdatedEvent) error {
	frame, err := o.event(meshID, protocol.ProfileUpdated, protocol.ProfileEvent{Permission: e.Role})
	if err == nil {
		o.TellMember(e.MemberID, frame)
	}
	return err
}

// minPrefix is the shortest beginning of a key that names a member (design C7).
const minPrefix = 16

// find looks for the one member that a text names: by key or id first, else by the beginning of a key or by name.
func find(members []store.Member, target string) (store.Member, error) {
	var found []store.Member
	for _, m := range members {
		switch {
		case string(m.Key) == target, string(m.ID) == target:
			return m, nil
		case m.Name == target, len(target) >= minPrefix && strings.HasPrefix(string(m.Key), target):
			found = append(found, m)
		}
	}
	switch len(found) {
	case 0:
		return store.Member{}, mesh.Errorf(mesh.NotFound, "no member is called %.80q", target)
	case 1:
		return found[0], nil
	}
	return store.Member{}, mesh.Errorf(mesh.AmbiguousTarget, "%d members are called %.80q", len(found), target)
}

// Archive ends the mesh: its members are told, with the owner's signature, and their connections close. Its name is free
// for another.
func (o *Ownership) Archive(ctx context.Context, s *session.Session, req protocol.MeshArchiveRequest, answer wire.Answer[protocol.MeshArchiveAnswer]) {
	host, err := o.Owner.Require(s, protocol.MeshArchive.Type, req.Signed(), req.Operation)
	if err == nil {
		err = o.DB.Write(ctx, func(tx *sqlite.Tx) error { return archive(tx, s.Mesh, req.Slug, o) })
	}
	answer(protocol.MeshArchiveAnswer{Archived: err == nil}, err)
	if err != nil {
		return
	}
	_ = o.tell(s.Mesh, protocol.MeshArchived, protocol.ArchivedEvent{Slug: req.Slug, Host: host, Operation: req.Operation}) // the close says it, too
	o.Close(s.Mesh, mesh.ClosePolicy, string(mesh.MeshArchived))
}

func archive(tx *sqlite.Tx, id mesh.ID, slug string, o *Ownership) error {
	m, err := store.FindMesh(tx, id)
	if err != nil {
		return err
	}
	if m.Slug != slug {
		return mesh.Errorf(mesh.BadRequest, "the mesh is called %s, not %.80q", m.Slug, slug)
	}
	return store.ArchiveMesh(tx, id, o.Now())
}

// tell makes an event of the mesh and sends it.
func (o *Ownership) tell(meshID mesh.ID, event string, data any) error {
	frame, err := o.event(meshID, event, data)
	if err == nil {
		o.Tell(meshID, frame)
	}
	return err
}

// event makes the push of an event.
func (o *Ownership) event(meshID mesh.ID, event string, data any) ([]byte, error) {
	body, err := wire.Encode(data)
	if err != nil {
		return nil, err
	}
	return protocol.Push.Encode(protocol.PushedMessage{
		MessageID: mesh.NewID(), MeshID: meshID, SenderPubkey: protocol.SystemSender, Priority: mesh.Low, CreatedAt: mesh.FormatTime(o.Now()),
		Subtype: protocol.SubtypeSystem, Event: event, EventData: body,
	})
}
