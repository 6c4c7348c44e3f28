package broker

import (
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// proof is what a hello proved by its signatures. Whether anybody of that key is a member is another question.
type proof struct {
	mesh      mesh.ID
	member    mesh.Key
	session   mesh.Key        // empty without one
	owned     bool            // the session key signed, too
	memberID  mesh.ID         // as claimed; empty where that is allowed
	signature string          // comes once
	vouch     *protocol.Vouch // of the session key; nil without one
	word      seal.Word       // of the member for the session key; zero without one
	caps      []string
	presence  protocol.Presence
}

// seat is the place that the connection will take.
func (p proof) seat() seat {
	who := string(p.session)
	if who == "" {
		who = p.presence.SessionID
	}
	return seat{mesh: p.mesh, member: p.member, who: who}
}

// prove reads a hello of either kind and checks what can be checked without asking who is a member, in the order of
// wire 2.1 and 2.2. Signatures by keys of small order fail here; whether a key is sound beyond that is asked where it
// comes for the first time: when its member joins, and in doors.claim.
func (d *doors) prove(from arrival, typ string, data []byte) (proof, error) {
	if typ == protocol.SessionHello.Type {
		return d.proveSession(from, data)
	}
	return d.proveMember(from, data)
}

func (d *doors) proveMember(from arrival, data []byte) (proof, error) {
	req, err := protocol.Hello.Decode(data)
	if err != nil {
		return proof{}, illFormed(err)
	}
	p := proof{
		mesh: mesh.ID(req.MeshID), member: mesh.Key(req.Pubkey), session: mesh.Key(req.SessionPubkey), memberID: mesh.ID(req.MemberID),
		signature: req.Signature, caps: req.Capabilities, presence: req.Presence,
	}
	if p.session != "" && !mesh.IsKey(string(p.session)) {
		return proof{}, mesh.Errorf(mesh.BadSessionKey, "sessionPubkey is not 64 lower-case hex")
	}
	at := time.UnixMilli(req.Timestamp)
	if req.Auth != nil {
		return d.proveAuth(from, p, at, *req.Auth)
	}
	if err := d.early(p, at); err != nil {
		return proof{}, err
	}
	member, err := seal.DecodePublicKey(req.Pubkey)
	if err != nil {
		return proof{}, mesh.Errorf(mesh.CodeOf(err), "pubkey: %w", err)
	}
	signature, err := seal.ParseSignature(req.Signature)
	if err != nil {
		return proof{}, mesh.Errorf(mesh.CodeOf(err), "signature: %w", err)
	}
	hello := seal.Hello{MeshID: req.MeshID, MemberID: req.MemberID, Member: member, At: at}
	return p, hello.Verify(signature, d.now())
}

func (d *doors) proveSession(from arrival, data []byte) (proof, error) {
	req, err := protocol.SessionHello.Decode(data)
	if err != nil {
		return proof{}, illFormed(err)
	}
	p := proof{
		mesh: mesh.ID(req.MeshID), member: mesh.Key(req.ParentMemberPubkey), session: mesh.Key(req.SessionPubkey), owned: true,
		memberID: mesh.ID(req.ParentMemberID), signature: req.Signature, caps: req.Capabilities, presence: req.Presence,
	}
	switch {
	case !mesh.IsKey(req.ParentMemberPubkey):
		return proof{}, mesh.Errorf(mesh.BadParentKey, "parentMemberPubkey is not 64 lower-case hex")
	case !mesh.IsKey(req.SessionPubkey):
		return proof{}, mesh.Errorf(mesh.BadSessionKey, "sessionPubkey is not 64 lower-case hex")
	}
	at := time.UnixMilli(req.Timestamp)
	if req.Auth != nil {
		return d.proveAuth(from, p, at, *req.Auth)
	}
	attested := req.ParentAttestation
	if attested.SessionPubkey != req.SessionPubkey || attested.ParentMemberPubkey != req.ParentMemberPubkey {
		return proof{}, mesh.Errorf(mesh.AttestationMismatch, "the attestation is for other keys")
	}
	if err := d.room(p); err != nil {
		return proof{}, err
	}
	member, session, err := p.keys()
	if err != nil {
		return proof{}, err
	}
	if p.word, err = d.attested(member, session, attested); err != nil {
		return proof{}, err
	}
	if err := d.early(p, at); err != nil {
		return proof{}, err
	}
	signature, err := seal.ParseSignature(req.Signature)
	if err != nil {
		return proof{}, mesh.Errorf(mesh.CodeOf(err), "signature: %w", err)
	}
	hello := seal.SessionHello{MeshID: req.MeshID, Parent: member, Session: session, At: at}
	return p, hello.Verify(signature, d.now())
}

// keys reads the two keys of a hello; that of the session may be left out.
func (p proof) keys() (member, session seal.PublicKey, err error) {
	if member, err = seal.DecodePublicKey(string(p.member)); err != nil {
		return member, session, mesh.Errorf(mesh.CodeOf(err), "member key: %w", err)
	}
	if p.session == "" {
		return member, session, nil
	}
	if session, err = seal.DecodePublicKey(string(p.session)); err != nil {
		return member, session, mesh.Errorf(mesh.CodeOf(err), "session key: %w", err)
	}
	return member, session, nil
}

// attested checks the member's word for the session key.
func (d *doors) attested(member, session seal.PublicKey, a protocol.Attestation) (seal.Word, error) {
	signature, err := seal.ParseSignature(a.Signature)
	if err != nil {
		return seal.Word{}, mesh.Errorf(mesh.CodeOf(err), "signature of the attestation: %w", err)
	}
	signed := seal.Attestation{Parent: member, Session: session, ExpiresAt: time.UnixMilli(a.ExpiresAt)}
	word, err := signed.Word(signature)
	switch {
	case err != nil:
	case d.words.knows(word):
		err = signed.Holds(d.now())
	default:
		err = signed.Verify(signature, d.now())
	}
	if err != nil {
		return seal.Word{}, mesh.Errorf(mesh.CodeOf(err), "attestation: %w", err)
	}
	return word, nil
}

// illFormed refuses a hello that cannot be read. What is wrong with it is not repeated to whoever sent it.
func illFormed(err error) error { return mesh.Errorf(mesh.Malformed, "hello: %w", err) }

// early is what is checked before any signature, as it costs nothing: room, and the clock. A clock that is wrong is
// told the right time.
func (d *doors) early(p proof, at time.Time) error {
	if err := d.room(p); err != nil {
		return err
	}
	now := d.now()
	if skew := at.Sub(now.Truncate(time.Millisecond)); skew < -seal.Skew || skew > seal.Skew {
		return mesh.Errorf(mesh.TimestampSkew, "the hello is of another time; this broker's clock is at %s", mesh.FormatTime(now))
	}
	return nil
}

// room refuses, before anything is proved, who would find no place, or whose member came too often. The key is only
// claimed until then, so nothing is taken: nobody can use up the places of another.
func (d *doors) room(p proof) error {
	if wait := d.hellos.wait(p.owner(), d.now()); wait > 0 {
		return d.tooOften(wait)
	}
	return d.seats.free(p.seat())
}

// enter takes a place for a hello that was proved.
func (d *doors) enter(p proof) error {
	if wait := d.hellos.take(p.owner(), d.now()); wait > 0 {
		return d.tooOften(wait)
	}
	return d.seats.take(p.seat())
}

func (d *doors) tooOften(wait time.Duration) error {
	d.seats.reached(config.BoundMemberHellos)
	return tooOften{mesh.Errorf(mesh.RateLimited, "this member connects too often"), wait}
}

// admit refuses a member that asks too often. Messages have a rate of their own, and what is never answered costs little.
func (d *doors) admit(who *session.Session, e *wire.Entry) error {
	if e.Reply == "" {
		return nil
	}
	wait := d.requests.take(seat{mesh: who.Mesh, member: who.MemberKey}, d.now())
	if wait == 0 {
		return nil
	}
	d.seats.reached(config.BoundMemberRequests)
	return tooOften{mesh.Errorf(mesh.RateLimited, "this member asks too often; try again in %d s", wholeSeconds(wait)), wait}
}

// owner is the member whose connections are counted together.
func (p proof) owner() seat { return seat{mesh: p.mesh, member: p.member} }
