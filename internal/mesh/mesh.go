// Package mesh holds the words of the product: ids, keys, targets, priorities,
// delivery states, names and the one error table. Everything else speaks in them.
package mesh

import "time"

// Clock tells the time. Packages are given one so that tests can turn it.
type Clock func() time.Time

// Priority says how urgently a message wants its reader (wire 5).
type Priority string

// The three priorities. Now is shown even to a busy peer, Next when it pauses, Low when it idles.
const (
	Now  Priority = "now"
	Next Priority = "next"
	Low  Priority = "low"
)

// ParsePriority reads a priority; empty means Next. Any other text is bad_request.
func ParsePriority(s string) (Priority, error) {
	switch p := Priority(s); p {
	case "":
		return Next, nil
	case Now, Next, Low:
		return p, nil
	}
	return "", Errorf(BadRequest, "priority %q is not now, next or low", s)
}

// Status is what a peer is doing (wire 7).
type Status string

// The three statuses.
const (
	Idle    Status = "idle"
	Working Status = "working"
	DND     Status = "dnd"
)

// Admits reports whether a peer in status s is pushed a message of priority p (wire 5).
func (s Status) Admits(p Priority) bool { return s == Idle || s == "" || p == Now }

// PeerRole says what stands behind a connection (design B4). It is not the user's own role text.
type PeerRole string

// The peer roles. A control-plane connection is a daemon; it is never a target of a name.
const (
	ControlPlane PeerRole = "control-plane"
	SessionRole  PeerRole = "session"
	ServiceRole  PeerRole = "service"
)

// State is how far one copy of a message has come, as far as evidence goes (design D5).
type State string

// The delivery states in their order, then the two ends without delivery.
const (
	StateQueued       State = "queued"       // on the sender's disk
	StateAccepted     State = "accepted"     // on the broker's disk
	StateDelivered    State = "delivered"    // in the recipient's inbox, on disk
	StateSurfaced     State = "surfaced"     // proved to have been shown by the host
	StateAcknowledged State = "acknowledged" // answered or acked by its reader
	StateExpired      State = "expired"
	StateRejected     State = "rejected"
)

// rank orders the states; the two failures end every wait.
var rank = map[State]int{
	StateQueued: 1, StateAccepted: 2, StateDelivered: 3, StateSurfaced: 4, StateAcknowledged: 5,
	StateExpired: 9, StateRejected: 9,
}

// Reached reports whether s is at least want. A failed state reaches nothing but itself.
func (s State) Reached(want State) bool {
	if s.Failed() || want.Failed() {
		return s == want
	}
	return rank[s] >= rank[want]
}

// Failed reports whether s is an end without delivery.
func (s State) Failed() bool { return s == StateExpired || s == StateRejected }

// Known reports whether s is one of the states above.
func (s State) Known() bool { return rank[s] != 0 }

// Compare orders states as they follow each other.
func (s State) Compare(other State) int { return rank[s] - rank[other] }

// Later returns the state that has come further; a failure is final.
func (s State) Later(other State) State {
	if rank[other] > rank[s] {
		return other
	}
	return s
}

// TimeFormat is how times are written at every border: ISO-8601 UTC with milliseconds (wire 1).
const TimeFormat = "2006-01-02T15:04:05.000Z"

// FormatTime writes t for a border; the zero time is empty.
func FormatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(TimeFormat)
}
