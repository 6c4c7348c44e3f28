package trust

import (
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// sent is a message of a peer to us, as a broker pushes it.
func (p peer) sent(session bool, at time.Time, edit func(*protocol.PushedMessage, *protocol.SenderProof)) protocol.PushedMessage {
	msg := protocol.PushedMessage{
		MessageID: "broker's", MeshID: team, SenderPubkey: key(p.member), SenderMemberPubkey: key(p.member), SenderName: "the broker says",
		TargetSpec: us, TargetKind: protocol.KindMember, Priority: mesh.Next, Nonce: seal.NewNonce().String(), Ciphertext: seal.Base64([]byte("box")),
		ClientMessageID: "c1", ReplyToID: "r1",
	}
	proof, secret := protocol.SenderProof{SentAt: at.UnixMilli()}, p.member
	if session {
		msg.SenderPubkey, proof.Name, proof.Attestation, secret = key(p.session), "work", p.vouch(at), p.session
	}
	content, err := seal.Sealed{Nonce: msg.Nonce, Ciphertext: msg.Ciphertext}.HashContent()
	if err != nil {
		panic(err)
	}
	sig, err := seal.Proof{
		MeshID: string(team), Target: msg.TargetSpec, ClientID: string(msg.ClientMessageID), ReplyTo: msg.ReplyToID,
		Priority: string(msg.Priority), Name: proof.Name, SentAt: at, Content: content,
	}.Sign(secret)
	if err != nil {
		panic(err)
	}
	proof.Signature = sig.String()
	if edit != nil {
		edit(&msg, &proof)
	}
	msg.Auth, err = wire.Encode(proof)
	if err != nil {
		panic(err)
	}
	return msg
}

var us = strings.Repeat("ab", 32)

func mine(k mesh.Key) bool { return string(k) == us }

func TestProofsHold(t *testing.T) {
	t.Parallel()
	d := open(t)
	ben := newPeer("ben")
	d.see(ben.row("ben"))
	for session, want := range map[bool]string{false: "", true: "work"} {
		got, err := d.Prove(t.Context(), ben.sent(session, noon, nil), mine)
		if err != nil || got.Name != want {
			t.Errorf("session %t: got %q, %v, want %q", session, got.Name, err, want)
		}
	}
	later := ben.sent(true, noon, nil)
	d.now = noon.Add(20 * 24 * time.Hour) // it waited for us; the word for the session was over long ago
	if _, err := d.Prove(t.Context(), later, mine); err != nil {
		t.Errorf("a message that waited: got %v, want no error", err)
	}
	d.reopen()
	if s := d.Of(key(ben.member)); !s.Proved(protocol.CapSenderProof) || !s.Proved(protocol.CapAuth) || !d.Vouched(key(ben.session), key(ben.member)) {
		t.Errorf("got %+v, want what it proved to be remembered", s)
	}
}

// Who proves a message without being known is not pinned by that: the broker may have made the key.
func TestProofPinsNobody(t *testing.T) {
	t.Parallel()
	d := open(t)
	eve := newPeer("eve")
	if _, err := d.Prove(t.Context(), eve.sent(true, noon, nil), mine); err != nil {
		t.Errorf("got %v, want a proof that holds", err)
	}
	if s := d.Of(key(eve.member)); s.Pinned {
		t.Errorf("got %+v, want nobody pinned", s)
	}
}

// Whatever a broker changes about a signed message is seen (design C8).
func TestProofsRefuse(t *testing.T) {
	t.Parallel()
	d := open(t)
	ben, eve := newPeer("ben"), newPeer("eve")
	d.see(ben.row("ben"), eve.row("eve"))
	type edit func(*protocol.PushedMessage, *protocol.SenderProof)
	for name, edit := range map[string]edit{
		"another target":    func(m *protocol.PushedMessage, _ *protocol.SenderProof) { m.TargetSpec = "@team" },
		"for somebody else": func(m *protocol.PushedMessage, _ *protocol.SenderProof) { m.TargetSpec = strings.Repeat("cd", 32) },
		"another id":        func(m *protocol.PushedMessage, _ *protocol.SenderProof) { m.ClientMessageID = "c2" },
		"no id":             func(m *protocol.PushedMessage, _ *protocol.SenderProof) { m.ClientMessageID = "" },
		"another answer":    func(m *protocol.PushedMessage, _ *protocol.SenderProof) { m.ReplyToID = "" },
		"more urgent":       func(m *protocol.PushedMessage, _ *protocol.SenderProof) { m.Priority = mesh.Now },
		"another text":      func(m *protocol.PushedMessage, _ *protocol.SenderProof) { m.Ciphertext = seal.Base64([]byte("xob")) },
		"another nonce":     func(m *protocol.PushedMessage, _ *protocol.SenderProof) { m.Nonce = seal.NewNonce().String() },
		"no nonce":          func(m *protocol.PushedMessage, _ *protocol.SenderProof) { m.Nonce = "" },
		"a reminder":        func(m *protocol.PushedMessage, _ *protocol.SenderProof) { m.Subtype = "reminder" },
		"another sender":    func(m *protocol.PushedMessage, _ *protocol.SenderProof) { m.SenderPubkey = key(eve.session) },
		"another member":    func(m *protocol.PushedMessage, _ *protocol.SenderProof) { m.SenderMemberPubkey = key(eve.member) },
		"the member itself": func(m *protocol.PushedMessage, _ *protocol.SenderProof) { m.SenderPubkey = m.SenderMemberPubkey },
		"both others": func(m *protocol.PushedMessage, _ *protocol.SenderProof) {
			m.SenderPubkey, m.SenderMemberPubkey = key(eve.session), key(eve.member)
		},
		"another name":        func(_ *protocol.PushedMessage, p *protocol.SenderProof) { p.Name = "eve" },
		"a name that is none": func(_ *protocol.PushedMessage, p *protocol.SenderProof) { p.Name = "a\x1bb" },
		"another time":        func(_ *protocol.PushedMessage, p *protocol.SenderProof) { p.SentAt++ },
		"no signature":        func(_ *protocol.PushedMessage, p *protocol.SenderProof) { p.Signature = "" },
		"no attestation":      func(_ *protocol.PushedMessage, p *protocol.SenderProof) { p.Attestation = nil },
		"attested by another": func(_ *protocol.PushedMessage, p *protocol.SenderProof) { p.Attestation = eve.vouch(noon) },
		"attested at another time": func(_ *protocol.PushedMessage, p *protocol.SenderProof) {
			p.Attestation = ben.vouch(noon.Add(-seal.VouchLimit - time.Millisecond))
		},
		"attested for the future": func(_ *protocol.PushedMessage, p *protocol.SenderProof) {
			p.Attestation = ben.vouch(noon.Add(time.Millisecond))
		},
		"attested for longer": func(_ *protocol.PushedMessage, p *protocol.SenderProof) { p.Attestation.ExpiresAt += 3600_000 },
		"attested elsewhere":  func(_ *protocol.PushedMessage, p *protocol.SenderProof) { p.Attestation.Host = "evil.example:443" },
	} {
		if got, err := d.Prove(t.Context(), ben.sent(true, noon, edit), mine); err == nil {
			t.Errorf("%s: got %q and no error", name, got.Name)
		}
	}
	for name, auth := range map[string]string{
		"none": "", "empty": "{}", "text": `"x"`, "twice": `{"sentAt":1,"sentAt":2}`, "list": `[]`, "null": "null",
	} {
		msg := ben.sent(false, noon, nil)
		msg.Auth = wire.RawMessage(auth)
		if _, err := d.Prove(t.Context(), msg, mine); err == nil {
			t.Errorf("auth %s: got no error", name)
		}
	}
	for _, off := range []time.Duration{-30 * 24 * time.Hour, 48 * time.Hour} {
		if _, err := d.Prove(t.Context(), ben.sent(true, noon.Add(off), nil), mine); !mesh.IsCode(err, mesh.TimestampSkew) {
			t.Errorf("sent %v from now: got %v, want %s", off, err, mesh.TimestampSkew)
		}
	}
	if s := d.Of(key(eve.member)); len(s.Features) != 0 {
		t.Errorf("got %+v, want nothing proved by refused messages", s)
	}
}

// A session key that one member vouched for does not become another's by a message.
func TestProofOfATakenSession(t *testing.T) {
	t.Parallel()
	d := open(t)
	ben, eve := newPeer("ben"), newPeer("eve")
	eve.session = ben.session
	d.see(ben.row("ben"), ben.sessionRow("work", ben.vouch(noon)), eve.row("eve"))
	if _, err := d.Prove(t.Context(), eve.sent(true, noon, nil), mine); !mesh.IsCode(err, mesh.BadSessionKey) {
		t.Errorf("got %v, want %s", err, mesh.BadSessionKey)
	}
	if s := d.Of(key(eve.member)); len(s.Features) != 0 {
		t.Errorf("got %+v, want nothing proved", s)
	}
}

// FuzzProof feeds bytes to the reader of proofs. Nothing that it did not sign is proved.
func FuzzProof(f *testing.F) {
	d := open(f)
	ben := newPeer("ben")
	msg := ben.sent(true, noon, nil)
	good := string(msg.Auth)
	f.Add([]byte(good))
	f.Add([]byte(`{"sentAt":1777900000000,"signature":"","attestation":{}}`))
	f.Add([]byte(`{"sentAt":-9223372036854775808}`))
	f.Fuzz(func(t *testing.T, auth []byte) {
		msg := msg
		msg.Auth = auth
		got, err := d.Prove(t.Context(), msg, mine)
		if err == nil && (got.Name != "work" || !strings.Contains(string(auth), "work")) {
			t.Errorf("%q proved the name %q", auth, got.Name)
		}
	})
}
