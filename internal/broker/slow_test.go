package broker

import (
	"fmt"
	"strings"
	"testing"
)

// A client that asks and does not read is cut with a code that says so; others do not notice.
func TestSlowConsumerIsCut(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	slow := s.upgradeRaw(t)
	hello := m.hello(bob, nil)
	write := func(frame []byte) error {
		_, err := slow.Write(append(clientFrame(0x81, uint64(len(frame)), 0), frame...))
		return err
	}
	if err := write(hello); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 30_000) // comes back with each answer
	for i := range 4 * maxWaitingBytes / len(long) {
		if err := write([]byte(fmt.Sprintf(`{"type":"list_peers","_reqId":"%d%s"}`, i, long))); err != nil {
			break // it was cut already
		}
	}
	other := m.enter(t, m.first, nil)
	other.send(t, []byte(`{"type":"list_peers","_reqId":"1"}`))
	if got := other.next(t); !strings.Contains(got, "peers_list") {
		t.Errorf("got %.100s", got)
	}
	if code := slow.closeCode(t); code != 4100 {
		t.Errorf("closed with %d, want 4100", code)
	}
}
