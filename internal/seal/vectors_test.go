package seal

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// sections are the parts of vectors.json that this package must reproduce, and how.
var sections = map[string]func(*testing.T, jsontext.Value){
	"request_fingerprint":      testRequestFingerprint,
	"destination_mapping":      testDestinationMapping,
	"keypairs_and_conversions": testKeypairs,
	"hello_signature":          testHelloSignature,
	"session_attestation":      testSessionAttestation,
	"session_hello_signature":  testSessionHelloSignature,
	"crypto_box":               testCryptoBox,
	"decrypt_order":            testDecryptOrder,
	"secretbox":                testSecretbox,
	"sealed_box":               testSealedBox,
	"topic_key_seal":           testTopicKeySeal,
	"invite_signature":         testInviteSignature,
	"safety_number":            testSafetyNumber,
}

// elsewhere are the parts of vectors.json that other packages reproduce, and its heading.
var elsewhere = []string{
	"schema_version", "title", "conventions",
	"ipc_duplicate_table", "ipc_duplicate_cases", "host_fingerprint", "stable_mac_selection", "drain_backoff",
	"ws_reconnect_backoff", "outbox_max_age", "size_limits", "audit_chain",
}

func TestVectors(t *testing.T) {
	t.Parallel()
	file := readVectors(t)
	for name, test := range sections {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, file[name])
		})
	}
}

func TestVectorsCoverEverySection(t *testing.T) {
	t.Parallel()
	file := readVectors(t)
	for name := range sections {
		if _, ok := file[name]; !ok {
			t.Errorf("vectors.json has no section %q, which a test wants", name)
		}
		delete(file, name)
	}
	for _, name := range elsewhere {
		if _, ok := file[name]; !ok {
			t.Errorf("vectors.json has no section %q, or a test here consumes it", name)
		}
		delete(file, name)
	}
	for name := range file {
		t.Errorf("section %q of vectors.json has no test", name)
	}
}

func readVectors(t *testing.T) map[string]jsontext.Value {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]jsontext.Value
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// vector is one case of a section; I and E are its inputs and what is expected.
type vector[I, E any] struct {
	ID           string            `json:"id"`
	Note         string            `json:"note"`
	Inputs       I                 `json:"inputs"`
	Expected     E                 `json:"expected"`
	Intermediate map[string]string `json:"intermediate"`
	Verdict      string            `json:"verdict"`                   // attestations
	MustNotEqual map[string]string `json:"must_not_equal"`            // fingerprints
	Legacy       string            `json:"legacy_ts_fingerprint_hex"` // fingerprints
}

// eachVector runs test on every case. A field that I or E does not know fails, so that none is overlooked.
func eachVector[I, E any](t *testing.T, section jsontext.Value, test func(*testing.T, vector[I, E])) {
	t.Helper()
	var cases []vector[I, E]
	if err := json.Unmarshal(section, &cases, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("the section is empty")
	}
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			test(t, c)
		})
	}
}

// signed are the fields that all signature sections share.
type signed struct {
	Signer        string `json:"signer"`
	SignerKey     string `json:"signer_public_hex"`
	Canonical     string `json:"canonical_utf8"`
	CanonicalHex  string `json:"canonical_hex"`
	SkewLimit     int64  `json:"skew_limit_ms"`
	SignatureText string `json:"signature_hex"`
}

// verdict is what a signature section expects.
type verdict struct {
	Signature string `json:"signature_hex"`
	Verifies  bool   `json:"verifies"`
}

// signature gives the signature of a case: a positive one is expected, a negative one is an input.
func (s signed) signature(t *testing.T, want verdict) Signature {
	t.Helper()
	return must(ParseSignature(s.SignatureText + want.Signature))(t)
}

// checkText compares a signed text with the canonical one of the case.
func (s signed) checkText(t *testing.T, got []byte) {
	t.Helper()
	if string(got) != s.Canonical || hex.EncodeToString(got) != s.CanonicalHex {
		t.Errorf("signed text: got %q, want %q", got, s.Canonical)
	}
}

// fields splits the canonical text of a case, for the cases that give nothing else.
func (s signed) fields() []string { return strings.Split(s.Canonical, "|") }

// testKeys are the secret keys behind the signers that the vectors name.
func testKeys(t *testing.T) map[string]SecretKey {
	t.Helper()
	return map[string]SecretKey{
		"alice_member":  seedKey(t, "4cf99f6cd421073c69c0b84663f7e399a3fd847027768cad07875057ed49ff09"),
		"alice_session": seedKey(t, "a7b3b7a3acc51ec65b5dad1f1e618ff7486cad4d482e3d5c32e6cdbae39f8629"),
		"bob_member":    seedKey(t, "726ea032a633d146ebf84230ce3f260e4d8ce84e311c9e2fd17651782a5dd48a"),
		"bob_session":   seedKey(t, "ad8ab19ba1ebc593238fda628de7f91dd8f736b61c18c2c0d784c42d77386758"),
		"owner":         seedKey(t, "4698a1064b59bb180f4b752152249829f5a916bfe7ab86ccd24d41099c347a3f"),
	}
}

func seedKey(t testing.TB, seed string) SecretKey {
	t.Helper()
	return secretKeyOf([32]byte(unhex(t, seed)))
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// must unwraps a result: must(f())(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func publicKey(t testing.TB, s string) PublicKey {
	t.Helper()
	return must(ParsePublicKey(s))(t)
}

func atMilli(ms int64) time.Time { return time.UnixMilli(ms) }
