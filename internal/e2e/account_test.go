//go:build unix

package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig"
)

// account is what senders know of their messages under one fault, and what came of them. It may be used from any
// goroutine while messages are sent, and by one behind that.
type account struct {
	t     testing.TB
	fault string

	mu    sync.Mutex
	notes []*entry
	came  map[int64]localapi.InboxItem // rows of the recipient's inbox, by their order
	wrong map[string]bool              // what was told of messages and is not so
}

// entry is one message in the account.
type entry struct {
	stream  *stream
	id      string
	text    string
	reused  bool // its id is another one's
	number  int  // in the order in which its sender wrote
	outcome rig.Outcome
}

func newAccount(t testing.TB, fault string) *account {
	return &account{t: t, fault: fault, came: map[int64]localapi.InboxItem{}, wrong: map[string]bool{}}
}

// begin notes a message before it is sent: nothing is known of it.
func (a *account) begin(e *entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e.number, e.outcome = len(a.notes), rig.Unknown
	a.notes = append(a.notes, e)
}

// know notes what became of a message.
func (a *account) know(e *entry, outcome rig.Outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e.outcome = outcome
}

// accuse notes a false word about a message.
func (a *account) accuse(id, format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.wrong[id] {
		a.t.Errorf("%s: message %s %s", a.fault, id, fmt.Sprintf(format, args...))
	}
	a.wrong[id] = true
}

// list gives what was noted so far, as it stands.
func (a *account) list() (all []entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.notes {
		all = append(all, *e)
	}
	return all
}

// gather takes over the newest thousand rows of an inbox: more do not come in a round. False when it cannot be read now.
func (a *account) gather(h *home) bool {
	client := local.New(h.paths.Daemon.Socket(), time.Now)
	defer func() { _ = client.Close() }() // its answer has been read
	unread := false
	ctx, cancel := context.WithTimeout(context.Background(), verbTime)
	defer cancel()
	answer, err := localapi.Inbox.Do(ctx, client, localapi.InboxRequest{Limit: 1000, MarkSeen: &unread})
	if err != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, item := range answer.Items {
		a.came[item.Seq] = item
	}
	return true
}

// arrived counts how often each message is in the inbox, by its id.
func (a *account) arrived() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	times := map[string]int{}
	for _, item := range a.came {
		times[string(item.ClientMessageID)]++
	}
	return times
}

// missing counts what was accepted and is not in the inbox.
func (a *account) missing() (n int) {
	times := a.arrived()
	for _, e := range a.list() {
		if e.outcome == rig.Accepted && times[e.id] == 0 {
			n++
		}
	}
	return n
}

// told is what the senders' daemon says of a message: how far it came, and with false that it does not know it.
func told(h *home, id string) (state mesh.State, known bool, err error) {
	client := local.New(h.paths.Daemon.Socket(), time.Now)
	defer func() { _ = client.Close() }() // its answer has been read
	ctx, cancel := context.WithTimeout(context.Background(), verbTime)
	defer cancel()
	status, err := localapi.MessageStatus.Do(ctx, client, localapi.StatusRequest{ID: id})
	if mesh.IsCode(err, mesh.NotFound) {
		return "", false, nil
	}
	return status.State, err == nil, err
}

// arrivedBy reports whether a state says that the message is in the recipient's inbox.
func arrivedBy(s mesh.State) bool {
	return slices.Contains([]mesh.State{mesh.StateDelivered, mesh.StateSurfaced, mesh.StateAcknowledged}, s)
}

// probed is how many messages are asked for in the middle of everything.
const probed = 10

// probe asks, in the middle of everything, how far the newest messages are: what is said to be in the inbox is there.
func (a *account) probe(to *home) {
	all := a.list()
	var said []string
	for _, e := range all[max(0, len(all)-probed):] {
		if state, _, err := told(e.stream.from, e.id); err == nil && arrivedBy(state) {
			said = append(said, e.id)
		}
	}
	if !a.gather(to) {
		return // it is down
	}
	times := a.arrived()
	for _, id := range said {
		if times[id] == 0 {
			a.accuse(id, "is delivered, says the receipt, and is not in the inbox")
		}
	}
}

// check holds the account against the inbox: what is accepted is there once, unchanged, in the order of its sender; what
// is refused is not; what is unknown is there at most once; and what receipts say is so.
func (a *account) check() (y rig.Tally) {
	times := a.arrived()
	for _, e := range a.list() {
		n := times[e.id]
		y.Count(e.outcome)
		switch {
		case e.reused: // that nothing came of it is seen by the text of the one whose id it is
			continue
		case e.outcome == rig.Accepted && n == 0:
			y.Lost++
			a.t.Errorf("%s: message %s of %s was accepted and is not there", a.fault, e.id, e.stream.name)
		case e.outcome == rig.Refused && n > 0:
			a.accuse(e.id, "of %s was refused and is there", e.stream.name)
		}
		if n > 1 {
			y.Doubled++
			a.t.Errorf("%s: message %s of %s is there %d times", a.fault, e.id, e.stream.name, n)
		}
		a.checkReceipt(e, n)
	}
	y.Misordered = a.checkOrder()
	y.Misreported = len(a.wrong)
	return y
}

// checkReceipt compares what the sender is told, when everything is over, with the inbox.
func (a *account) checkReceipt(e entry, n int) {
	state, known, err := told(e.stream.from, e.id)
	switch {
	case err != nil:
		a.accuse(e.id, "of %s: its state cannot be read: %v", e.stream.name, err)
	case arrivedBy(state) != (n > 0):
		a.accuse(e.id, "of %s is %q (known: %t, %s), and %d times in the inbox", e.stream.name, state, known, e.outcome, n)
	}
}

// checkOrder counts what came out of its sender's order, or with another text, or from nowhere.
func (a *account) checkOrder() (wrong int) {
	byID := map[string]entry{}
	for _, e := range a.list() {
		if !e.reused {
			byID[e.id] = e
		}
	}
	last := map[*stream]int{}
	for _, seq := range slices.Sorted(maps.Keys(a.came)) {
		item := a.came[seq]
		e, sent := byID[string(item.ClientMessageID)]
		switch {
		case !sent:
			continue // of another fault
		case item.Body == nil || *item.Body != e.text:
			a.accuse(e.id, "of %s came with another text", e.stream.name)
		case e.outcome == rig.Accepted && e.number < last[e.stream]:
			wrong++
			a.t.Errorf("%s: message %s of %s came before an earlier one", a.fault, e.id, e.stream.name)
		}
		if e.outcome == rig.Accepted {
			last[e.stream] = max(last[e.stream], e.number)
		}
	}
	return wrong
}
