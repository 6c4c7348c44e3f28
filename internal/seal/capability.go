package seal

import "time"

// Capability is a version 2 invite: what the owner signs, without any secret (crypto 10, design C3).
type Capability struct {
	MeshID    string
	InviteID  string
	ExpiresAt time.Time // whole seconds
	Role      string    // admin or member
	Owner     PublicKey
}

// Canonical gives the signed text, `v=2|mesh_id|invite_id|expires_at|role|owner_pubkey` with the end in unix
// seconds. ErrMalformed when a field is missing or holds a separator.
func (c Capability) Canonical() (string, error) {
	if c.MeshID == "" || c.InviteID == "" || !validRole(c.Role) {
		return "", ErrMalformed
	}
	text, err := pipeText("v=2", c.MeshID, c.InviteID, seconds(c.ExpiresAt), c.Role, c.Owner.String())
	return string(text), err
}

// Sign signs with the owner's key, which must be Owner; ErrMalformed otherwise.
func (c Capability) Sign(owner SecretKey) (Signature, error) {
	text, err := c.Canonical()
	if err != nil {
		return Signature{}, err
	}
	return owner.sign(c.Owner, []byte(text))
}

// Verify checks the signature by Owner.
func (c Capability) Verify(sig Signature) error {
	text, err := c.Canonical()
	if err != nil {
		return err
	}
	return c.Owner.verify([]byte(text), sig)
}

// Expired reports whether now is ExpiresAt or later.
func (c Capability) Expired(now time.Time) bool { return !now.Before(c.ExpiresAt) }
