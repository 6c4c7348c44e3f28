package broker

import (
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

func TestMessageGoesFromMemberToMember(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	sender := m.enter(t, m.first, nil)
	session := seal.NewSecretKey()
	recipient := m.enterSession(t, bob, session)
	sender.send(t, must(protocol.Send.Encode("", protocol.SendRequest{
		ID: "c1", TargetSpec: session.Public().String(), Priority: "next", Nonce: seal.NewNonce().String(), Ciphertext: seal.Base64(make([]byte, 32)), ClientMessageID: "c1",
	})))
	if got := sender.next(t); !strings.Contains(got, `"type":"ack"`) || !strings.Contains(got, `"queued":true`) {
		t.Errorf("got %s, want an ack", got)
	}
	push := recipient.next(t)
	if !strings.Contains(push, `"type":"push"`) || !strings.Contains(push, `"senderPubkey":"`+m.first.pub()) {
		t.Errorf("got %s, want a push from alice", push)
	}
	recipient.send(t, must(protocol.ClientAck.Encode("", protocol.ClientAckRequest{ClientMessageID: "c1"})))
	if got := sender.next(t); !strings.Contains(got, `"type":"receipt"`) || !strings.Contains(got, `"state":"delivered"`) {
		t.Errorf("got %s, want a receipt", got)
	}
	recipient.leave(t)
	sender.leave(t)
}
