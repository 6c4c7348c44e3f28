package broker

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/claudemesh/claudemesh/internal/protocol"
)

// A client that asks and does not read is cut with a code that says so; others do not notice.
func TestSlowConsumerIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSite(t, nil)
		m := s.found(t)
		bob := m.join(t, m.invite(t, 1), "bob")
		slow := s.upgradeRaw(t)
		write := func(frame []byte) {
			t.Helper()
			if _, err := slow.Write(append(clientFrame(0x81, uint64(len(frame)), 0), frame...)); err != nil {
				t.Fatal(err)
			}
		}
		write(m.hello(bob, nil))
		long := strings.Repeat("x", 60_000) // comes back with each answer
		for i := range maxWaitingBytes/len(long) + 3 {
			write([]byte(fmt.Sprintf(`{"type":"list_peers","_reqId":"%d%s"}`, i, long)))
		}
		synctest.Wait()
		other := m.enter(t, m.first, func(r *protocol.HelloRequest) { r.Timestamp++ })
		other.send(t, []byte(`{"type":"list_peers","_reqId":"1"}`))
		if got := other.next(t); !strings.Contains(got, "peers_list") {
			t.Errorf("got %.100s", got)
		}
		if code := slow.closeCode(t); code != 4100 {
			t.Errorf("closed with %d, want 4100", code)
		}
	})
}
