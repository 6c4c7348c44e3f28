// Package hub decides what goes to which connection: mailboxes, leases and their timing. It is a pure core:
// inputs in, effects out, without I/O, clock, goroutine or lock. Package queue owns it.
package hub
