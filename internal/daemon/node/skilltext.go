package node

import (
	"cmp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// signedText is what the publisher of a skill signs.
func signedText(a *attachment.Attachment, s localapi.Skill, author seal.PublicKey, at time.Time) seal.Skill {
	text := seal.Skill{
		MeshID: string(a.Mesh.ID), Author: author, At: at, Name: s.Name, Description: s.Description, WhenToUse: s.WhenToUse,
		ArgumentHint: s.ArgumentHint, Tags: s.Tags,
	}
	if s.Instructions != nil {
		text.Instructions = *s.Instructions
	}
	return text
}

// readSkill makes of what a broker says of a skill what we say: whose it is, and why it cannot be accepted.
func readSkill(a *attachment.Attachment, said protocol.Skill) localapi.Skill {
	s := localapi.Skill{
		Name: said.Name, Description: said.Description, Tags: said.Tags, CreatedAt: said.CreatedAt, UpdatedAt: said.UpdatedAt,
		Mesh: a.Mesh.Slug, AuthorPubkey: said.AuthorPubkey, Instructions: &said.Instructions,
	}
	var m protocol.SkillManifest
	if len(said.Manifest) > 0 && said.Manifest.Kind() == '{' && wire.Decode(said.Manifest, &m) != nil {
		s.Problem, m = "what stands beside its text cannot be read", protocol.SkillManifest{}
	}
	s.WhenToUse, s.ArgumentHint = m.WhenToUse, m.ArgumentHint
	s.Digest = signedText(a, s, seal.PublicKey{}, time.Time{}).Digest()
	if m.Proof != nil {
		s.Problem = cmp.Or(s.Problem, checkProof(a, s, *m.Proof))
		s.AuthorPubkey = m.Proof.Author
	}
	author := a.Roster.Pins.Of(s.AuthorPubkey)
	own := s.AuthorPubkey == a.Mesh.Pubkey()
	s.Verified = m.Proof != nil && s.Problem == "" && (author.Pinned || own)
	s.Author = cmp.Or(author.Name, mesh.SafeName(said.Author, s.AuthorPubkey.Short()))
	if author.Rejected {
		s.Problem = cmp.Or(s.Problem, "you have rejected the key of its publisher")
	}
	s.Problem = cmp.Or(s.Problem, unfit(s))
	return s
}

// checkProof says what is wrong with a signature.
func checkProof(a *attachment.Attachment, s localapi.Skill, proof protocol.SkillProof) string {
	const forged = "its signature is not that of its publisher"
	author, err := seal.ParsePublicKey(string(proof.Author))
	signature, sigErr := seal.ParseSignature(proof.Signature)
	switch {
	case err != nil, sigErr != nil, s.AuthorPubkey != "" && s.AuthorPubkey != proof.Author:
		return forged
	case signedText(a, s, author, time.UnixMilli(proof.At)).Verify(signature) != nil:
		return forged
	}
	return ""
}

// unfit says why a skill could not be offered to a host, whoever wrote it.
func unfit(s localapi.Skill) string {
	switch {
	case !isSkillName(s.Name):
		return "its name is none that a host could show"
	case len(*s.Instructions) > protocol.MaxSkillInstructions, len(s.Description)+len(s.WhenToUse) > maxSkillSummary,
		len(s.ArgumentHint) > maxSkillHint, len(s.Tags) > protocol.MaxSkillTags:
		return "it is too large"
	case !utf8.ValidString(*s.Instructions):
		return "it is no text"
	}
	return ""
}

// Bounds of what a host shows of a skill beside its instructions, in bytes (host 7).
const (
	maxSkillSummary = 1536
	maxSkillHint    = 128
)

// isSkillName reports whether a name can be a command of a host: 1 to 64 of a-z, 0-9 and -.
func isSkillName(name string) bool {
	return name != "" && len(name) <= protocol.MaxSkillName && name[0] != '-' && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
