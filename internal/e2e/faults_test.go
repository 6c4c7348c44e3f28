//go:build unix

package e2e

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig"
)

// fault is something that breaks while messages are sent.
type fault struct {
	name   string
	verbs  bool         // half of the senders run verbs, and each verb may be killed
	harm   func(*arena) // breaks it, at a random moment of a round, and may mend it
	mend   func(*arena) // makes it whole when everything was sent; nil where harm has
	during func(*arena) // what else goes on in a round
}

// faults are all of them, in the order in which they happen.
func faults() []fault {
	return append([]fault{
		{name: "kill-verb", verbs: true},
		{name: "kill-sender-daemon", harm: func(a *arena) { a.killAgain(a.anna.daemon, a.anna.revive) }},
		{name: "kill-broker", harm: func(a *arena) { a.killAgain(a.carl.broker, a.upCarl) }},
		{name: "kill-recipient-daemon", harm: func(a *arena) { a.killAgain(a.ben.daemon, a.ben.revive) }},
		{name: "kill-mcp", harm: func(a *arena) { a.session.restart() }},
		{name: "kill-two", harm: (*arena).killTwo},
		{name: "restart-broker", harm: func(a *arena) { a.end(a.carl.broker(), sigTerm); a.upCarl() }},
		{name: "restart-daemons", harm: func(a *arena) {
			for _, h := range []*home{a.anna, a.ben} {
				a.end(h.daemon(), sigTerm)
				h.revive()
			}
		}},
		{name: "reset-line", harm: func(a *arena) { a.line().reset(); <-time.After(a.upTo(latest)); a.line().reset() }},
		{name: "partition", harm: func(a *arena) { a.line().part(); <-time.After(a.upTo(2 * time.Second)) }, mend: (*arena).heal},
		{name: "half-open", harm: (*arena).halfOpen, mend: (*arena).heal},
		{name: "slow-line", harm: func(a *arena) { a.line().set(slow, slow); a.line().set(dribble, dribble) }, mend: (*arena).heal},
		{name: "suspend", harm: (*arena).suspend},
		{name: "one-id-8-connections", during: (*arena).repeat, harm: func(a *arena) { a.annaLine.reset() }},
		{name: "anything", harm: (*arena).anything, mend: (*arena).heal},
	}, networkFaults()...)
}

// upCarl starts the broker again.
func (a *arena) upCarl() { a.carl.run("up") }

// end ends a service by a signal, and waits until it is gone; one that is down already stays so.
func (a *arena) end(s service, sig syscall.Signal) {
	pid := s.pid()
	if !s.signal(sig) {
		return // between an end and a start of the round before
	}
	eventually(a.t, "another process has the lock "+s.lock+", or none", func() bool { return s.pid() != pid })
}

// killAgain kills a service, starts it, and now and then kills it while it starts.
func (a *arena) killAgain(which func() service, start func()) {
	a.end(which(), sigKill)
	if a.rng.IntN(3) == 0 {
		var starting sync.WaitGroup
		starting.Go(start)
		<-time.After(a.upTo(latest))
		a.end(which(), sigKill)
		starting.Wait()
	}
	start()
}

// killTwo kills two of the three services at once.
func (a *arena) killTwo() {
	all := []service{a.anna.daemon(), a.ben.daemon(), a.carl.broker()}
	spared := a.rng.IntN(len(all))
	for i, s := range all {
		if i != spared {
			a.end(s, sigKill)
		}
	}
	a.upCarl()
	a.anna.revive()
	a.ben.revive()
}

// line is one of the two lines, by chance.
func (a *arena) line() *relay {
	if a.rng.IntN(2) == 0 {
		return a.annaLine
	}
	return a.benLine
}

func (a *arena) heal() {
	a.annaLine.heal()
	a.benLine.heal()
}

// halfOpen stops one direction of a line, or both, for less or for longer than it takes to notice.
func (a *arena) halfOpen() {
	w := []way{hold, swallow}[a.rng.IntN(2)]
	switch a.rng.IntN(3) {
	case 0:
		a.line().set(w, pass)
	case 1:
		a.line().set(pass, w)
	case 2:
		a.line().set(w, w)
	}
	<-time.After(a.upTo(4 * time.Second))
}

