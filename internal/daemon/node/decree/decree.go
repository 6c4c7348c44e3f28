// Package decree is what the owner of a mesh orders: signed where its key is, checked and written down where its members
// are (design C1).
package decree

import (
	"context"
	"errors"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/enroll"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Owner signs orders for a mesh.
type Owner struct {
	Mesh membership.Mesh
	Key  seal.SecretKey
	Now  mesh.Clock
}

func (o Owner) sign(name string, args any) (protocol.SignedOperation, error) {
	return enroll.Operation{Mesh: o.Mesh, Owner: o.Key, Name: name, Args: args}.Sign(o.Now())
}

// Rename orders another slug, another name, or both.
func (o Owner) Rename(slug, name string) (req protocol.MeshRenameRequest, err error) {
	req = protocol.MeshRenameRequest{Slug: slug, Name: name}
	req.Operation, err = o.sign(protocol.MeshRename.Type, req.Signed())
	return req, err
}

// SetRole orders what a member may do.
func (o Owner) SetRole(target, role string) (req protocol.MemberUpdateRequest, err error) {
	req = protocol.MemberUpdateRequest{Target: target, Role: role}
	req.Operation, err = o.sign(protocol.MemberUpdate.Type, req.Signed())
	return req, err
}

// Archive orders the end of the mesh, which the broker calls slug.
func (o Owner) Archive(slug string) (req protocol.MeshArchiveRequest, err error) {
	req = protocol.MeshArchiveRequest{Slug: slug}
	req.Operation, err = o.sign(protocol.MeshArchive.Type, req.Signed())
	return req, err
}

// Ended reports whether the owner of a mesh signed its end, now. Nobody else is believed, for what follows deletes a key;
// of a mesh that was joined elsewhere the owner is not known.
func Ended(id mesh.ID, owner mesh.Key, e protocol.ArchivedEvent, now time.Time) bool {
	key, keyErr := seal.ParsePublicKey(string(owner))
	signature, signatureErr := seal.ParseSignature(e.Operation.Signature)
	args, argsErr := wire.Encode(protocol.MeshArchiveRequest{Slug: e.Slug})
	if errors.Join(keyErr, signatureErr, argsErr) != nil || e.Operation.Key != owner {
		return false
	}
	hash, err := seal.ArgsHash(args)
	if err != nil {
		return false
	}
	text := seal.Operation{
		Host: e.Host, MeshID: string(id), Name: protocol.MeshArchive.Type, Args: hash, Nonce: e.Operation.Nonce, At: time.UnixMilli(e.Operation.AtMs),
	}
	return text.Verify(key, signature, now) == nil
}

// News reads what an event says of a mesh, for one of its members. Fields that are empty stay as they are.
func News(msg protocol.PushedMessage, member mesh.ID) (said protocol.MeshFacts) {
	switch msg.Event {
	case protocol.MeshRenamed:
		var e protocol.RenamedEvent
		if wire.Decode(msg.EventData, &e) == nil {
			said.Slug, said.Name = e.Slug, e.Name
		}
	case protocol.MemberUpdated:
		var e protocol.UpdatedEvent
		if wire.Decode(msg.EventData, &e) == nil && e.MemberID == member {
			said.Role = e.Role
		}
	}
	return said
}

// Records are where a daemon keeps what it knows of its meshes.
type Records struct {
	Book *membership.Book
	DB   *localdb.DB
}

// Keep writes down how a mesh is called, and what we may do in it, and reports which of both changed. Fields of said that
// are empty stay. It is not to be called for one mesh by several at a time.
func (r Records) Keep(ctx context.Context, id mesh.ID, said protocol.MeshFacts) (renamed, role bool, err error) {
	facts, known, err := r.DB.FindMesh(ctx, id)
	if err != nil {
		return false, false, err
	}
	if said.Slug != "" {
		if _, err := mesh.ParseSlug(said.Slug); err != nil {
			return false, false, err
		}
		said.Name = mesh.SafeName(said.Name, said.Slug)
		if renamed, err = r.Book.Rename(id, said.Slug, said.Name); err != nil {
			return false, false, err
		}
		facts.Slug, facts.Name = said.Slug, said.Name
	}
	if role = known && (said.Role == "admin" || said.Role == "member") && facts.Role != said.Role; role {
		facts.Role = said.Role
	}
	if known && (renamed || role) {
		err = r.DB.SaveMesh(ctx, facts)
	}
	return renamed, role, err
}

// NameOf is what a mesh is called for people, as it stands; otherwise where that cannot be read.
func (r Records) NameOf(id mesh.ID, otherwise string) string {
	list, err := r.Book.List()
	if err != nil {
		return otherwise
	}
	for _, m := range list {
		if m.ID == id {
			return m.Name
		}
	}
	return otherwise
}
