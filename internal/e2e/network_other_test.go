//go:build unix && !linux

package e2e

import "testing"

// aside reports that a test has to be done here: only Linux gives a process a network of its own.
func aside(*testing.T, ...string) bool { return false }

// inside reports that this process shares the network of the system.
func inside() bool { return false }

func networkFaults() []fault { return nil }

func turnNetwork(t testing.TB, up bool) {
	t.Fatalf("turn the network (up: %t): it is not this process's own", up)
}
