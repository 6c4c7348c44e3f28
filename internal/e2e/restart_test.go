//go:build unix

package e2e

import "testing"

// Who starts the broker in the moment in which it ends gets a new one, not the old one's silence.
func TestUpWhileTheBrokerEnds(t *testing.T) {
	t.Parallel()
	anna := newWorld(t).home("anna")
	anna.must("up")
	for range 5 {
		old := anna.broker().pid()
		anna.broker().signal(sigTerm)
		anna.must("up")
		if pid := anna.broker().pid(); pid == 0 || pid == old {
			t.Errorf("process %d runs behind %d", pid, old)
		}
	}
}
