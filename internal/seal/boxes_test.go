package seal

import (
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

type orderInputs struct {
	Push struct {
		Sender     string `json:"senderPubkey"`
		Nonce      string `json:"nonce"`
		Ciphertext string `json:"ciphertext"`
	} `json:"push"`
	Session string `json:"receiver_session_secret_hex"`
	Member  string `json:"receiver_member_secret_hex"`
}

type orderExpected struct {
	SessionOpens bool    `json:"session_key_opens"`
	MemberOpens  bool    `json:"member_key_opens"`
	Winner       string  `json:"winner"`
	Plaintext    *string `json:"plaintext_utf8"`
	Body         *string `json:"body"`
}

func testDecryptOrder(t *testing.T, section jsontext.Value) {
	eachVector(t, section, func(t *testing.T, c vector[orderInputs, orderExpected]) {
		session, member := must(ParseSecretKey(c.Inputs.Session))(t), must(ParseSecretKey(c.Inputs.Member))(t)
		sender, sealed := publicKey(t, c.Inputs.Push.Sender), Sealed{c.Inputs.Push.Nonce, c.Inputs.Push.Ciphertext}
		boxes := NewBoxes(8)
		_, sessionErr := boxes.Open(session, sender, sealed)
		_, memberErr := boxes.Open(member, sender, sealed)
		if (sessionErr == nil) != c.Expected.SessionOpens || (memberErr == nil) != c.Expected.MemberOpens {
			t.Errorf("keys alone: got %v and %v, want open %v and %v", sessionErr, memberErr, c.Expected.SessionOpens, c.Expected.MemberOpens)
		}
		in := Inbound{Sealed: sealed, Senders: []PublicKey{sender}, Secrets: []SecretKey{session, member}, Direct: c.Expected.Winner != "base64"}
		opened, err := boxes.OpenInbound(in)
		if got := winner(opened, err, session, member); got != c.Expected.Winner {
			t.Errorf("winner: got %s, want %s", got, c.Expected.Winner)
		}
		if c.Expected.Plaintext != nil && string(opened.Plaintext) != *c.Expected.Plaintext {
			t.Errorf("plaintext: got %q, want %q", opened.Plaintext, *c.Expected.Plaintext)
		}
		if c.Expected.Plaintext == nil && opened.Plaintext != nil {
			t.Errorf("plaintext: got %q, want none", opened.Plaintext)
		}
	})
}

func winner(opened Opened, err error, session, member SecretKey) string {
	switch {
	case err != nil:
		return "none"
	case !opened.Boxed:
		return "base64"
	case opened.Recipient == session.Public():
		return "session"
	case opened.Recipient == member.Public():
		return "member"
	}
	return "stranger"
}

func TestOpenInboundTriesEveryPair(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	boxes := NewBoxes(8)
	sealed := must(boxes.Seal(keys["alice_member"], keys["bob_member"].Public(), []byte("hola")))(t)
	opened := must(boxes.OpenInbound(Inbound{
		Sealed:  sealed,
		Senders: []PublicKey{{}, keys["alice_session"].Public(), keys["alice_member"].Public()},
		Secrets: []SecretKey{{}, keys["bob_session"], keys["bob_member"]},
		Direct:  true,
	}))(t)
	if !opened.Boxed || opened.Sender != keys["alice_member"].Public() || opened.Recipient != keys["bob_member"].Public() {
		t.Errorf("opened by %s for %s, want the member keys of both", opened.Sender, opened.Recipient)
	}
}

func TestOpenInboundNeverGuessesText(t *testing.T) {
	t.Parallel()
	keys := testKeys(t)
	text := Base64([]byte("not a box"))
	for name, in := range map[string]Inbound{
		"direct text":           {Sealed: Sealed{NewNonce().String(), text}, Direct: true},
		"direct without nonce":  {Sealed: Sealed{"", text}, Direct: true},
		"no UTF-8":              {Sealed: Sealed{"", Base64([]byte{0xff, 0xfe})}},
		"no base64":             {Sealed: Sealed{"", "not a box"}},
		"base64 without pad":    {Sealed: Sealed{"", "QUI"}},
		"base64 with a newline": {Sealed: Sealed{"", "QUI=\n"}},
	} {
		in.Senders, in.Secrets = []PublicKey{keys["alice_member"].Public()}, []SecretKey{keys["bob_member"]}
		if opened, err := NewBoxes(8).OpenInbound(in); err != ErrOpen || opened.Plaintext != nil {
			t.Errorf("%s: got %q and %v, want %v", name, opened.Plaintext, err, ErrOpen)
		}
	}
	opened := must(NewBoxes(8).OpenInbound(Inbound{Sealed: Sealed{"", text}}))(t)
	if string(opened.Plaintext) != "not a box" || opened.Boxed || !opened.Sender.IsZero() || !opened.Recipient.IsZero() {
		t.Errorf("text to a group: got %+v, want it unboxed and without keys", opened)
	}
}

func TestBoxesForgetTheLeastUsedPair(t *testing.T) {
	t.Parallel()
	own := testKeys(t)["owner"]
	boxes := NewBoxes(2)
	peers := []PublicKey{NewSecretKey().Public(), NewSecretKey().Public(), NewSecretKey().Public()}
	for _, i := range []int{0, 1, 0, 2} {
		must(boxes.Seal(own, peers[i], nil))(t)
	}
	for i, want := range []bool{true, false, true} {
		if got := boxes.find(pair{own.Public(), peers[i]}) != nil; got != want {
			t.Errorf("peer %d is remembered: got %v, want %v", i, got, want)
		}
	}
	if len(boxes.pairs) != 2 || boxes.order.Len() != 2 {
		t.Errorf("size: got %d and %d, want 2", len(boxes.pairs), boxes.order.Len())
	}
}

// Two first messages at once both add the pair.
func TestBoxesKeepAPairOnce(t *testing.T) {
	t.Parallel()
	boxes := NewBoxes(2)
	id := pair{peer: testKeys(t)["owner"].Public()}
	boxes.add(id, new(sharedKey))
	boxes.add(id, new(sharedKey))
	if len(boxes.pairs) != 1 || boxes.order.Len() != 1 {
		t.Errorf("size: got %d and %d, want 1", len(boxes.pairs), boxes.order.Len())
	}
}

func TestBoxesRememberNoBadKey(t *testing.T) {
	t.Parallel()
	boxes := NewBoxes(0)
	if _, err := boxes.Seal(testKeys(t)["owner"], PublicKey{0: 1}, nil); !errors.Is(err, ErrWeakKey) {
		t.Errorf("seal to a weak key: got %v, want %v", err, ErrWeakKey)
	}
	if len(boxes.pairs) != 0 {
		t.Errorf("size: got %d, want 0", len(boxes.pairs))
	}
}

func TestBoxesInManyGoroutines(t *testing.T) {
	t.Parallel()
	own := testKeys(t)["owner"]
	boxes := NewBoxes(3)
	peers := make([]SecretKey, 6)
	for i := range peers {
		peers[i] = NewSecretKey()
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				peer, want := peers[(g+i)%len(peers)], strconv.Itoa(i)
				s, err := boxes.Seal(own, peer.Public(), []byte(want))
				if err != nil {
					t.Errorf("seal: got %v, want none", err)
					return
				}
				got, err := boxes.Open(peer, own.Public(), s)
				if err != nil || string(got) != want {
					t.Errorf("open: got %q and %v, want %s", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
	if len(boxes.pairs) != 3 || boxes.order.Len() != 3 {
		t.Errorf("size: got %d and %d, want 3", len(boxes.pairs), boxes.order.Len())
	}
}
