package broker

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// authText is what a client signs that came as from says.
func (m *team) authText(from arrival, p person, session seal.PublicKey) seal.Auth {
	challenge, _ := seal.ParseChallenge(from.challenge) // a wrong one is what some tests want
	return seal.Auth{
		Host: from.hosts[0], MeshID: string(m.id), MemberID: string(p.id), Member: p.key.Public(), Session: session, Challenge: challenge,
	}
}

// authHello is a hello of a member by auth/2, to be edited when it is signed.
func (m *team) authHello(from arrival, p person, edit func(*protocol.HelloRequest)) []byte {
	req := protocol.HelloRequest{
		MeshID: string(m.id), MemberID: string(p.id), Pubkey: p.pub(), Capabilities: protocol.Capabilities(),
		Presence: protocol.Presence{SessionID: "s-" + p.name, CWD: "x"}, Timestamp: m.site.now().UnixMilli(),
		Auth: &protocol.HelloAuth{
			Host: from.hosts[0], Challenge: from.challenge,
			MemberSignature: must(m.authText(from, p, seal.PublicKey{}).Sign(p.key)).String(),
		},
	}
	if edit != nil {
		edit(&req)
	}
	return must(protocol.Hello.Encode("", req))
}

// authSessionHello is a hello of a session by auth/2, to be edited when it is signed.
func (m *team) authSessionHello(from arrival, p person, session seal.SecretKey, edit func(*protocol.SessionHelloRequest)) []byte {
	now, text := m.site.now(), m.authText(from, p, session.Public())
	req := protocol.SessionHelloRequest{
		MeshID: string(m.id), ParentMemberID: string(p.id), ParentMemberPubkey: p.pub(), SessionPubkey: session.Public().String(),
		Capabilities: protocol.Capabilities(), Presence: protocol.Presence{SessionID: "s", CWD: "x"}, Timestamp: now.UnixMilli(),
		Auth: &protocol.HelloAuth{
			Host: from.hosts[0], Challenge: from.challenge, MemberSignature: must(text.Sign(p.key)).String(),
			SessionSignature: must(text.Sign(session)).String(), Attestation: m.vouch(from.hosts[0], p, session.Public(), now),
		},
	}
	if edit != nil {
		edit(&req)
	}
	return must(protocol.SessionHello.Encode("", req))
}

// vouch is a member's word for a session key.
func (m *team) vouch(host string, p person, session seal.PublicKey, at time.Time) *protocol.Vouch {
	word := seal.Vouch{Host: host, MeshID: string(m.id), Member: p.key.Public(), Session: session, NotBefore: at, ExpiresAt: at.Add(seal.VouchLimit)}
	return &protocol.Vouch{
		Host: host, NotBefore: at.UnixMilli(), ExpiresAt: word.ExpiresAt.UnixMilli(), Signature: must(word.Sign(p.key)).String(),
	}
}

func TestAuthLetsMembersAndSessionsIn(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	for name, hello := range map[string]func(arrival) []byte{
		"member":  func(from arrival) []byte { return m.authHello(from, m.first, nil) },
		"session": func(from arrival) []byte { return m.authSessionHello(from, m.first, seal.NewSecretKey(), nil) },
	} {
		c := s.connect(t)
		c.send(t, hello(c.from))
		got := c.next(t)
		if !strings.Contains(got, `"hello_ack"`) || !strings.Contains(got, `"auth/2"`) || !strings.Contains(got, `"sender-proof/1"`) {
			t.Errorf("%s: got %s, want hello_ack with auth/2 and sender-proof/1", name, got)
		}
	}
}

func TestCapabilitiesAreThoseOfBoth(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	c := s.connect(t)
	c.send(t, m.hello(m.first, func(r *protocol.HelloRequest) {
		r.Capabilities = []string{"auth/3", protocol.CapSenderProof, "client_ack", "sender-proof/2"}
	}))
	var answer struct {
		Capabilities []string `json:"capabilities"`
	}
	if err := json.Unmarshal([]byte(c.next(t)), &answer); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"client_ack", "sender-proof/1"}, answer.Capabilities); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Threat 9 of the handshake: what was signed for another connection or another broker opens none here (design C4).
