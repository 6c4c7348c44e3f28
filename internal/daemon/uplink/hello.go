package uplink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Identity is who connects. With Session it is that session (session_hello), without it is the member's daemon
// (hello, peerRole control-plane, no session key).
type Identity struct {
	MeshID   mesh.ID
	MemberID mesh.ID
	Member   seal.SecretKey
	Session  seal.SecretKey
}

// IsSession reports whether a session connects.
func (i Identity) IsSession() bool { return !i.Session.IsZero() }

// key is the public key that the connection stands for.
func (i Identity) key() seal.PublicKey {
	if i.IsSession() {
		return i.Session.Public()
	}
	return i.Member.Public()
}

// helloLimit is how long a broker may take to welcome us (daemon 6.3).
const helloLimit = 5 * time.Second

// hello introduces the identity. Everything is signed anew each time, but for a word of the last minutes: an attestation
// that was made at the start of a session would end it after 12 hours (lessons 1, row 15).
func (l *Link) hello(ctx context.Context, a *attached) (protocol.HelloAnswer, error) {
	limited, cancel := context.WithTimeout(ctx, helloLimit)
	defer cancel()
	answer, err := l.greet(limited, a)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return answer, mesh.Errorf(mesh.HelloTimeout, "the broker did not answer the hello within %v", helloLimit)
	}
	if mesh.IsCode(err, mesh.NoHello) && l.opt.Identity.IsSession() {
		return answer, mesh.Errorf(mesh.NoHello, "the broker does not know connections of sessions: it is too old")
	}
	return answer, err
}

func (l *Link) greet(ctx context.Context, a *attached) (protocol.HelloAnswer, error) {
	auth, err := l.proof(a)
	if err != nil {
		return protocol.HelloAnswer{}, err
	}
	now := l.opt.Now()
	if l.opt.Identity.IsSession() {
		req, err := l.sessionHello(now, auth)
		if err != nil {
			return protocol.HelloAnswer{}, err
		}
		answer, err := protocol.SessionHello.Do(ctx, a.peer, req)
		if err == nil && auth != nil {
			l.word = auth.Attestation
		}
		return answer, err
	}
	req, err := l.memberHello(now, auth)
	if err != nil {
		return protocol.HelloAnswer{}, err
	}
	return protocol.Hello.Do(ctx, a.peer, req)
}

// memberHello is the hello of the daemon: by auth, or where that is nil by version 1.
func (l *Link) memberHello(now time.Time, auth *protocol.HelloAuth) (protocol.HelloRequest, error) {
	id := l.opt.Identity
	req := protocol.HelloRequest{
		ProtocolVersion: protocol.Version, Capabilities: protocol.Capabilities(),
		MeshID: string(id.MeshID), MemberID: string(id.MemberID), Pubkey: id.Member.Public().String(),
		Presence: l.presence("claudemesh-daemon", mesh.ControlPlane), Timestamp: now.UnixMilli(), Auth: auth,
	}
	if auth != nil {
		return req, nil
	}
	sig, err := seal.Hello{MeshID: string(id.MeshID), MemberID: string(id.MemberID), Member: id.Member.Public(), At: now}.Sign(id.Member)
	if err != nil {
		return protocol.HelloRequest{}, mesh.Errorf(mesh.Malformed, "sign the hello: %w", err)
	}
	req.Signature = sig.String()
	return req, nil
}

// sessionHello is the hello of a session: by auth, or where that is nil by version 1.
func (l *Link) sessionHello(now time.Time, auth *protocol.HelloAuth) (protocol.SessionHelloRequest, error) {
	id := l.opt.Identity
	parent, session, end := id.Member.Public(), id.Session.Public(), now.Add(seal.AttestationLifetime)
	req := protocol.SessionHelloRequest{
		ProtocolVersion: protocol.Version, Capabilities: protocol.SessionCapabilities(),
		MeshID: string(id.MeshID), ParentMemberID: string(id.MemberID),
		ParentMemberPubkey: parent.String(), SessionPubkey: session.String(),
		Presence: l.presence("claudemesh-session", mesh.SessionRole), Timestamp: now.UnixMilli(), Auth: auth,
	}
	if auth != nil {
		return req, nil
	}
	word, err := seal.Attestation{Parent: parent, Session: session, ExpiresAt: end}.Sign(id.Member)
	if err != nil {
		return protocol.SessionHelloRequest{}, mesh.Errorf(mesh.Malformed, "sign the attestation: %w", err)
	}
	sig, err := seal.SessionHello{MeshID: string(id.MeshID), Parent: parent, Session: session, At: now}.Sign(id.Session)
	if err != nil {
		return protocol.SessionHelloRequest{}, mesh.Errorf(mesh.Malformed, "sign the session's hello: %w", err)
	}
	req.ParentAttestation = protocol.Attestation{
		SessionPubkey: session.String(), ParentMemberPubkey: parent.String(), ExpiresAt: end.UnixMilli(), Signature: word.String(),
	}
	req.Signature = sig.String()
	return req, nil
}

// presence completes what the owner of the link tells. The session id of the wire is a hash of the key, so that it
// says nothing of the host and one key has one connection (design C6).
func (l *Link) presence(channel string, role mesh.PeerRole) protocol.Presence {
	p := l.opt.Presence()
	p.PeerRole = role
	if p.Channel == "" {
		p.Channel = channel
	}
	if p.SessionID == "" {
		sum := sha256.Sum256([]byte(l.opt.Identity.key().String()))
		p.SessionID = hex.EncodeToString(sum[:16])
	}
	return p
}
