//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig"
)

var (
	rounds = flag.Int("rounds", 2, "how often each fault happens")
	seed   = flag.Uint64("seed", 0, "of the faults and their moments; 0 takes a new one")
	only   = flag.String("fault", "", "only the faults whose names this expression meets")
	within = flag.Duration("within", 0, "begin all faults anew until this time is over")
)

// What is written in a round by each sender, with pauses of half of latest at most, and how long after its beginning the
// fault comes at the latest.
const (
	perRound = 3
	latest   = 150 * time.Millisecond
)

// arena is a world in which things break: carl's home has the broker, anna writes to ben and to a session of ben's, each
// over a line of their own, and carl to ben.
type arena struct {
	*world
	carl, anna, ben   *home
	annaLine, benLine *relay
	session           *session
	key, sessionKey   mesh.Key
	rng               *rand.Rand
	account           *account
	streams           []*stream
	reported          int // messages of which the session was told that it may have missed them
}

// stream is one sender: what it writes to one recipient, one message after the other.
type stream struct {
	a      *arena
	name   string
	from   *home
	to     mesh.Key
	client *local.Client // nil for one that runs verbs
	rng    *rand.Rand
	count  int
	hasty  bool // its verbs are killed at a random moment
}

// TestChaos lets sixteen senders write while one thing after the other breaks, and holds what came against what they
// know: the accounting of every fault is a line of its output.
func TestChaos(t *testing.T) {
	t.Parallel()
	start := *seed
	if start == 0 {
		start = rand.Uint64()
	}
	if aside(t, fmt.Sprintf("-seed=%d", start), fmt.Sprintf("-rounds=%d", *rounds), "-fault="+*only, fmt.Sprintf("-within=%s", *within)) {
		return
	}
	if inside() {
		turnNetwork(t, true)
	}
	fmt.Printf("chaos: seed %d, rounds %d\n", start, *rounds)
	chosen, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	a := newArena(t)
	for began, pass := time.Now(), uint64(0); pass == 0 || time.Since(began) < *within; pass++ {
		for i, f := range faults() {
			if chosen.MatchString(f.name) {
				a.rng = rand.New(rand.NewPCG(start+pass, uint64(i)))
				a.run(f)
			}
		}
	}
}

func newArena(t testing.TB) *arena {
	t.Helper()
	w := newWorld(t)
	a := &arena{world: w, carl: w.home("carl"), anna: w.home("anna"), ben: w.home("ben")}
	var hosts [2]string
	a.annaLine, hosts[0] = newRelay(t, w.listen)
	a.benLine, hosts[1] = newRelay(t, w.listen)
	for _, h := range w.homes { // connects as fast as it is killed, and sees soon that a line is dead
		h.env = append(h.env, "CLAUDEMESH_RECONNECT_MIN=20ms", "CLAUDEMESH_RECONNECT_MAX=200ms", "CLAUDEMESH_PING_INTERVAL=500ms", "CLAUDEMESH_DEAD_AFTER=2s")
	}
	for name, value := range map[string]string{
		"SEND_PER_SECOND": "100000", "SEND_BURST": "100000", "MEMBER_HELLOS": "100000", "PAIR_ROWS": "100000", "LEASE": "1s", "PING_INTERVAL": "500ms",
		"DEAD_AFTER": "2s", "ALLOWED_HOSTS": strings.Join(hosts[:], ","),
	} {
		a.carl.env = append(a.carl.env, "CLAUDEMESH_BROKER_"+name+"="+value)
	}
	a.ben.wakesAlways()
	a.carl.must("up")
	link := a.carl.link()
	for i, h := range []*home{a.anna, a.ben} {
		h.must("join", link)
		h.must("daemon", "down")
		h.rewire(w.listen, hosts[i])
		h.must("daemon", "up")
	}
	a.key = a.ben.key()
	a.session = a.ben.openRaw(uuid.NewString())
	a.sessionKey = a.session.whoami().Key
	return a
}

