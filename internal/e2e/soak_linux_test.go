package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

var soakTime = flag.Duration("soak", 2*time.Second, "how long the soak lasts")

// What a soak may leave behind: descriptors and goroutines more than at its beginning, and memory for each ten minutes,
// where it lasts long enough to say.
const (
	soakSpare    = 5
	soakSlopeMiB = 1.0
	soakTells    = 10 * time.Minute
	warmTime     = time.Second
)

// soaked is a process of a soak, with its memory over time.
type soaked struct {
	name  string
	which func() service
	log   string
	start func()
	times []float64 // in units of ten minutes
	rss   []float64 // MiB
}

// TestSoak lets everything be used at once for a while: messages to members, sessions and groups, verbs, sessions that come
// and go, lines that break. Descriptors and goroutines are as many as before, and memory does not grow; every message is
// accounted for.
func TestSoak(t *testing.T) {
	t.Parallel()
	a := newArena(t)
	all := []*soaked{
		{name: "broker", which: a.carl.broker, log: a.carl.paths.Broker.Log(), start: a.upCarl},
		{name: "owner's daemon", which: a.carl.daemon, log: a.carl.paths.Daemon.Log(), start: a.carl.revive},
		{name: "sender's daemon", which: a.anna.daemon, log: a.anna.paths.Daemon.Log(), start: a.anna.revive},
		{name: "recipient's daemon", which: a.ben.daemon, log: a.ben.paths.Daemon.Log(), start: a.ben.revive},
	}
	a.rng = rand.New(rand.NewPCG(*seed, 0))
	a.mixed("soak-warm", warmTime, func() {})
	before := a.stacks(all)
	a.mixed("soak-warm-again", warmTime, func() {}) // what a process makes once is made
	a.quiet()
	fds := map[string]int{}
	for _, s := range all {
		fds[s.name] = s.descriptors(t)
	}
	began := time.Now()
	a.mixed("soak", *soakTime, func() {
		for _, s := range all {
			s.sample(t, time.Since(began))
		}
	})
	a.quiet()
	for _, s := range all {
		n, slope := s.descriptors(t), s.slope()
		fmt.Printf("soak %-18s memory %.1f MiB, %+.2f MiB in ten minutes; descriptors %d, before %d\n", s.name, s.rss[len(s.rss)-1], slope, n, fds[s.name])
		if n > fds[s.name]+soakSpare {
			t.Errorf("%s: %d descriptors, before %d", s.name, n, fds[s.name])
		}
		if slope > soakSlopeMiB && *soakTime >= soakTells {
			t.Errorf("%s: memory grows by %.2f MiB in ten minutes", s.name, slope)
		}
	}
	after := a.stacks(all)
	for _, s := range all {
		fmt.Printf("soak %-18s goroutines %d, before %d\n", s.name, after[s.name], before[s.name])
		if after[s.name] > before[s.name]+soakSpare {
			t.Errorf("%s: %d goroutines, before %d", s.name, after[s.name], before[s.name])
		}
	}
}

// mixed uses everything for a while, samples now and then, and accounts for the messages.
func (a *arena) mixed(name string, length time.Duration, sample func()) {
	f := fault{name: name}
	a.account = newAccount(a.t, f.name)
	a.enlist(f)
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	every := func(pause time.Duration, do func()) {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for ctx.Err() == nil {
			do()
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}
	var users sync.WaitGroup
	for _, s := range a.streams {
		users.Go(func() { every(400*time.Millisecond, s.write) })
	}
	for _, verb := range [][]string{{"peers"}, {"inbox", "--peek"}, {"list"}, {"group", "list"}, {"daemon", "status"}} {
		users.Go(func() { every(2*time.Second, func() { a.ben.must(verb...) }) })
	}
	users.Go(func() { every(3*time.Second, func() { a.visit() }) })
	users.Go(func() { every(5*time.Second, func() { a.line().reset(); a.account.gather(a.ben) }) })
	users.Go(func() { every(max(length/180, time.Second/2), sample) })
	users.Wait()
	a.settle()
	fmt.Printf("fault %-22s %s\n", f.name, a.account.check())
	a.dismiss()
}

// visit lets a session come, join a group, and go.
func (a *arena) visit() {
	s := a.anna.openRaw(uuid.NewString())
	s.must("group", "join", "@visitors")
	s.must("send", "@visitors", "hello")
	s.close()
}

// quiet waits until the sessions that have gone are forgotten.
func (a *arena) quiet() {
	a.anna.eventually("no session is left", func() bool { return len(a.anna.sessions()) == 0 })
	a.awaitOpen()
}

// stacks ends each process by the signal that makes it write what its goroutines do, counts them, and starts it again.
func (a *arena) stacks(all []*soaked) map[string]int {
	a.t.Helper()
	a.quiet()
	found := map[string]int{}
	for _, s := range all {
		old, err := os.ReadFile(s.log)
		if err != nil {
			a.t.Fatal(err)
		}
		a.end(s.which(), syscall.SIGQUIT)
		a.t.Logf("%s ended", s.name)
		text, err := os.ReadFile(s.log)
		if err != nil {
			a.t.Fatal(err)
		}
		if found[s.name] = bytes.Count(text[min(len(old), len(text)):], []byte("\ngoroutine ")); found[s.name] == 0 {
			a.t.Errorf("%s wrote nothing of its goroutines", s.name)
		}
		s.start()
		a.awaitOpen()
	}
	a.quiet()
	return found
}

// descriptors counts the files that a process has open.
func (s *soaked) descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(s.proc("fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func (s *soaked) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(s.which().pid()), name)
}

// sample notes the memory of a process.
func (s *soaked) sample(t *testing.T, since time.Duration) {
	data, err := os.ReadFile(s.proc("status"))
	if err != nil {
		t.Errorf("%s: %v", s.name, err)
		return
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		t.Errorf("%s: %v", s.name, err)
		return
	}
	s.times, s.rss = append(s.times, since.Minutes()/10), append(s.rss, kib/1024)
}

// slope is by how much the memory grows in ten minutes, in MiB, over the last two thirds of the time: the difference of the
// least of the two. Above it lies garbage, which comes and goes by ten MiB and more while nothing grows.
func (s *soaked) slope() float64 {
	third := len(s.rss) / 3
	if third == 0 {
		return 0
	}
	return (slices.Min(s.rss[2*third:]) - slices.Min(s.rss[third:2*third])) / max(s.times[len(s.times)-1]/3, 1e-9)
}
