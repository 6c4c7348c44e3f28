package uplink

import (
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// The versions of the handshake.
const (
	v1 = 1
	v2 = 2
)

// version is the handshake that a broker offers: the second where it sends a challenge.
func (a *attached) version() int {
	if a.conn.challenge == "" {
		return v1
	}
	return v2
}

// proof signs for this broker and this connection (design C4). Nil means version 1, for a broker that offers no other
// and never did: one that once spoke the second is not answered with the first, whoever took the offer away.
func (l *Link) proof(a *attached) (*protocol.HelloAuth, error) {
	if a.version() == v1 {
		if l.opt.Strongest != nil && l.opt.Strongest() > v1 {
			return nil, mesh.Errorf(mesh.WeakerHandshake, "the broker offers an older handshake than before: it is not answered")
		}
		return nil, nil
	}
	challenge, err := seal.ParseChallenge(a.conn.challenge)
	if err != nil {
		return nil, mesh.Errorf(mesh.BrokerRefused, "the broker's challenge is none")
	}
	host, err := Host(l.opt.URL)
	if err != nil {
		return nil, err
	}
	id := l.opt.Identity
	text := seal.Auth{Host: host, MeshID: string(id.MeshID), MemberID: string(id.MemberID), Member: id.Member.Public(), Challenge: challenge}
	auth := &protocol.HelloAuth{Host: host, Challenge: challenge.String()}
	if id.IsSession() {
		text.Session = id.Session.Public()
		signature, err := text.Sign(id.Session)
		if err != nil {
			return nil, mesh.Errorf(mesh.Malformed, "sign the hello: %w", err)
		}
		vouch, err := id.again(l.word, host, l.opt.Now())
		l.word = nil // until a broker has taken it
		if err != nil {
			return nil, err
		}
		auth.SessionSignature, auth.Attestation = signature.String(), vouch
	}
	signature, err := text.Sign(id.Member)
	if err != nil {
		return nil, mesh.Errorf(mesh.Malformed, "sign the hello: %w", err)
	}
	auth.MemberSignature = signature.String()
	return auth, nil
}

// again gives the word of a moment ago, for the first half of its life: a broker that has verified it need not do so anew.
// Else, and where the clock was set, it is a new one.
func (i Identity) again(last *protocol.Vouch, host string, now time.Time) (*protocol.Vouch, error) {
	if last != nil && last.Host == host {
		if age := now.Sub(time.UnixMilli(last.NotBefore)); age >= 0 && age < seal.VouchLimit/2 {
			return last, nil
		}
	}
	v, err := i.Vouch(host, now)
	return &v, err
}

// Vouch is the member's word for the session key at a broker, from now on for as long as one may last.
func (i Identity) Vouch(host string, now time.Time) (protocol.Vouch, error) {
	word := seal.Vouch{
		Host: host, MeshID: string(i.MeshID), Member: i.Member.Public(), Session: i.Session.Public(),
		NotBefore: now, ExpiresAt: now.Add(seal.VouchLimit),
	}
	signature, err := word.Sign(i.Member)
	if err != nil {
		return protocol.Vouch{}, mesh.Errorf(mesh.Malformed, "sign the attestation: %w", err)
	}
	return protocol.Vouch{
		Host: host, NotBefore: word.NotBefore.UnixMilli(), ExpiresAt: word.ExpiresAt.UnixMilli(), Signature: signature.String(),
	}, nil
}