// rewire has a home dial another address for its broker.
func (h *home) rewire(from, to string) {
	h.t.Helper()
	path := h.paths.Config.File()
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(strings.ReplaceAll(string(text), from, to)), 0o600)
	}
	if err != nil || !strings.Contains(string(text), from) {
		h.t.Fatalf("rewire %s (%v): %s", path, err, text)
	}
}

// enlist makes the senders: most speak to the daemon's socket as programs do, some run verbs.
func (a *arena) enlist(f fault) {
	a.streams = nil
	add := func(name string, from *home, to mesh.Key, verbs bool) {
		s := &stream{a: a, name: fmt.Sprintf("%s/%s-%d", f.name, name, len(a.streams)), from: from, to: to, rng: rand.New(rand.NewPCG(a.rng.Uint64(), 0))}
		if s.hasty = verbs && f.verbs; !verbs {
			s.client = local.New(from.paths.Daemon.Socket(), time.Now)
		}
		a.streams = append(a.streams, s)
	}
	for range 6 {
		add("member", a.anna, a.key, f.verbs)
		add("session", a.anna, a.sessionKey, false)
	}
	for range 2 {
		add("verb", a.anna, a.key, true)
		add("carl", a.carl, a.key, false)
	}
}

// run lets the senders write while a fault happens again and again, brings everything up, and prints the account.
func (a *arena) run(f fault) {
	a.account = newAccount(a.t, f.name)
	a.enlist(f)
	began := time.Now()
	for range *rounds {
		a.awaitOpen()
		var writers sync.WaitGroup
		for _, s := range a.streams {
			writers.Go(s.play)
		}
		if f.during != nil {
			writers.Go(func() { f.during(a) })
		}
		<-time.After(a.upTo(latest))
		if f.harm != nil {
			f.harm(a)
		}
		a.account.probe(a.ben)
		writers.Wait()
		if f.mend != nil {
			f.mend(a)
		}
		a.account.gather(a.ben)
	}
	a.settle()
	y := a.account.check()
	y.Misreported += a.checkShown()
	fmt.Printf("fault %-22s %s (%s)\n", f.name, y, time.Since(began).Round(time.Second))
	a.dismiss()
}

// dismiss ends the connections of the senders.
func (a *arena) dismiss() {
	for _, s := range a.streams {
		if s.client != nil {
			_ = s.client.Close() // its answers have been read
		}
	}
}

// upTo is a random time.
func (a *arena) upTo(limit time.Duration) time.Duration {
	return time.Duration(a.rng.Int64N(int64(limit)))
}

// awaitOpen waits until all daemons are connected, so that the next round begins in order.
func (a *arena) awaitOpen() {
	eventually(a.t, "all daemons are connected", func() bool { return a.carl.connected() && a.anna.connected() && a.ben.connected() })
}

// connected reports whether the home's daemon runs and is connected to its broker.
func (h *home) connected() bool {
	client := local.New(h.paths.Daemon.Socket(), time.Now)
	defer func() { _ = client.Close() }() // its answer has been read
	health, err := localapi.Health.Do(context.Background(), client, localapi.None{})
	return err == nil && len(health.Meshes) == 1 && health.Meshes[0].Status == "open"
}

// revive starts the daemon of a home, unless it runs. The mark of a start that failed, because that daemon was killed
// while it started, would keep others from starting it for a while.
func (h *home) revive() {
	_ = os.Remove(h.paths.Daemon.SpawnFailure()) // normally not there
	h.run("daemon", "up")
}

// settle brings everything up again, and waits until everything has arrived and every sender knows it, or nothing new has
// come for long.
func (a *arena) settle() {
	for _, h := range []*home{a.anna, a.ben, a.carl} {
		h.revive()
	}
	a.upCarl()
	a.awaitOpen()
	deadline := time.Now().Add(longTime)
	for time.Now().Before(deadline) {
		if a.account.gather(a.ben) && a.account.missing() == 0 && a.receipted() {
			return
		}
		<-time.After(pollStep)
	}
}

