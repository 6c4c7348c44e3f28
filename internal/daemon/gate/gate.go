// Package gate decides whether a message may reach a session now (design E2, E3). It is asked before every way into a
// session: host, event stream, inbox, answers of tools.
package gate

import (
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Session is what counts about the session that a message is for.
type Session struct {
	Rules host.Rules
	Wakes Limits // how often others may wake it
}

// Message is what counts about a message.
type Message struct {
	// Opened is set for a box that opened under the sender's key. Plaintext, and what did not open, is the relay's word.
	Opened bool
	// Known is set when the sender's key is that of a member of the mesh, in a roster now or at some time, who never proved
	// more than this message does.
	Known bool
	// Verified is set when the message carries its sender's own proof, which ends in a pinned key (design C8).
	Verified bool
	// Unattended is set when that key is one that the human trusts with sessions that act alone.
	Unattended bool
	// Accepted is set when the session was started with the sender among those who may reach it while it acts alone.
	Accepted bool
	// Own is the mode of the sender's session where it is a session of this daemon that lives; empty otherwise.
	Own host.Mode
	// Self is set for what the user itself wrote, outside of all sessions, on this machine.
	Self bool
	// Paused is set while the human has stopped what comes from the sender, or in its mesh.
	Paused bool
	// Muted is set while the human wants nothing of the sender, or of what comes to its group, by itself.
	Muted bool
	// Released is set when the human has seen this one message and let it through.
	Released bool
	// Talk gives what the sender and the session have said to each other lately. It is asked last, and only on the way Push;
	// nil: nothing.
	Talk func() Talk
}

// proven reports whether the sender is who the message says.
func (m Message) proven() bool { return m.Verified || m.Opened && (m.Known || m.Own != "") }

// equal reports whether the sender may do as much as a session that acts alone, or was trusted with such.
func (m Message) equal(r host.Rules) bool {
	return m.proven() && m.Own != "" && (m.Accepted || m.Own.AtLeast(r.Mode)) || m.Verified && (m.Unattended || m.Accepted)
}

// Way is how a message would reach the session.
type Way int

// The ways. The zero Way is the stricter one.
const (
	Push Way = iota // by itself: the host's inbox, a channel, the context of a hook, beside the answer of a tool
	Pull            // because the session asked for its messages
)

// Verdict is what may be shown.
type Verdict int

// The verdicts. The zero Verdict shows nothing.
const (
	Hold       Verdict = iota // nothing; a human sees it outside the session
	Wait                      // nothing now: it stays unread in the session's inbox, where the session may look
	HeaderOnly                // who wrote and when, not what
	Show
)

// Reason says why something is not shown.
type Reason string

// The reasons. None goes with Show.
const (
	None        Reason = ""
	Unattended  Reason = "unattended"   // the session acts without asking, and the sender is not its equal here
	HostHolds   Reason = "host_holds"   // crossSessionInbound is hold
	HostRefuses Reason = "host_refuses" // crossSessionInbound is refuse
	Paused      Reason = "paused"       // the human stopped the sender, or the mesh
	Muted       Reason = "muted"        // the human wants none of the sender's, or of the group's, by itself
	Unproved    Reason = "unproved"     // the sender is claimed by the relay
	Loop        Reason = "loop"         // the two have gone on for long without a human
)

// Decide says whether m may reach a session now. It is the one place where that is decided, for every way in.
//
// What the host itself does with foreign messages comes first (design E2); accepting them does not open the gate, because
// the host means sessions of this machine by it. Then what the human stopped, or muted: of what is muted a session is told
// nothing. Then a session that acts without its human is shown only what a session of the same user on this machine wrote that
// may do as much by itself, what a human let through to such sessions, and single messages that a human has read and let
// through (design E3): everything else is held. At last, what would go on by itself for too long waits until a human speaks or
// time has passed.
func Decide(to Session, m Message, way Way) (Verdict, Reason) {
	switch {
	case to.Rules.Inbound == host.Refuse:
		return Hold, HostRefuses
	case to.Rules.Inbound == host.Held:
		return Hold, HostHolds
	case m.Paused:
		return Hold, Paused
	case m.Released:
		return Show, None
	case way == Push && m.Muted:
		return Wait, Muted
	case to.Rules.Mode.Unattended() && !m.equal(to.Rules):
		return Hold, Unattended
	case way == Push && m.Talk != nil && !m.Self && to.Wakes != (Limits{}) && m.Talk().over(to.Wakes):
		return Wait, Loop
	case !m.proven():
		return HeaderOnly, Unproved
	}
	return Show, None
}

// Send says whether a session with these rules may send now. human_only: its host asks its human before anything leaves
// the machine (isolatePeerMachines), and the target is not a session of this machine.
func Send(r host.Rules, local bool) error {
	if r.IsolateMachines && !local {
		return mesh.Errorf(mesh.HumanOnly, "isolatePeerMachines is set for this session: nothing leaves the machine without its human")
	}
	return nil
}
