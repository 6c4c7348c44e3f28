package seal

import (
	"time"

	"github.com/go-json-experiment/json"
)

// InviteToken is a version 1 invite, for TypeScript clients (crypto 10). Its text carries the root key and is a
// secret. Brokers look up the very text they were given, by CodeHash, and not what Encode makes of it.
type InviteToken struct {
	MeshID    string
	MeshSlug  string
	BrokerURL string
	ExpiresAt time.Time // whole seconds
	RootKey   SymmetricKey
	Role      string // admin or member
	Owner     PublicKey
	Signature Signature
}

// tokenPayload is the JSON inside a token: the order of its fields is part of the format.
type tokenPayload struct {
	Version   int    `json:"v"`
	MeshID    string `json:"mesh_id"`
	MeshSlug  string `json:"mesh_slug"`
	BrokerURL string `json:"broker_url"`
	ExpiresAt int64  `json:"expires_at"`
	RootKey   string `json:"mesh_root_key"`
	Role      string `json:"role"`
	Owner     string `json:"owner_pubkey"`
	Signature string `json:"signature"`
}

// maxTokenBytes is several times what the longest slug and URL make of a token.
const maxTokenBytes = 4096

// ParseInviteToken reads the text of a token and leaves its signature and end to Verify and Expired. It refuses
// what Encode would not write, except for spaces, the order of names, and unknown names, which it ignores.
func ParseInviteToken(text string) (InviteToken, error) {
	if len(text) > maxTokenBytes {
		return InviteToken{}, ErrMalformed
	}
	raw, err := ParseBase64URL(text)
	if err != nil {
		return InviteToken{}, err
	}
	var p tokenPayload
	if err := json.Unmarshal(raw, &p); err != nil || p.Version != 1 {
		return InviteToken{}, ErrMalformed
	}
	t := InviteToken{MeshID: p.MeshID, MeshSlug: p.MeshSlug, BrokerURL: p.BrokerURL, ExpiresAt: time.Unix(p.ExpiresAt, 0), Role: p.Role}
	if t.RootKey, err = ParseSymmetricKey(p.RootKey); err != nil {
		return InviteToken{}, err
	}
	if t.Owner, err = ParsePublicKey(p.Owner); err != nil {
		return InviteToken{}, err
	}
	if t.Signature, err = ParseSignature(p.Signature); err != nil {
		return InviteToken{}, err
	}
	if _, err := t.text(); err != nil {
		return InviteToken{}, err
	}
	return t, nil
}

// Encode gives the base64url text of the token, byte for byte as TypeScript clients make it.
func (t InviteToken) Encode() (string, error) {
	if _, err := t.text(); err != nil {
		return "", err
	}
	raw, err := json.Marshal(tokenPayload{
		Version: 1, MeshID: t.MeshID, MeshSlug: t.MeshSlug, BrokerURL: t.BrokerURL, ExpiresAt: t.ExpiresAt.Unix(),
		RootKey: t.RootKey.Reveal(), Role: t.Role, Owner: t.Owner.String(), Signature: t.Signature.String(),
	})
	if err != nil {
		return "", ErrMalformed
	}
	return Base64URL(raw), nil
}

// Sign gives the token with Owner and Signature set by the owner's key.
func (t InviteToken) Sign(owner SecretKey) (InviteToken, error) {
	t.Owner = owner.Public()
	text, err := t.text()
	if err != nil {
		return InviteToken{}, err
	}
	t.Signature, err = owner.sign(t.Owner, text)
	return t, err
}

// Verify checks the signature by the owner that the token names; whether that is the owner of the mesh is
// the caller's question.
func (t InviteToken) Verify() error {
	text, err := t.text()
	if err != nil {
		return err
	}
	return t.Owner.verify(text, t.Signature)
}

// Expired reports whether now is ExpiresAt or later.
func (t InviteToken) Expired(now time.Time) bool { return !now.Before(t.ExpiresAt) }

// text gives the signed bytes: the payload's values in their order (crypto 2). It checks that all are there.
func (t InviteToken) text() ([]byte, error) {
	if t.MeshID == "" || t.MeshSlug == "" || t.BrokerURL == "" || t.RootKey.IsZero() || !validRole(t.Role) {
		return nil, ErrMalformed
	}
	return pipeText("1", t.MeshID, t.MeshSlug, t.BrokerURL, seconds(t.ExpiresAt), t.RootKey.Reveal(), t.Role, t.Owner.String())
}

func validRole(role string) bool { return role == "admin" || role == "member" }
