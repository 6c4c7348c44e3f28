package broker

import (
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// arrival is how a connection came: what a hello of auth/2 is signed with.
type arrival struct {
	hosts     []string // host:port forms of this broker that the client may have dialled
	challenge string   // of this connection
}

// proveAuth checks a hello by auth/2 (design C4): signed for this broker, for this connection, and by the session key as
// well as by the member's. A signature that was made for another broker, or for another connection, is worth nothing. The
// time is not signed: it tells a client whose clock is wrong, before all that it signs with a time is refused.
func (d *doors) proveAuth(from arrival, p proof, at time.Time, auth protocol.HelloAuth) (proof, error) {
	if err := d.early(p, at); err != nil {
		return proof{}, err
	}
	if auth.Challenge != from.challenge {
		return proof{}, mesh.Errorf(mesh.Replay, "this hello was signed for another connection; connect again")
	}
	if !slices.Contains(from.hosts, auth.Host) {
		return proof{}, mesh.Errorf(mesh.BadSignature, "this hello was signed for another broker, %.80q", auth.Host)
	}
	member, session, err := p.keys()
	if err != nil {
		return proof{}, err
	}
	challenge, err := seal.ParseChallenge(auth.Challenge)
	if err != nil {
		return proof{}, err
	}
	text := seal.Auth{
		Host: auth.Host, MeshID: string(p.mesh), MemberID: string(p.memberID), Member: member, Session: session, Challenge: challenge,
	}
	if err := verify("memberSignature", auth.MemberSignature, text.VerifyMember); err != nil {
		return proof{}, err
	}
	p.owned, p.signature = false, auth.MemberSignature
	if p.session == "" {
		return p, nil
	}
	if err := verify("sessionSignature", auth.SessionSignature, text.VerifySession); err != nil {
		return proof{}, err
	}
	p.owned = true
	if auth.Attestation == nil {
		return proof{}, mesh.Errorf(mesh.AttestationMismatch, "the session key comes without its member's attestation")
	}
	return d.vouched(from, p, *auth.Attestation)
}

// vouched checks the member's word for the session key, and keeps it for the roster.
func (d *doors) vouched(from arrival, p proof, v protocol.Vouch) (proof, error) {
	if !slices.Contains(from.hosts, v.Host) {
		return proof{}, mesh.Errorf(mesh.AttestationMismatch, "the attestation is for another broker, %.80q", v.Host)
	}
	member, session, err := p.keys()
	if err != nil {
		return proof{}, err
	}
	signed := seal.Vouch{
		Host: v.Host, MeshID: string(p.mesh), Member: member, Session: session,
		NotBefore: time.UnixMilli(v.NotBefore), ExpiresAt: time.UnixMilli(v.ExpiresAt),
	}
	now := d.now()
	err = verify("attestation", v.Signature, func(s seal.Signature) error {
		if p.word = signed.Word(s); d.words.knows(p.word) {
			return signed.Holds(now)
		}
		return signed.Verify(s, now)
	})
	if err != nil {
		return proof{}, mesh.Errorf(mesh.CodeOf(err), "%w, by this broker's clock at %s", err, mesh.FormatTime(now))
	}
	p.vouch = &v
	return p, nil
}

// verify reads a signature and checks it.
func verify(name, text string, check func(seal.Signature) error) error {
	signature, err := seal.ParseSignature(text)
	if err == nil {
		err = check(signature)
	}
	if err != nil {
		return mesh.Errorf(mesh.CodeOf(err), "%s: %w", name, err)
	}
	return nil
}