func TestThreat2AuthRefusesReplayAndReflection(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	session, other := seal.NewSecretKey(), seal.NewSecretKey()
	early := s.connect(t)
	copied := m.authSessionHello(early.from, m.first, session, nil)
	early.send(t, copied)
	early.next(t)
	edited := func(edit func(from arrival, a *protocol.HelloAuth)) func(arrival) []byte {
		return func(from arrival) []byte {
			return m.authSessionHello(from, m.first, session, func(r *protocol.SessionHelloRequest) { edit(from, r.Auth) })
		}
	}
	for name, c := range map[string]struct {
		hello func(arrival) []byte
		code  string
	}{
		"a copy":             {func(arrival) []byte { return copied }, "replay"},
		"a challenge of old": {edited(func(_ arrival, a *protocol.HelloAuth) { a.Challenge = early.from.challenge }), "replay"},
		"no challenge":       {edited(func(_ arrival, a *protocol.HelloAuth) { a.Challenge = "" }), "replay"},
		"a copy's signature": {edited(func(_ arrival, a *protocol.HelloAuth) {
			a.MemberSignature = must(m.authText(early.from, m.first, session.Public()).Sign(m.first.key)).String()
		}), "bad_signature"},
		"for another broker": {func(from arrival) []byte {
			return m.authSessionHello(arrival{[]string{"evil.example:443"}, from.challenge}, m.first, session, nil)
		}, "bad_signature"},
		"for another broker, said to be ours": {func(from arrival) []byte {
			return m.authSessionHello(arrival{[]string{"evil.example:443"}, from.challenge}, m.first, session, func(r *protocol.SessionHelloRequest) {
				r.Auth.Host, r.Auth.Attestation.Host = from.hosts[0], from.hosts[0]
			})
		}, "bad_signature"},
		"the member alone":  {edited(func(_ arrival, a *protocol.HelloAuth) { a.SessionSignature = a.MemberSignature }), "bad_signature"},
		"no session":        {edited(func(_ arrival, a *protocol.HelloAuth) { a.SessionSignature = "" }), "malformed"},
		"the session alone": {edited(func(_ arrival, a *protocol.HelloAuth) { a.MemberSignature = a.SessionSignature }), "bad_signature"},
		"another's session": {func(from arrival) []byte {
			return m.authSessionHello(from, m.first, session, func(r *protocol.SessionHelloRequest) { r.SessionPubkey = other.Public().String() })
		}, "bad_signature"},
		"another member": {func(from arrival) []byte {
			return m.authSessionHello(from, m.first, session, func(r *protocol.SessionHelloRequest) {
				r.ParentMemberID, r.ParentMemberPubkey = string(bob.id), bob.pub()
			})
		}, "bad_signature"},
		"another time": {func(from arrival) []byte {
			return m.authSessionHello(from, m.first, session, func(r *protocol.SessionHelloRequest) { r.Timestamp -= 3600_000 })
		}, "timestamp_skew"},
		"no attestation": {edited(func(_ arrival, a *protocol.HelloAuth) { a.Attestation = nil }), "attestation_mismatch"},
		"attested elsewhere": {edited(func(_ arrival, a *protocol.HelloAuth) {
			a.Attestation = m.vouch("evil.example:443", m.first, session.Public(), s.now())
		}), "attestation_mismatch"},
		"attested by another": {edited(func(from arrival, a *protocol.HelloAuth) {
			a.Attestation = m.vouch(from.hosts[0], bob, session.Public(), s.now())
		}), "bad_signature"},
		"attestation over": {edited(func(from arrival, a *protocol.HelloAuth) {
			a.Attestation = m.vouch(from.hosts[0], m.first, session.Public(), s.now().Add(-time.Hour))
		}), "expired"},
		"attestation of tomorrow": {edited(func(from arrival, a *protocol.HelloAuth) {
			a.Attestation = m.vouch(from.hosts[0], m.first, session.Public(), s.now().Add(time.Hour))
		}), "timestamp_skew"},
		"attestation for a day": {edited(func(_ arrival, a *protocol.HelloAuth) { a.Attestation.ExpiresAt += 24 * 3600_000 }), "ttl_too_long"},
	} {
		t.Run(name, func(t *testing.T) { // not parallel: what waits for its turn for a minute is of another time
			con := s.connect(t)
			con.send(t, c.hello(con.from))
			con.wantError(t, c.code)
			con.wantClose(t, websocket.StatusPolicyViolation, c.code)
		})
	}
}

// A session key that was only announced is taken by whoever proves it, by a plain hello of auth/2, too (design C4).
func TestAuthProvesASessionKeyOfAHello(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	session := seal.NewSecretKey()
	squatter := m.enter(t, m.first, func(r *protocol.HelloRequest) { r.SessionPubkey = session.Public().String() })
	c := s.connect(t)
	c.send(t, m.authHello(c.from, bob, func(r *protocol.HelloRequest) {
		text := m.authText(c.from, bob, session.Public())
		r.SessionPubkey, r.Auth.MemberSignature = session.Public().String(), must(text.Sign(bob.key)).String()
		r.Auth.SessionSignature = must(text.Sign(session)).String()
		r.Auth.Attestation = m.vouch(c.from.hosts[0], bob, session.Public(), s.now())
	}))
	if got := c.next(t); !strings.Contains(got, `"hello_ack"`) {
		t.Fatalf("got %s, want hello_ack", got)
	}
	squatter.wantClose(t, websocket.StatusPolicyViolation, "bad_session_pubkey")
	back := s.connect(t)
	back.send(t, m.hello(m.first, func(r *protocol.HelloRequest) { r.SessionPubkey = session.Public().String() }))
	back.wantError(t, "bad_session_pubkey")
}