// suspend lets a process sleep, as a laptop does that is closed.
func (a *arena) suspend() {
	s := []service{a.anna.daemon(), a.ben.daemon(), a.carl.broker()}[a.rng.IntN(3)]
	if s.signal(syscall.SIGSTOP) {
		<-time.After(a.upTo(3 * time.Second))
		s.signal(syscall.SIGCONT)
	}
}

// anything is one fault of the others.
func (a *arena) anything() {
	all := slices.DeleteFunc(faults(), func(f fault) bool { return f.harm == nil || f.name == "anything" })
	all[a.rng.IntN(len(all))].harm(a)
}

// eight is over how many connections one message is sent at once.
const eight = 8

// repeat sends one message over eight connections at once, and then eight others that share one id: they are one message.
func (a *arena) repeat() {
	s := &stream{a: a, name: a.account.fault + "/eight", from: a.anna, to: a.key, rng: rand.New(rand.NewPCG(1, 2))}
	for _, same := range []bool{true, false} {
		first := s.next()
		var mu sync.Mutex
		var taken []string
		var all sync.WaitGroup
		for i := range eight {
			e := *first
			if !same {
				e.text += " " + strconv.Itoa(i)
			}
			all.Go(func() {
				own := &stream{from: a.anna, client: local.New(a.anna.paths.Daemon.Socket(), time.Now)}
				defer func() { _ = own.client.Close() }() // its answer has been read
				err := own.send(string(a.key), &e)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					taken = append(taken, e.text)
				case same || !mesh.IsCode(err, mesh.Reused):
					a.account.accuse(e.id, "sent %d times at once (same text: %t) got %v", eight, same, err)
				}
			})
		}
		all.Wait()
		if same && len(taken) != eight || !same && len(taken) != 1 {
			a.account.accuse(first.id, "sent %d times at once (same text: %t) was taken %d times", eight, same, len(taken))
		}
		if len(taken) > 0 {
			first.text = taken[0]
			a.account.begin(first)
			a.account.know(first, rig.Accepted)
		}
	}
}

// checkShown compares what came under the fault with what ben's session was shown, which gets its member's messages as
// well: nothing twice, all in order, and what was not shown was reported as unconfirmed. It counts what is not so.
func (a *arena) checkShown() (wrong int) {
	texts, times := map[string]entry{}, a.account.arrived()
	for _, e := range a.account.list() {
		if times[e.id] > 0 && !e.reused {
			texts[e.text] = e
		}
	}
	shown, reported := a.shown()
	for deadline := time.Now().Add(longTime); len(shown)+reported-a.reported < len(texts); shown, reported = a.shown() {
		if time.Now().After(deadline) {
			a.t.Errorf("%s: of %d messages %d are shown and %d reported", a.account.fault, len(texts), len(shown), reported-a.reported)
			wrong++
			break
		}
		<-time.After(pollStep)
	}
	a.reported = reported
	last := map[*stream]int{}
	for i, text := range shown {
		e, sent := texts[text]
		if !sent || slices.Contains(shown[:i], text) || e.outcome == rig.Accepted && e.number < last[e.stream] {
			a.t.Errorf("%s: %.60q is shown and was not sent, or is shown twice or behind a later one", a.account.fault, text)
			wrong++
		}
		if e.outcome == rig.Accepted {
			last[e.stream] = e.number
		}
	}
	return wrong
}

// shown gives the texts of this fault that the session was shown, and how many of all were reported to it as unconfirmed.
func (a *arena) shown() (texts []string, reported int) {
	for _, n := range a.session.shown.list() {
		if n.Meta["event"] == "unconfirmed" {
			count, err := strconv.Atoi(n.Meta["count"])
			if err != nil {
				a.t.Errorf("a notice without a count: %+v", n)
			}
			reported += count
			continue
		}
		if _, text, _ := strings.Cut(n.Content, ": "); strings.HasPrefix(text, a.account.fault+"/") {
			texts = append(texts, text)
		}
	}
	return texts, reported
}
