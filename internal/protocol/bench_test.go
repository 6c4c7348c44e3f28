package protocol

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// typicalSend is a direct message of 760 characters.
func typicalSend() SendRequest {
	const id = "8d7c3a1e-1111-4222-8333-123456789abc"
	return SendRequest{
		ID: id, ClientMessageID: id, TargetSpec: strings.Repeat("ab", 32), Priority: mesh.Next, RequestFingerprint: strings.Repeat("cd", 32),
		Nonce:      base64.StdEncoding.EncodeToString(make([]byte, 24)),
		Ciphertext: base64.StdEncoding.EncodeToString([]byte(strings.Repeat("0123456789", 76))),
	}
}

// BenchmarkSend is what the codec costs a broker for one message: frame to handler, and ack to frame.
func BenchmarkSend(b *testing.B) {
	frame, err := Send.Encode("", typicalSend())
	if err != nil {
		b.Fatal(err)
	}
	m := wire.NewMux[int]()
	wire.HandleAsync(m, Send, func(_ context.Context, _ int, req SendRequest, answer wire.Answer[Ack]) {
		answer(Ack{ID: req.ID, MessageID: "abcdefghijklmnopqrstuvwxyzABCDEF", Queued: true, Recipients: 1}, nil)
	})
	c := wire.Caller{Send: func([]byte) {}}
	newer := append(frame[:len(frame)-1:len(frame)-1], `,"later":1}`...)
	late := append(append([]byte(`{`), frame[len(`{"type":"send",`):len(frame)-1]...), `,"type":"send"}`...)
	for name, frame := range map[string][]byte{"type first": frame, "type last": late, "unknown name": newer} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Dispatch(b.Context(), 0, c, frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("head", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := wire.ReadHead(frame); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPush is what the codec costs a broker to write one message.
func BenchmarkPush(b *testing.B) {
	send := typicalSend()
	push := PushedMessage{
		MessageID: "abcdefghijklmnopqrstuvwxyzABCDEF", SenderPubkey: mesh.Key(send.TargetSpec), TargetSpec: send.TargetSpec, TargetKind: KindSession,
		Priority: send.Priority, Nonce: send.Nonce, Ciphertext: send.Ciphertext, ClientMessageID: send.ClientMessageID,
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Push.Encode(push); err != nil {
			b.Fatal(err)
		}
	}
}
