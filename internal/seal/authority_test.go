package seal

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMeshCreate(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	owner, member := keys["owner"], keys["alice_member"]
	good := MeshCreate{"broker.example.test:443", "team-alpha", owner.Public(), member.Public(), atMilli(1777900000000)}
	const want = "claudemesh-mesh-create-v1\n" +
		"\x00\x00\x00\x17broker.example.test:443" +
		"\x00\x00\x00\x0ateam-alpha" +
		"\x00\x00\x00\x409dfa5f382de07d3af6dd98a43450355cf4b3d9a5086fa3bcb7fc322d95e4f55f" +
		"\x00\x00\x00\x409343a71e9c29cc39ab158187bbfd5ad3a8f93ecf790d000bc4291ee20a7e4457" +
		"\x00\x00\x00\x0d1777900000000"
	if diff := cmp.Diff(want, string(good.text())); diff != "" {
		t.Errorf("signed text: want -, got +\n%s", diff)
	}
	ownerSig, memberSig := must(good.Sign(owner))(t), must(good.Sign(member))(t)
	if err := good.Verify(ownerSig, memberSig, good.CreatedAt.Add(Skew)); err != nil {
		t.Errorf("verify: got %v, want none", err)
	}
	if err := good.Verify(ownerSig, memberSig, good.CreatedAt.Add(Skew+time.Millisecond)); !errors.Is(err, ErrSkew) {
		t.Errorf("late: got %v, want %v", err, ErrSkew)
	}
	for name, sigs := range map[string][2]Signature{
		"owner twice": {ownerSig, ownerSig}, "member twice": {memberSig, memberSig}, "swapped": {memberSig, ownerSig},
	} {
		if err := good.Verify(sigs[0], sigs[1], good.CreatedAt); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: got %v, want %v", name, err, ErrSignature)
		}
	}
	for name, change := range map[string]func(*MeshCreate){
		"host": func(m *MeshCreate) { m.Host = "evil.example.test:443" },
		"slug": func(m *MeshCreate) { m.Slug = "" },
		"time": func(m *MeshCreate) { m.CreatedAt = m.CreatedAt.Add(time.Second) },
	} {
		m := good
		change(&m)
		if err := m.Verify(ownerSig, memberSig, m.CreatedAt); !errors.Is(err, ErrSignature) {
			t.Errorf("other %s: got %v, want %v", name, err, ErrSignature)
		}
	}
	if _, err := good.Sign(keys["bob_member"]); !errors.Is(err, ErrMalformed) {
		t.Errorf("sign with a stranger's key: got %v, want %v", err, ErrMalformed)
	}
}

func TestMeshCreateRefusesWeakKeys(t *testing.T) {
	t.Parallel()
	key := testKeys(t)["owner"]
	forged := Signature{0: 1}
	at := atMilli(1777900000000)
	identity := PublicKey{0: 1}
	owned := MeshCreate{"h:1", "", identity, key.Public(), at}
	if err := owned.Verify(forged, must(owned.Sign(key))(t), at); !errors.Is(err, ErrWeakKey) {
		t.Errorf("weak owner: got %v, want %v", err, ErrWeakKey)
	}
	joined := MeshCreate{"h:1", "", key.Public(), identity, at}
	if err := joined.Verify(must(joined.Sign(key))(t), forged, at); !errors.Is(err, ErrWeakKey) {
		t.Errorf("weak member: got %v, want %v", err, ErrWeakKey)
	}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	peer := testKeys(t)["bob_member"]
	recipient := must(ParseX25519Public("vxHPxjaIrGgcyvtA6sVbeIyGAwhEu94DpRq7SSl4FEs"))(t)
	good := Claim{"broker.example.test:443", CodeHash("abc"), recipient, peer.Public()}
	const want = "claudemesh-claim-v2\n" +
		"\x00\x00\x00\x17broker.example.test:443" +
		"\x00\x00\x00\x40ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" +
		"\x00\x00\x00\x2bvxHPxjaIrGgcyvtA6sVbeIyGAwhEu94DpRq7SSl4FEs" +
		"\x00\x00\x00\x40abcabea82649da16bda58db6b9c83a8c449a23e84b9404a72d9ecfad7672114f"
	if diff := cmp.Diff(want, string(good.text())); diff != "" {
		t.Errorf("signed text: want -, got +\n%s", diff)
	}
	proof := must(good.Sign(peer))(t)
	if err := good.Verify(proof); err != nil {
		t.Errorf("verify: got %v, want none", err)
	}
	for name, change := range map[string]func(*Claim){
		"host":      func(c *Claim) { c.Host = "evil.example.test:443" },
		"code":      func(c *Claim) { c.CodeHash = CodeHash("abd") },
		"recipient": func(c *Claim) { c.Recipient = NewX25519Secret().Public() },
		"peer":      func(c *Claim) { c.Peer = testKeys(t)["owner"].Public() },
	} {
		c := good
		change(&c)
		if err := c.Verify(proof); !errors.Is(err, ErrSignature) {
			t.Errorf("other %s: got %v, want %v", name, err, ErrSignature)
		}
	}
}

