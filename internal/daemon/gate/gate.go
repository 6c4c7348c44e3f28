// Package gate decides whether a message may reach a session now (design E2, E3). It is asked before every way into a
// session: host, event stream, inbox, answers of tools.
package gate

import (
	"time"

	"github.com/claudemesh/claudemesh/internal/host"
)

// Message is what counts about a message.
type Message struct {
	// Opened is set for a box that opened under the sender's key; plaintext and what did not open are the relay's word.
	Opened bool
	// Known is set when the sender's key is that of a member of the mesh, in a roster now or at some time.
	Known bool
	// Own is the mode of the sender's session where it is a session of this daemon that lives; empty otherwise.
	Own host.Mode
}

// Verdict is what may be shown.
type Verdict int

// The verdicts. The zero Verdict shows nothing.
const (
	Hold       Verdict = iota // nothing; a human sees it outside the session
	HeaderOnly                // who wrote and when, not what
	Show
)

// Reason says why something is not shown.
type Reason string

// The reasons. None goes with Show.
const (
	None       Reason = ""
	Unattended Reason = "unattended" // the session acts without asking, and the sender is not one of its equals here
	HostHolds  Reason = "host_holds" // crossSessionInbound is hold
	HostRefuse Reason = "host_refuses"
	Unproved   Reason = "unproved" // the sender is claimed by the relay
)

// Decide says whether m may reach a session with these rules.
func Decide(r host.Rules, m Message) (Verdict, Reason) { panic("gate: in the making") }

// HeldText is what a session is told of held messages. It is always the same: nothing a sender wrote is in it.
const HeldText = "A message for this session is held for its human, because this session acts without asking. " +
	"It needs no action here. The human can read it with: claudemesh inbox"

// NoticeEvery is how often a session is told at most.
const NoticeEvery = 10 * time.Minute

// Limiter lets each session be told once in NoticeEvery. The zero Limiter is ready; it may be shared.
type Limiter struct{}

// Allow reports whether a session may be told of a message that was held for a reason, and takes note that it was.
// A host that refuses messages is never told.
func (l *Limiter) Allow(sessionID string, r Reason, now time.Time) bool { panic("gate: in the making") }

// Send says whether a session with these rules may send now. human_only: its host asks its human before anything leaves
// the machine (isolatePeerMachines), and the target is not a session of this machine.
func Send(r host.Rules, local bool) error { panic("gate: in the making") }
