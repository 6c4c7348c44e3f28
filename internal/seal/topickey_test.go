package seal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

type topicInputs struct {
	TopicKey        string `json:"topic_key_hex"`
	Nonce           string `json:"nonce_hex"`
	SenderSecret    string `json:"sender_ed25519_secret_hex"`
	RecipientKey    string `json:"recipient_ed25519_public_hex"`
	RecipientSecret string `json:"recipient_ed25519_secret_hex"`
}

type topicExpected struct {
	Blob      string `json:"blob_hex"`
	BlobBytes int    `json:"blob_len"`
	Wire      string `json:"wire_encryptedKey_b64"`
	WireNonce string `json:"wire_nonce_b64"`
	OpensTo   string `json:"opens_to_hex"`
}

func testTopicKeySeal(t *testing.T, section jsontext.Value) {
	eachVector(t, section, func(t *testing.T, c vector[topicInputs, topicExpected]) {
		topic := must(SymmetricKeyOf(unhex(t, c.Inputs.TopicKey)))(t)
		sender, recipient := must(ParseSecretKey(c.Inputs.SenderSecret))(t), must(ParseSecretKey(c.Inputs.RecipientSecret))(t)
		s := must(sealTopicKey(topic, sender, publicKey(t, c.Inputs.RecipientKey), Nonce(unhex(t, c.Inputs.Nonce))))(t)
		if want := (Sealed{c.Expected.WireNonce, c.Expected.Wire}); s != want {
			t.Errorf("sealed: got %v, want %v", s, want)
		}
		blob := must(ParseBase64(s.Ciphertext))(t)
		if hex.EncodeToString(blob) != c.Expected.Blob || len(blob) != c.Expected.BlobBytes {
			t.Errorf("blob: got %x, want %s", blob, c.Expected.Blob)
		}
		if got := must(OpenTopicKey(recipient, s))(t).Bytes(); hex.EncodeToString(got) != c.Expected.OpensTo {
			t.Errorf("opened: got %x, want %s", got, c.Expected.OpensTo)
		}
	})
}

func TestTopicKeyRoundTrip(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	topic := NewSymmetricKey()
	s := must(SealTopicKey(topic, keys["alice_member"], keys["bob_member"].Public()))(t)
	if got := must(OpenTopicKey(keys["bob_member"], s))(t); !bytes.Equal(got.Bytes(), topic.Bytes()) {
		t.Error("the opened key is another")
	}
	blob := must(ParseBase64(s.Ciphertext))(t)
	low := append(unhex(t, lowOrder[0]), blob[32:]...)
	for name, c := range map[string]struct {
		own SecretKey
		s   Sealed
	}{
		"other recipient": {keys["owner"], s},
		"no key":          {SecretKey{}, s},
		"47 bytes":        {keys["bob_member"], Sealed{s.Nonce, Base64(blob[:47])}},
		"79 bytes":        {keys["bob_member"], Sealed{s.Nonce, Base64(blob[:79])}},
		"low-order key":   {keys["bob_member"], Sealed{s.Nonce, Base64(low)}},
		"no nonce":        {keys["bob_member"], Sealed{"", s.Ciphertext}},
	} {
		if got, err := OpenTopicKey(c.own, c.s); !errors.Is(err, ErrOpen) || !got.IsZero() {
			t.Errorf("%s: got %v and %v, want %v", name, got, err, ErrOpen)
		}
	}
}

// A blob of another length is no topic key even when its box opens.
func TestOpenTopicKeyWantsAKey(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	sender, n := keys["alice_member"].Exchange(), NewNonce()
	shared := must(sender.shared(keys["bob_member"].Exchange().Public()))(t)
	for _, size := range []int{0, 31, 33} {
		public := sender.Public()
		blob := append(public[:], shared.seal(make([]byte, size), n)...)
		if _, err := OpenTopicKey(keys["bob_member"], Sealed{n.String(), Base64(blob)}); err != ErrOpen {
			t.Errorf("key of %d bytes: got %v, want %v", size, err, ErrOpen)
		}
	}
}

func TestSealTopicKeyRefuses(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	own, peer, topic := keys["owner"], keys["bob_member"].Public(), NewSymmetricKey()
	for name, c := range map[string]struct {
		topic SymmetricKey
		own   SecretKey
		peer  PublicKey
		want  error
	}{
		"no topic key": {SymmetricKey{}, own, peer, ErrMalformed},
		"no own key":   {topic, SecretKey{}, peer, ErrMalformed},
		"weak peer":    {topic, own, PublicKey{0: 1}, ErrWeakKey},
	} {
		if _, err := SealTopicKey(c.topic, c.own, c.peer); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}