// TestTakenSessionKeyIsLostToWhoArrivesLater: the hello of a squatter may be through just after that of the owner.
func TestTakenSessionKeyIsLostToWhoArrivesLater(t *testing.T) {
	t.Parallel()
	of := func(in mesh.ID, key mesh.Key, member mesh.ID) *guest {
		return &guest{session: &session.Session{Mesh: in, SessionKey: key, Member: member}}
	}
	var w crowd
	if w.lost(of("m1", "k1", "squatter")) {
		t.Error("a key is lost that nobody took")
	}
	w.take(of("m1", "k1", "owner"))
	if !w.lost(of("m1", "k1", "squatter")) || w.lost(of("m1", "k1", "owner")) || w.lost(of("m1", "k2", "squatter")) || w.lost(of("m2", "k1", "squatter")) {
		t.Error("want the key lost to all in its mesh but who took it")
	}
	for i := range maxTaken {
		w.take(of("m1", mesh.Key(fmt.Sprint(i)), "owner"))
	}
	if n := len(w.taken); n > maxTaken {
		t.Errorf("got %d keys remembered, want at most %d", n, maxTaken)
	}
}

// Mail for a member's key is that member's: nobody else enters with it as the key of a session.
func TestAMemberKeyIsNoSessionKey(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	c := s.connect(t)
	c.send(t, m.hello(m.first, func(r *protocol.HelloRequest) { r.SessionPubkey = bob.pub() }))
	c.wantError(t, "bad_session_pubkey")
}

// The roster passes on the member's word for a session, so that nobody needs to take the broker's; also for a session
// that is gone.
func TestRosterShowsAttestations(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	session := seal.NewSecretKey()
	first := m.enterSession(t, m.first, session) // v1: no such word
	watcher := m.enter(t, m.first, nil)
	attestation := func() *protocol.Vouch {
		watcher.send(t, []byte(`{"type":"list_peers","_reqId":"r","includeOffline":true}`))
		var answer struct {
			Peers []protocol.Peer `json:"peers"`
		}
		if err := wire.Decode([]byte(watcher.next(t)), &answer); err != nil {
			t.Fatal(err)
		}
		for _, p := range answer.Peers {
			if p.Pubkey == mesh.Key(session.Public().String()) {
				return p.Attestation
			}
		}
		t.Fatalf("the session is not among %+v", answer.Peers)
		return nil
	}
	if got := attestation(); got != nil {
		t.Errorf("got %+v of a session that came by version 1, want none", got)
	}
	c := s.connect(t)
	var want *protocol.Vouch
	c.send(t, m.authSessionHello(c.from, m.first, session, func(r *protocol.SessionHelloRequest) { want = r.Auth.Attestation }))
	c.next(t)
	<-first.closed
	if diff := cmp.Diff(want, attestation()); diff != "" {
		t.Errorf("while it is here (-want +got):\n%s", diff)
	}
	c.leave(t)
	if diff := cmp.Diff(want, attestation()); diff != "" {
		t.Errorf("when it has gone (-want +got):\n%s", diff)
	}
}

// The proof of a message is the sender's, and is passed on as it came: at once, and from the store.
func TestSendersProofIsPassedOn(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	const auth = `{"sentAt":1,"signature":"x","later":{"a":[1,2]}}`
	send := func(id, auth string) []byte {
		return []byte(`{"type":"send","id":"` + id + `","targetSpec":"` + bob.pub() + `","priority":"next","nonce":"` +
			seal.NewNonce().String() + `","ciphertext":"QUJD"` + auth + `}`)
	}
	sender, reader := m.enter(t, m.first, nil), m.enter(t, bob, nil)
	sender.send(t, send("live", `,"auth":`+auth))
	if got := reader.next(t); !strings.Contains(got, `"auth":`+auth) {
		t.Errorf("live: got %s, want its auth", got)
	}
	reader.leave(t)
	sender.send(t, send("stored", `,"auth":`+auth))
	sender.send(t, send("without", ""))
	reader = m.enter(t, bob, nil)
	for _, id := range []string{"live", "stored", "without"} { // nothing was acknowledged
		if got := reader.next(t); strings.Contains(got, `"auth":`+auth) != (id != "without") {
			t.Errorf("%s, stored: got %s", id, got)
		}
	}
	for _, bad := range []string{`"text"`, `[1]`, `7`, `{"signature":"` + strings.Repeat("x", protocol.MaxAuthBytes) + `"}`} {
		sender.send(t, send("bad", `,"auth":`+bad))
		for got := sender.next(t); ; got = sender.next(t) {
			if !strings.Contains(got, `"id":"bad"`) {
				continue
			}
			if !strings.Contains(got, `"code":"bad_request"`) {
				t.Errorf("%.20s: got %s, want bad_request", bad, got)
			}
			break
		}
	}
}
