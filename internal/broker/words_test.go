package broker

import (
	"encoding/binary"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

func TestWordsAreBounded(t *testing.T) {
	t.Parallel()
	var k words
	if k.learn(seal.Word{}); k.knows(seal.Word{}) {
		t.Error("no word is known")
	}
	word := func(n int) (w seal.Word) {
		binary.BigEndian.PutUint32(w[:], uint32(n+1))
		return w
	}
	for i := range 3 * maxWords {
		k.learn(word(i))
		if i%1000 == 0 && !k.knows(word(0)) {
			t.Fatalf("the word that is used was forgotten after %d", i)
		}
	}
	if k.knows(word(1)) || !k.knows(word(3*maxWords-1)) || len(k.young)+len(k.old) > 2*maxWords {
		t.Errorf("%d words are known, want the last %d", len(k.young)+len(k.old), 2*maxWords)
	}
}

// A word that was verified spares its signature alone: its time, its keys and every byte of it still count.
func TestAKnownWordIsHeldToItsTimeAndKeys(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	s := openSite(t, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } })
	m := s.found(t)
	session, other := seal.NewSecretKey(), seal.NewSecretKey()
	var kept protocol.Attestation
	for _, c := range []struct {
		what  string
		ahead time.Duration
		edit  func(*protocol.SessionHelloRequest)
		code  string
	}{
		{"the first time", 0, func(r *protocol.SessionHelloRequest) { kept = r.ParentAttestation }, ""},
		{"again", 0, func(r *protocol.SessionHelloRequest) { r.ParentAttestation = kept }, ""},
		{"another signature", 0, func(r *protocol.SessionHelloRequest) {
			signature := r.ParentAttestation.Signature
			r.ParentAttestation = kept
			r.ParentAttestation.Signature = signature[:64] + kept.Signature[64:]
		}, "bad_signature"},
		{"another end", 0, func(r *protocol.SessionHelloRequest) {
			r.ParentAttestation = kept
			r.ParentAttestation.ExpiresAt--
		}, "bad_signature"},
		{"another session", 0, func(r *protocol.SessionHelloRequest) {
			r.ParentAttestation, r.SessionPubkey = kept, other.Public().String()
			r.ParentAttestation.SessionPubkey = r.SessionPubkey
		}, "bad_signature"},
		{"signed by another session", 0, func(r *protocol.SessionHelloRequest) {
			r.ParentAttestation = kept
			r.Signature = kept.Signature
		}, "bad_signature"},
		{"after its end", seal.AttestationLifetime, func(r *protocol.SessionHelloRequest) { r.ParentAttestation = kept }, "expired"},
		{"too long before its end", -seal.AttestationLimit, func(r *protocol.SessionHelloRequest) { r.ParentAttestation = kept }, "ttl_too_long"},
	} {
		ahead.Store(int64(c.ahead))
		conn := s.connect(t)
		conn.send(t, m.sessionHello(m.first, session, c.edit))
		if c.code != "" {
			conn.wantError(t, c.code)
		} else if got := conn.next(t); !strings.Contains(got, `"hello_ack"`) {
			t.Errorf("%s: got %s, want hello_ack", c.what, got)
		}
	}
}
