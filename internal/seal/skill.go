package seal

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

const domainSkill = "claudemesh-skill-v1"

// Skill is what the publisher of a skill signs with its member key: all that a reader may be shown of it, the mesh, and
// when. Times are whole milliseconds.
type Skill struct {
	MeshID       string
	Author       PublicKey // of the member
	At           time.Time
	Name         string
	Description  string
	Instructions string
	WhenToUse    string
	ArgumentHint string
	Tags         []string
}

// Digest tells one text of a skill from another one, whoever wrote it and when.
func (s Skill) Digest() string {
	sum := sha256.Sum256(prefixedText(domainSkill, append([]string{
		s.Name, s.Description, s.Instructions, s.WhenToUse, s.ArgumentHint, strconv.Itoa(len(s.Tags)),
	}, s.Tags...)...))
	return hex.EncodeToString(sum[:])
}

// Sign signs with the author's key, which must be Author; ErrMalformed otherwise.
func (s Skill) Sign(author SecretKey) (Signature, error) { return author.sign(s.Author, s.text()) }

// Verify checks the signature by the author.
func (s Skill) Verify(sig Signature) error { return s.Author.verify(s.text(), sig) }

func (s Skill) text() []byte {
	return prefixedText(domainSkill, s.MeshID, s.Author.String(), milliseconds(s.At), s.Digest())
}
