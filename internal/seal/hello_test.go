package seal

import (
	"errors"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

type helloInputs struct {
	signed
	MeshID    string `json:"mesh_id"`
	MemberID  string `json:"member_id"`
	Pubkey    string `json:"pubkey_hex"`
	Timestamp int64  `json:"timestamp_ms"`
}

func testHelloSignature(t *testing.T, section jsontext.Value) {
	eachVector(t, section, func(t *testing.T, c vector[helloInputs, verdict]) {
		sig := c.Inputs.signature(t, c.Expected)
		signer := publicKey(t, c.Inputs.SignerKey)
		if !c.Expected.Verifies {
			if err := signer.verify([]byte(c.Inputs.Canonical), sig); !errors.Is(err, ErrSignature) {
				t.Errorf("verify: got %v, want %v", err, ErrSignature)
			}
			return
		}
		h := Hello{c.Inputs.MeshID, c.Inputs.MemberID, publicKey(t, c.Inputs.Pubkey), atMilli(c.Inputs.Timestamp)}
		c.Inputs.checkText(t, must(h.text())(t))
		if got := must(h.Sign(testKeys(t)[c.Inputs.Signer]))(t); got != sig {
			t.Errorf("signature: got %s, want %s", got, sig)
		}
		if err := h.Verify(sig, h.At); err != nil {
			t.Errorf("verify: got %v, want none", err)
		}
		if limit := c.Inputs.SkewLimit; limit != 0 && limit != Skew.Milliseconds() {
			t.Errorf("skew: got %v, want %d ms", Skew, limit)
		}
	})
}

type sessionHelloInputs struct {
	signed
	MeshID    string `json:"mesh_id"`
	Parent    string `json:"parent_public_hex"`
	Session   string `json:"session_public_hex"`
	Timestamp int64  `json:"timestamp_ms"`
}

func testSessionHelloSignature(t *testing.T, section jsontext.Value) {
	eachVector(t, section, func(t *testing.T, c vector[sessionHelloInputs, verdict]) {
		sig := c.Inputs.signature(t, c.Expected)
		if !c.Expected.Verifies {
			if err := publicKey(t, c.Inputs.SignerKey).verify([]byte(c.Inputs.Canonical), sig); !errors.Is(err, ErrSignature) {
				t.Errorf("verify: got %v, want %v", err, ErrSignature)
			}
			return
		}
		h := SessionHello{c.Inputs.MeshID, publicKey(t, c.Inputs.Parent), publicKey(t, c.Inputs.Session), atMilli(c.Inputs.Timestamp)}
		c.Inputs.checkText(t, must(h.text())(t))
		if got := must(h.Sign(testKeys(t)[c.Inputs.Signer]))(t); got != sig {
			t.Errorf("signature: got %s, want %s", got, sig)
		}
		if err := h.Verify(sig, h.At); err != nil {
			t.Errorf("verify: got %v, want none", err)
		}
	})
}

func TestHelloSkew(t *testing.T) {
	t.Parallel()
	key := testKeys(t)["alice_member"]
	at := atMilli(1777900000000)
	hello := Hello{"msh_1", "mbr_1", key.Public(), at}
	session := SessionHello{"msh_1", testKeys(t)["owner"].Public(), key.Public(), at}
	helloSig, sessionSig := must(hello.Sign(key))(t), must(session.Sign(key))(t)
	for _, c := range []struct {
		late time.Duration
		want error
	}{
		{0, nil}, {60 * time.Second, nil}, {-60 * time.Second, nil},
		{60*time.Second + 999*time.Microsecond, nil}, // the text has whole milliseconds
		{60*time.Second + time.Millisecond, ErrSkew}, {-60*time.Second - time.Millisecond, ErrSkew},
		{1<<63 - 1, ErrSkew}, {-1 << 63, ErrSkew},
	} {
		if err := hello.Verify(helloSig, at.Add(c.late)); !errors.Is(err, c.want) {
			t.Errorf("hello read %v after signing: got %v, want %v", c.late, err, c.want)
		}
		if err := session.Verify(sessionSig, at.Add(c.late)); !errors.Is(err, c.want) {
			t.Errorf("session hello read %v after signing: got %v, want %v", c.late, err, c.want)
		}
	}
	for _, ms := range []int64{1<<63 - 1, -1 << 63} {
		far := hello
		far.At = atMilli(ms)
		if err := far.Verify(must(far.Sign(key))(t), at); !errors.Is(err, ErrSkew) {
			t.Errorf("hello of time %d: got %v, want %v", ms, err, ErrSkew)
		}
	}
}

func TestHelloRefuses(t *testing.T) {
	t.Parallel()
	key := testKeys(t)["alice_member"]
	good := Hello{"msh_1", "mbr_1", key.Public(), atMilli(1777900000000)}
	sig := must(good.Sign(key))(t)
	for name, c := range map[string]struct {
		change func(*Hello)
		want   error
	}{
		"other mesh":        {func(h *Hello) { h.MeshID = "msh_2" }, ErrSignature},
		"other member":      {func(h *Hello) { h.MemberID = "mbr_2" }, ErrSignature},
		"other time":        {func(h *Hello) { h.At = h.At.Add(time.Millisecond) }, ErrSignature},
		"other key":         {func(h *Hello) { h.Member = testKeys(t)["owner"].Public() }, ErrSignature},
		"weak key":          {func(h *Hello) { h.Member = PublicKey{0: 1} }, ErrWeakKey},
		"separator in mesh": {func(h *Hello) { h.MeshID, h.MemberID = "msh_1|mbr", "_1" }, ErrMalformed},
		"separator in name": {func(h *Hello) { h.MemberID = "a|b" }, ErrMalformed},
	} {
		h := good
		c.change(&h)
		if err := h.Verify(sig, good.At); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, err := good.Sign(testKeys(t)["owner"]); !errors.Is(err, ErrMalformed) {
		t.Errorf("sign with another key: got %v, want %v", err, ErrMalformed)
	}
	if _, err := (Hello{MeshID: "|", Member: key.Public()}).Sign(key); !errors.Is(err, ErrMalformed) {
		t.Errorf("sign a separator: got %v, want %v", err, ErrMalformed)
	}
}

func TestSessionHelloRefuses(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	good := SessionHello{"msh_1", keys["alice_member"].Public(), keys["alice_session"].Public(), atMilli(1777900000000)}
	sig := must(good.Sign(keys["alice_session"]))(t)
	for name, c := range map[string]struct {
		change func(*SessionHello)
		want   error
	}{
		"other mesh":    {func(h *SessionHello) { h.MeshID = "msh_2" }, ErrSignature},
		"other parent":  {func(h *SessionHello) { h.Parent = keys["owner"].Public() }, ErrSignature},
		"other session": {func(h *SessionHello) { h.Session = keys["owner"].Public() }, ErrSignature},
		"separator":     {func(h *SessionHello) { h.MeshID = "a|b" }, ErrMalformed},
	} {
		h := good
		c.change(&h)
		if err := h.Verify(sig, good.At); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, err := good.Sign(keys["alice_member"]); !errors.Is(err, ErrMalformed) {
		t.Errorf("sign with the parent key: got %v, want %v", err, ErrMalformed)
	}
}
