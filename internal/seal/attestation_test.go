package seal

import (
	"errors"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/go-json-experiment/json/jsontext"
)

type attestationInputs struct {
	signed
	Now     int64  `json:"now_ms"`
	Expires int64  `json:"expires_at_ms"`
	Session string `json:"session_public_hex"`
}

func testSessionAttestation(t *testing.T, section jsontext.Value) {
	eachVector(t, section, func(t *testing.T, c vector[attestationInputs, verdict]) {
		in := c.Inputs
		if in.Session == "" { // attest-05 names its session in the text only
			in.Session = in.fields()[2]
		}
		a := Attestation{publicKey(t, in.SignerKey), publicKey(t, in.Session), atMilli(in.Expires)}
		in.checkText(t, must(a.text())(t))
		sig := in.signature(t, c.Expected)
		if c.Expected.Verifies {
			if got := must(a.Sign(testKeys(t)[in.Signer]))(t); got != sig {
				t.Errorf("signature: got %s, want %s", got, sig)
			}
		}
		got := "ok"
		if err := a.Verify(sig, atMilli(in.Now)); err != nil {
			got = string(mesh.CodeOf(err))
		}
		if got != c.Verdict {
			t.Errorf("verdict: got %s, want %s", got, c.Verdict)
		}
	})
}

func TestAttestationWindow(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	now := atMilli(1777900000000)
	for _, c := range []struct {
		ahead time.Duration
		want  error
	}{
		{AttestationLifetime, nil}, {time.Millisecond, nil}, {AttestationLimit, nil},
		{0, ErrExpired}, {-time.Hour, ErrExpired}, {-1 << 63, ErrExpired},
		{AttestationLimit + time.Millisecond, ErrLifetime}, {1<<63 - 1, ErrLifetime},
	} {
		a := Attestation{keys["alice_member"].Public(), keys["alice_session"].Public(), now.Add(c.ahead)}
		if err := a.Verify(must(a.Sign(keys["alice_member"]))(t), now.Add(300*time.Microsecond)); !errors.Is(err, c.want) {
			t.Errorf("end %v ahead: got %v, want %v", c.ahead, err, c.want)
		}
	}
}

func TestAttestationNamesItsSession(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	now := atMilli(1777900000000)
	a := Attestation{keys["alice_member"].Public(), keys["alice_session"].Public(), now.Add(AttestationLifetime)}
	sig := must(a.Sign(keys["alice_member"]))(t)
	a.Session = keys["bob_session"].Public()
	if err := a.Verify(sig, now); !errors.Is(err, ErrSignature) {
		t.Errorf("another session: got %v, want %v", err, ErrSignature)
	}
	if _, err := a.Sign(keys["alice_session"]); !errors.Is(err, ErrMalformed) {
		t.Errorf("sign with the session key: got %v, want %v", err, ErrMalformed)
	}
}