func TestOperation(t *testing.T) {
	t.Parallel()
	owner := testKeys(t)["owner"]
	good := Operation{
		Host: "broker.example.test:443", MeshID: "msh_1", Name: "invite_revoke",
		Args: must(ArgsHash([]byte(`{"inviteId":"inv_1"}`)))(t), Nonce: "000102030405060708090a0b0c0d0e0f", At: atMilli(1777900000000),
	}
	const want = "claudemesh-operation-v1\n" +
		"\x00\x00\x00\x17broker.example.test:443" +
		"\x00\x00\x00\x05msh_1" +
		"\x00\x00\x00\x0dinvite_revoke" +
		"\x00\x00\x00\x40375b62f0e596e51c953380873855863ff9777eccfbedd48a6b62c372149890d1" +
		"\x00\x00\x00\x20000102030405060708090a0b0c0d0e0f" +
		"\x00\x00\x00\x0d1777900000000"
	if diff := cmp.Diff(want, string(must(good.text())(t))); diff != "" {
		t.Errorf("signed text: want -, got +\n%s", diff)
	}
	sig := must(good.Sign(owner))(t)
	if err := good.Verify(owner.Public(), sig, good.At.Add(-Skew)); err != nil {
		t.Errorf("verify: got %v, want none", err)
	}
	if err := good.Verify(owner.Public(), sig, good.At.Add(time.Hour)); !errors.Is(err, ErrSkew) {
		t.Errorf("late: got %v, want %v", err, ErrSkew)
	}
	if err := good.Verify(testKeys(t)["bob_member"].Public(), sig, good.At); !errors.Is(err, ErrSignature) {
		t.Errorf("other holder: got %v, want %v", err, ErrSignature)
	}
	for name, change := range map[string]func(*Operation){
		"host":  func(o *Operation) { o.Host = "" },
		"mesh":  func(o *Operation) { o.MeshID = "msh_2" },
		"name":  func(o *Operation) { o.Name = "invite_create" },
		"args":  func(o *Operation) { o.Args[0] ^= 1 },
		"nonce": func(o *Operation) { o.Nonce = "100102030405060708090a0b0c0d0e0f" },
		"time":  func(o *Operation) { o.At = o.At.Add(time.Second) },
	} {
		o := good
		change(&o)
		if err := o.Verify(owner.Public(), sig, good.At); !errors.Is(err, ErrSignature) {
			t.Errorf("other %s: got %v, want %v", name, err, ErrSignature)
		}
	}
}

func TestOperationNonce(t *testing.T) {
	t.Parallel()
	owner := testKeys(t)["owner"]
	for _, nonce := range []string{"", "00", "000102030405060708090A0B0C0D0E0F", "000102030405060708090a0b0c0d0e0f00"} {
		o := Operation{Nonce: nonce, At: atMilli(1777900000000)}
		if _, err := o.Sign(owner); !errors.Is(err, ErrMalformed) {
			t.Errorf("sign with nonce %q: got %v, want %v", nonce, err, ErrMalformed)
		}
		if err := o.Verify(owner.Public(), Signature{}, o.At); !errors.Is(err, ErrMalformed) {
			t.Errorf("verify with nonce %q: got %v, want %v", nonce, err, ErrMalformed)
		}
	}
}

func TestArgsHash(t *testing.T) {
	t.Parallel()
	a := must(ArgsHash([]byte(`{"a":1,"b":[true,null,9007199254740991,1.50]}`)))(t)
	b := must(ArgsHash([]byte(` {"b":[true,null,9007199254740991,1.5], "a":1.0}`)))(t)
	if a != b {
		t.Errorf("two texts of one value: got %x, want %x", b, a)
	}
	for _, raw := range []string{`{"n":9007199254740993}`, `[-9007199254740992]`, `[9007199254740993.0]`, `[1e16]`, `[1e999]`, `{"a":1,"a":1}`, ``} {
		if _, err := ArgsHash([]byte(raw)); !errors.Is(err, ErrMalformed) {
			t.Errorf("ArgsHash(%s): got %v, want %v", raw, err, ErrMalformed)
		}
	}
}

func TestOwnerFingerprint(t *testing.T) {
	t.Parallel()
	owner := testKeys(t)["owner"].Public()
	got := OwnerFingerprint("msh_7Qv2Lk9aB1", owner)
	if want := "rBEoXNiNAusiE2tGy0aW7Q"; got != want {
		t.Errorf("fingerprint: got %s, want %s", got, want)
	}
	if OwnerFingerprint("msh_7Qv2Lk9aB2", owner) == got || OwnerFingerprint("msh_7Qv2Lk9aB1", PublicKey{}) == got {
		t.Error("another mesh or owner has the same fingerprint")
	}
}
