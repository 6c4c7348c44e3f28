//go:build unix

package e2e

import (
	"net"
	"testing"
)

// Who starts the broker in the moment in which it ends gets a new one, not the old one's silence.
func TestUpWhileTheBrokerEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.home("anna")
	anna.must("up")
	for range 5 {
		old := anna.broker().pid()
		anna.broker().signal(sigTerm)
		anna.eventually("the broker takes nobody any more", func() bool {
			conn, err := net.Dial("tcp", w.listen)
			if err == nil {
				_ = conn.Close() // it was only a question
			}
			return err != nil
		})
		anna.must("up")
		if pid := anna.broker().pid(); pid == 0 || pid == old {
			t.Errorf("process %d runs behind %d", pid, old)
		}
	}
}
