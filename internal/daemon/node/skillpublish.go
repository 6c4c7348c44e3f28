package node

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// maxSkillFrame leaves room in a frame of 64 KiB, beyond which a broker ends the connection.
const maxSkillFrame = 60 << 10

// Publish signs a skill and hands it to the broker. The user's own sessions are offered it: the user has said what is in
// it.
func (v Skills) Publish(ctx context.Context, req localapi.SkillPublishRequest) (localapi.Skill, error) {
	at, err := v.one(req.Mesh)
	if err != nil {
		return localapi.Skill{}, err
	}
	s := localapi.Skill{
		Name: req.Name, Description: req.Description, Instructions: &req.Instructions, WhenToUse: req.WhenToUse, ArgumentHint: req.ArgumentHint,
		Tags: append([]string{}, req.Tags...), Mesh: at.Mesh.Slug, AuthorPubkey: at.Mesh.Pubkey(),
	}
	switch problem := unfit(s); {
	case !isSkillName(req.Name):
		return s, mesh.Errorf(mesh.BadName, "a skill's name has 1 to %d of a-z, 0-9 and -", protocol.MaxSkillName)
	case problem != "":
		return s, mesh.Errorf(mesh.PayloadTooLarge, "%s: instructions have at most %d bytes, description and when_to_use together %d, the argument hint %d", problem,
			protocol.MaxSkillInstructions, maxSkillSummary, maxSkillHint).With(mesh.Details{LimitBytes: protocol.MaxSkillInstructions})
	case req.Instructions == "" || req.Description == "":
		return s, mesh.Errorf(mesh.BadRequest, "a skill has a description, and instructions")
	}
	manifest, err := v.sign(at, s)
	if err != nil {
		return s, err
	}
	share := protocol.SkillShareRequest{Name: s.Name, Description: s.Description, Instructions: req.Instructions, Tags: s.Tags, Manifest: manifest}
	if frame, err := protocol.ShareSkill.Encode("", share); err != nil || len(frame) > maxSkillFrame {
		return s, mesh.Errorf(mesh.PayloadTooLarge, "the skill does not fit into a frame: it has many signs that are written as two")
	}
	if _, err := attachment.Ask(ctx, at, skillTime, protocol.ShareSkill, share); err != nil {
		return s, err
	}
	s, err = v.look(ctx, at, localapi.SkillRequest{Name: req.Name}, false) // as others are told of it
	if err != nil {
		return s, err
	}
	if s.Problem != "" {
		return s, mesh.Errorf(mesh.BadSignature, "the broker gives the skill back otherwise than it got it: %s", s.Problem)
	}
	return v.keep(ctx, at, s)
}

// sign makes the manifest of a skill.
func (v Skills) sign(at *attachment.Attachment, s localapi.Skill) (wire.RawMessage, error) {
	now := v.node.opt.Now().Truncate(time.Millisecond)
	sig, err := signedText(at, s, at.Mesh.Secret.Public(), now).Sign(at.Mesh.Secret)
	if err != nil {
		return nil, err
	}
	return wire.Encode(protocol.SkillManifest{
		WhenToUse: s.WhenToUse, ArgumentHint: s.ArgumentHint,
		Proof: &protocol.SkillProof{Author: at.Mesh.Pubkey(), At: now.UnixMilli(), Signature: sig.String()},
	})
}

// one gives the mesh that is meant; without a word the only one.
func (v Skills) one(slug string) (*attachment.Attachment, error) {
	all, err := narrow(v.node, slug)
	switch {
	case err != nil:
		return nil, err
	case len(all) == 0:
		return nil, mesh.Errorf(mesh.NothingJoined, "no mesh is joined")
	case len(all) == 1:
		return all[0], nil
	}
	return nil, mesh.Errorf(mesh.MeshRequired, "several meshes are joined").With(mesh.Details{Attached: Slugs(v.node)})
}

// Remove removes a skill of the user's own from its mesh.
func (v Skills) Remove(ctx context.Context, req localapi.SkillDropRequest) (localapi.SkillDropAnswer, error) {
	at, s, err := v.find(ctx, "", localapi.SkillRequest{Name: req.Name, Mesh: req.Mesh})
	if err != nil {
		return localapi.SkillDropAnswer{}, err
	}
	if s.AuthorPubkey != at.Mesh.Pubkey() {
		return localapi.SkillDropAnswer{}, mesh.Errorf(mesh.Forbidden, "%s is another member's; `claudemesh skill reject` ends its use here", req.Name)
	}
	ack, err := attachment.Ask(ctx, at, skillTime, protocol.RemoveSkill, protocol.SkillNameRequest{Name: req.Name})
	if err != nil {
		return localapi.SkillDropAnswer{}, err
	}
	return localapi.SkillDropAnswer{Name: req.Name, Mesh: at.Mesh.Slug, Removed: ack.Action == protocol.SkillRemoved}, v.forget(ctx, at, req.Name)
}
