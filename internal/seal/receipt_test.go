package seal

import (
	"errors"
	"testing"
	"time"
)

// A receipt holds for what it says and nothing else.
func TestReceipt(t *testing.T) {
	t.Parallel()
	sender, reader, other := NewSecretKey(), NewSecretKey(), NewSecretKey()
	good := Receipt{
		MeshID: "m1", ClientID: "c1", Sender: sender.Public(), Reader: reader.Public(), State: "surfaced", At: time.UnixMilli(1_700_000_000_123),
	}
	sig, err := good.Sign(reader)
	if err != nil || good.Verify(sig) != nil {
		t.Fatalf("got %v, %v, want a signature that holds", err, good.Verify(sig))
	}
	if _, err := good.Sign(sender); !errors.Is(err, ErrMalformed) {
		t.Errorf("signed by the sender: got %v, want %v", err, ErrMalformed)
	}
	for name, edit := range map[string]func(*Receipt){
		"another mesh":    func(r *Receipt) { r.MeshID = "m2" },
		"another message": func(r *Receipt) { r.ClientID = "c2" },
		"another sender":  func(r *Receipt) { r.Sender = other.Public() },
		"reflected":       func(r *Receipt) { r.Sender, r.Reader = r.Reader, r.Sender },
		"another reader":  func(r *Receipt) { r.Reader = other.Public() },
		"another state":   func(r *Receipt) { r.State = "acknowledged" },
		"another time":    func(r *Receipt) { r.At = r.At.Add(time.Millisecond) },
		"moved border":    func(r *Receipt) { r.MeshID, r.ClientID = "m1c", "1" },
	} {
		changed := good
		edit(&changed)
		if err := changed.Verify(sig); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: got %v, want %v", name, err, ErrSignature)
		}
	}
}
