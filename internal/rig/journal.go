package rig

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Outcome is what a sender knows of a message.
type Outcome string

// The outcomes.
const (
	Unknown  Outcome = "unknown"  // no answer, or one that says nothing: it may arrive, once
	Accepted Outcome = "accepted" // it arrives, once
	Refused  Outcome = "refused"  // it never arrives
)

// OutcomeOf is what a sender knows of its message by the answer of the daemon.
func OutcomeOf(err error) Outcome {
	switch code := mesh.CodeOf(err); {
	case err == nil:
		return Accepted
	case slices.Contains([]mesh.Code{mesh.DaemonDown, mesh.Cancelled, mesh.Timeout, mesh.Internal, mesh.StoreFailed}, code):
		return Unknown
	}
	return Refused
}

// Journal is what senders know of their messages, to be held against the inboxes at the end. Its zero value is empty. It
// may be used from any goroutine; one at a time sends from one home to another.
type Journal struct {
	mu      sync.Mutex
	entries []*entry
}

// entry is one message.
type entry struct {
	from, to *Home
	text     string // also its id
	outcome  Outcome
}

// Send sends the next message from one home to another, as the user, and returns what is known of it.
func (j *Journal) Send(ctx context.Context, from, to *Home) Outcome {
	j.mu.Lock()
	e := &entry{from, to, fmt.Sprintf("%s-%s-%d", from.Name, to.Name, len(j.entries)), Unknown}
	j.entries = append(j.entries, e)
	j.mu.Unlock()
	return j.try(ctx, e)
}

// Repeat sends the last message from one home to another again, under its id, and returns what is known of it.
func (j *Journal) Repeat(ctx context.Context, from, to *Home) Outcome {
	all := slices.DeleteFunc(j.list(to), func(e entry) bool { return e.from != from })
	return j.try(ctx, &all[len(all)-1])
}

// RepeatAll sends every message from one home to another again, in their order and under their ids, and reports whether
// all are accepted.
func (j *Journal) RepeatAll(ctx context.Context, from, to *Home) bool {
	accepted := true
	for _, e := range j.list(to) {
		if e.from == from {
			accepted = j.try(ctx, &e) == Accepted && accepted
		}
	}
	return accepted
}

// list gives what was sent to a home, as it stands.
func (j *Journal) list(to *Home) (all []entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.entries {
		if e.to == to {
			all = append(all, *e)
		}
	}
	return all
}

// try sends a message and notes what came of it.
func (j *Journal) try(ctx context.Context, e *entry) Outcome {
	_, err := localapi.Send.Do(ctx, e.from, localapi.SendRequest{To: e.to.Name, Message: e.text, ClientMessageID: e.text})
	outcome := OutcomeOf(err)
	j.mu.Lock()
	defer j.mu.Unlock()
	i := slices.IndexFunc(j.entries, func(o *entry) bool { return o.text == e.text })
	j.entries[i].outcome = outcome
	return outcome
}

// Tally counts what became of the messages of a journal: the line of a fault in a report.
type Tally struct {
	Sent        int
	OK          int // accepted
	Refused     int
	Unknown     int
	Lost        int // accepted, and not there
	Doubled     int
	Misordered  int      // there before an earlier one of its sender
	Misreported int      // refused, and there; or there, and nobody sent it
	Faults      []string // a line for each that is not as it should be
}

// String is the counts as a line of words and numbers.
func (t Tally) String() string {
	return fmt.Sprintf("sent %d ok %d refused %d unknown %d lost %d doubled %d misordered %d misreported %d",
		t.Sent, t.OK, t.Refused, t.Unknown, t.Lost, t.Doubled, t.Misordered, t.Misreported)
}

// Count adds a message of which so much is known to what was sent.
func (t *Tally) Count(o Outcome) {
	t.Sent++
	switch o {
	case Accepted:
		t.OK++
	case Refused:
		t.Refused++
	case Unknown:
		t.Unknown++
	}
}

// fault counts one and describes it.
func (t *Tally) fault(count *int, format string, args ...any) {
	*count++
	t.Faults = append(t.Faults, fmt.Sprintf(format, args...))
}

// Check holds the journal against the inboxes of homes: what was accepted is there once, what was refused is not, what is
// unknown is there at most once, what one sender sent stands in its order, and there is nothing else.
func (j *Journal) Check(r *Rig, homes ...*Home) Tally {
	r.T.Helper()
	t := j.Tally(r, homes...)
	for _, fault := range t.Faults {
		r.T.Error(fault)
	}
	return t
}

// Tally is Check for those who expect faults.
func (j *Journal) Tally(r *Rig, homes ...*Home) (t Tally) {
	r.T.Helper()
	for _, to := range homes {
		came, last := r.Texts(to), map[*Home]int{}
		for _, e := range j.list(to) {
			at, n := slices.Index(came, e.text), 0
			for i, text := range came {
				if text == e.text {
					came[i] = ""
					n++
				}
			}
			t.weigh(e, n)
			if n > 0 && at < last[e.from] {
				t.fault(&t.Misordered, "%s is in the inbox of %s before an earlier message", e.text, to.Name)
			}
			last[e.from] = max(at, last[e.from])
		}
		for _, text := range came {
			if text != "" {
				t.fault(&t.Misreported, "%q is in the inbox of %s and nobody sent it", text, to.Name)
			}
		}
	}
	return t
}

// weigh counts a message that is in an inbox n times.
func (t *Tally) weigh(e entry, n int) {
	t.Count(e.outcome)
	switch {
	case n > 1:
		t.fault(&t.Doubled, "%s (%s) is in the inbox of %s %d times", e.text, e.outcome, e.to.Name, n)
	case n == 0 && e.outcome == Accepted:
		t.fault(&t.Lost, "%s (%s) is not in the inbox of %s", e.text, e.outcome, e.to.Name)
	case n == 1 && e.outcome == Refused:
		t.fault(&t.Misreported, "%s (%s) is in the inbox of %s", e.text, e.outcome, e.to.Name)
	}
}
