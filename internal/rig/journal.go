package rig

import (
	"context"
	"fmt"
	"sync"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Outcome is what a sender knows of a message.
type Outcome int

// The outcomes.
const (
	Unknown  Outcome = iota // no answer, or one that says nothing: it may arrive, once
	Accepted                // it arrives, once
	Refused                 // it never arrives
)

// Journal is what senders know of their messages, to be held against the inboxes at the end. It may be used from any
// goroutine; one at a time sends from one home to another.
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

// NewJournal returns an empty journal.
func NewJournal() *Journal { return &Journal{} }

// Send sends the next message from one home to another, as the user, and returns what is known of it.
func (j *Journal) Send(ctx context.Context, from, to *Home) Outcome {
	j.mu.Lock()
	e := &entry{from: from, to: to, text: fmt.Sprintf("%s-%s-%d", from.Name, to.Name, len(j.entries))}
	j.entries = append(j.entries, e)
	j.mu.Unlock()
	return j.try(ctx, e)
}

// Repeat sends the last message from one home to another again, under its id.
func (j *Journal) Repeat(ctx context.Context, from, to *Home) Outcome {
	all := j.list()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].from == from && all[i].to == to {
			return j.try(ctx, all[i])
		}
	}
	return Unknown
}

// RepeatUnknown sends again, under their ids and in their order, the messages of a home of which nothing is known.
func (j *Journal) RepeatUnknown(ctx context.Context, from *Home) {
	for _, e := range j.list() {
		if e.from == from && j.outcome(e) == Unknown {
			j.try(ctx, e)
		}
	}
}

func (j *Journal) list() []*entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]*entry(nil), j.entries...)
}

func (j *Journal) outcome(e *entry) Outcome {
	j.mu.Lock()
	defer j.mu.Unlock()
	return e.outcome
}

func (j *Journal) try(ctx context.Context, e *entry) Outcome {
	_, err := localapi.Send.Do(ctx, e.from, localapi.SendRequest{To: e.to.Name, Message: e.text, ClientMessageID: e.text})
	outcome := Refused
	switch code := mesh.CodeOf(err); {
	case err == nil:
		outcome = Accepted
	case code == mesh.DaemonDown, code == mesh.Cancelled, code == mesh.Timeout, code == mesh.Internal, code == mesh.StoreFailed:
		outcome = Unknown
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	e.outcome = outcome
	return outcome
}

// Check holds the journal against the inboxes of all who were sent to: what was accepted is there once, what was refused
// is not, what is unknown is there at most once, each recipient has what one sender sent in its order, and nothing else.
func (j *Journal) Check(r *Rig, readers ...*Home) {
	r.T.Helper()
	for _, to := range readers {
		came := map[string]int{}   // by text
		place := map[string]int{}  // in the inbox
		last := map[*Home]*entry{} // by sender
		for i, text := range r.Texts(to) {
			came[text]++
			place[text] = i
		}
		for _, e := range j.list() {
			if e.to != to {
				continue
			}
			n := came[e.text]
			delete(came, e.text)
			switch {
			case e.outcome == Accepted && n != 1, e.outcome == Refused && n != 0, n > 1:
				r.T.Errorf("%s (%s) is in the inbox of %s %d times", e.text, e.outcome, to.Name, n)
			case n == 1 && last[e.from] != nil && place[last[e.from].text] > place[e.text]:
				r.T.Errorf("%s is in the inbox of %s before %s", e.text, to.Name, last[e.from].text)
			}
			if n > 0 {
				last[e.from] = e
			}
		}
		for text, n := range came {
			r.T.Errorf("%q is in the inbox of %s %d times and nobody sent it", text, to.Name, n)
		}
	}
}

// String is for reports.
func (o Outcome) String() string { return [...]string{"unknown", "accepted", "refused"}[o] }