// receipted reports whether the sender of each message that is in the inbox has heard so. The last ones are asked for
// first: receipts come in their order.
func (a *arena) receipted() bool {
	times := a.account.arrived()
	for _, e := range slices.Backward(a.account.list()) {
		if e.reused || times[e.id] == 0 {
			continue
		}
		if state, _, err := told(e.stream.from, e.id); err != nil || !arrivedBy(state) {
			return false
		}
	}
	return true
}

// play writes a round of a stream: good messages, and one that is to be refused.
func (s *stream) play() {
	for range perRound {
		<-time.After(time.Duration(s.rng.Int64N(int64(latest / 2))))
		s.write()
	}
	s.mistake()
}

// next makes the next message of a stream.
func (s *stream) next() *entry {
	s.count++
	id := string(mesh.NewClientID(time.Now()))
	return &entry{stream: s, id: id, text: fmt.Sprintf("%s %d %s %s", s.name, s.count, id, strings.Repeat("é", s.rng.IntN(1<<s.rng.IntN(11))))}
}

// write sends the next message. Where nobody says what became of it, it is sent again under its id, or, now and then,
// given up.
func (s *stream) write() {
	e := s.next()
	s.a.account.begin(e)
	deadline := time.Now().Add(longTime)
	for {
		err := s.send(string(e.stream.to), e)
		outcome := rig.OutcomeOf(err)
		s.a.account.know(e, outcome)
		if outcome == rig.Refused {
			s.a.t.Errorf("message %d of %s is refused: %v", s.count, s.name, err)
		}
		if outcome != rig.Unknown || s.rng.IntN(8) == 0 || time.Now().After(deadline) {
			return
		}
		if mesh.IsCode(err, mesh.DaemonDown) {
			s.from.revive()
		}
	}
}

// mistake sends what has to be refused, if anybody says so: another text under an id that is taken, or a text for
// somebody who is not there.
func (s *stream) mistake() {
	all := s.a.account.list()
	mine := slices.DeleteFunc(all, func(e entry) bool { return e.stream != s || e.outcome != rig.Accepted })
	e, to, want := s.next(), "nobody-at-all", mesh.TargetNotFound
	if len(mine) > 0 && s.rng.IntN(2) == 0 {
		e.id, e.reused, to, want = mine[len(mine)-1].id, true, string(s.to), mesh.Reused
	}
	err := s.send(to, e)
	switch {
	case mesh.IsCode(err, want):
		s.a.account.begin(e)
		s.a.account.know(e, rig.Refused)
	case rig.OutcomeOf(err) != rig.Unknown && !mesh.IsCode(err, mesh.MeshNotAttached):
		s.a.account.accuse(e.id, "for %s under an id (taken: %t) got %v, want %s", to, e.reused, err, want)
	}
}

// send asks the daemon once, over its socket or by a verb.
func (s *stream) send(to string, e *entry) error {
	limit := verbTime
	if s.hasty && s.rng.IntN(2) == 0 {
		limit = time.Duration(s.rng.Int64N(int64(latest)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if s.client == nil {
		return verdict(finish(s.from.command(ctx, "send", to, e.text, "--id", e.id, "--json")))
	}
	_, err := localapi.Send.Do(ctx, s.client, localapi.SendRequest{To: to, Message: e.text, ClientMessageID: e.id})
	return err
}

// verdict is what a verb that printed JSON says of itself; one that was killed says nothing.
func verdict(r result) error {
	if r.exit == mesh.ExitOK {
		return nil
	}
	var v struct {
		Error string
		Code  mesh.Code
	}
	if json.Unmarshal([]byte(r.out), &v) != nil || v.Code == "" {
		return mesh.Errorf(mesh.Timeout, "status %d, no word: %s", r.exit, r.err)
	}
	return mesh.Errorf(v.Code, "%s", v.Error)
}
