package seal

import (
	"bytes"
	"strconv"
	"testing"
)

func BenchmarkSealKnownPeer(b *testing.B) {
	for _, size := range []int{64, 1024, 16384} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			own, peer, boxes := NewSecretKey(), NewSecretKey().Public(), NewBoxes(64)
			text := bytes.Repeat([]byte("x"), size)
			must(boxes.Seal(own, peer, text))(b)
			b.SetBytes(int64(size))
			for b.Loop() {
				must(boxes.Seal(own, peer, text))(b)
			}
		})
	}
}

func BenchmarkOpenKnownPeer(b *testing.B) {
	for _, size := range []int{64, 1024, 16384} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			own, peer, boxes := NewSecretKey(), NewSecretKey(), NewBoxes(64)
			s := must(boxes.Seal(peer, own.Public(), bytes.Repeat([]byte("x"), size)))(b)
			must(boxes.Open(own, peer.Public(), s))(b)
			b.SetBytes(int64(size))
			for b.Loop() {
				must(boxes.Open(own, peer.Public(), s))(b)
			}
		})
	}
}

func BenchmarkSealFirstContact(b *testing.B) {
	own, peer := NewSecretKey(), NewSecretKey().Public()
	text := bytes.Repeat([]byte("x"), 1024)
	for b.Loop() {
		must(NewBoxes(1).Seal(own, peer, text))(b)
	}
}

// The session key is tried first and fails; the member key opens.
func BenchmarkOpenInboundMemberKey(b *testing.B) {
	session, member, peer, boxes := NewSecretKey(), NewSecretKey(), NewSecretKey(), NewBoxes(64)
	in := Inbound{
		Sealed:  must(boxes.Seal(peer, member.Public(), bytes.Repeat([]byte("x"), 1024)))(b),
		Senders: []PublicKey{peer.Public()}, Secrets: []SecretKey{session, member}, Direct: true,
	}
	must(boxes.OpenInbound(in))(b)
	for b.Loop() {
		must(boxes.OpenInbound(in))(b)
	}
}

func BenchmarkSign(b *testing.B) {
	key := NewSecretKey()
	h := Hello{"msh_7Qv2Lk9aB1", "mbr_Zx81Kd0pQe", key.Public(), atMilli(1777900000000)}
	for b.Loop() {
		must(h.Sign(key))(b)
	}
}

func BenchmarkVerify(b *testing.B) {
	key := NewSecretKey()
	h := Hello{"msh_7Qv2Lk9aB1", "mbr_Zx81Kd0pQe", key.Public(), atMilli(1777900000000)}
	sig := must(h.Sign(key))(b)
	for b.Loop() {
		if err := h.Verify(sig, h.At); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParsePublicKey(b *testing.B) {
	text := NewSecretKey().Public().String()
	for b.Loop() {
		must(ParsePublicKey(text))(b)
	}
}

func BenchmarkDecodePublicKey(b *testing.B) {
	text := NewSecretKey().Public().String()
	for b.Loop() {
		must(DecodePublicKey(text))(b)
	}
}

func BenchmarkParseSecretKey(b *testing.B) {
	text := NewSecretKey().Reveal()
	for b.Loop() {
		must(ParseSecretKey(text))(b)
	}
}

func BenchmarkFingerprint(b *testing.B) {
	r := Request{To: ParseDestination("alice"), Meta: []byte(`{"z":1,"a":{"y":[3,1,2],"b":null}}`), Body: "hello"}
	for b.Loop() {
		must(r.Fingerprint())(b)
	}
}
