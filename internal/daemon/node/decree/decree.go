// Package decree is what the owner of a mesh orders: signed where its key is, checked and written down where its members
// are (design C1).
package decree

import (
	"context"
	"errors"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

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
	// Relabel gives what is kept of a mesh its new slug.
	Relabel func(ctx context.Context, id mesh.ID, slug string) error
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
	if renamed {
		err = errors.Join(err, r.relabel(ctx, id))
	}
	return renamed, role, err
}

// relabel follows the slug by which a mesh goes here, which may be another than its broker's.
func (r Records) relabel(ctx context.Context, id mesh.ID) error {
	list, err := r.Book.List()
	for _, m := range list {
		if m.ID == id {
			return r.Relabel(ctx, id, m.Slug)
		}
	}
	return err
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
