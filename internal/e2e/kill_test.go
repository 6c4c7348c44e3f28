//go:build unix

package e2e

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

var (
	rounds = flag.Int("rounds", 20, "how often each kind of process is killed")
	seed   = flag.Uint64("seed", 0, "seed of the times at which processes are killed; 0 takes a new one")
)

// What is written in a round, and how long after its beginning the victim is killed at the latest.
const (
	perRound  = 5
	killDelay = 60 * time.Millisecond
)

// arena is a world in which processes are killed: anna writes to ben, and to a session of ben's.
type arena struct {
	*world
	anna, ben *home
	session   *session
	streams   []*stream
	verbs     []string // texts of the verbs that were killed
	rng       *rand.Rand
}

// stream is what is written to one recipient, one message after the other, with the journal of it.
type stream struct {
	a        *arena
	name     string
	to       mesh.Key
	client   *local.Client
	count    int
	accepted []string // in this order
	refused  []string
}

func newArena(t *testing.T, kind uint64) *arena {
	t.Helper()
	w := newWorld(t)
	for _, user := range []string{"anna", "ben"} {
		h := w.home(user) // reconnects as fast as it is killed
		h.env = append(h.env, "CLAUDEMESH_RECONNECT_MIN=20ms", "CLAUDEMESH_RECONNECT_MAX=100ms",
			"CLAUDEMESH_BROKER_SEND_PER_SECOND=100000", "CLAUDEMESH_BROKER_SEND_BURST=100000")
	}
	anna, ben := w.pair()
	a := &arena{world: w, anna: anna, ben: ben, session: ben.openRaw(uuid.NewString())}
	for name, to := range map[string]mesh.Key{"member": ben.key(), "session": a.session.whoami().Key} {
		a.streams = append(a.streams, &stream{a: a, name: name, to: to, client: local.New(anna.paths.Daemon.Socket(), time.Now)})
	}
	start := *seed
	if start == 0 {
		start = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed=%d", start)
	a.rng = rand.New(rand.NewPCG(start, kind))
	return a
}

// fight lets the streams write while kill kills, again and again, and then checks that every promise was kept.
func (a *arena) fight(kill func()) {
	a.t.Helper()
	for range *rounds {
		eventually(a.t, "both daemons are connected", func() bool { return a.anna.connected() && a.ben.connected() })
		var writers sync.WaitGroup
		for _, s := range a.streams {
			writers.Go(func() {
				for range perRound {
					s.write()
				}
				s.mistake()
			})
		}
		<-time.After(time.Duration(a.rng.Int64N(int64(killDelay))))
		kill()
		writers.Wait()
	}
	a.settle()
}

// connected reports whether the home's daemon runs and is connected to its broker.
func (h *home) connected() bool {
	client := local.New(h.paths.Daemon.Socket(), time.Now)
	defer func() { _ = client.Close() }() // its answer has been read
	health, err := localapi.Health.Do(context.Background(), client, localapi.None{})
	return err == nil && len(health.Meshes) == 1 && health.Meshes[0].Status == "open"
}

// write sends the next message of a stream until it is accepted.
func (s *stream) write() {
	s.count++
	text := fmt.Sprintf("%s %d %s", s.name, s.count, strings.Repeat("é", s.count%50))
	req := localapi.SendRequest{To: string(s.to), Message: text, ClientMessageID: string(mesh.NewClientID(time.Now()))}
	if err := s.send(req); err != nil {
		s.a.t.Errorf("message %d of %s is refused: %v", s.count, s.name, err)
		s.refused = append(s.refused, text)
		return
	}
	s.accepted = append(s.accepted, text)
}

// mistake sends another text under an id that is taken, until that is refused.
func (s *stream) mistake() {
	id := string(mesh.NewClientID(time.Now()))
	good := localapi.SendRequest{To: string(s.to), Message: fmt.Sprintf("%s taken %s", s.name, id), ClientMessageID: id}
	if err := s.send(good); err != nil {
		s.a.t.Errorf("a message of %s is refused: %v", s.name, err)
		return
	}
	s.accepted = append(s.accepted, good.Message)
	bad := good
	bad.Message = "refused " + id
	if err := s.send(bad); !mesh.IsCode(err, mesh.Reused) {
		s.a.t.Errorf("another text under the id %s: got %v, want %s", id, err, mesh.Reused)
	}
	s.refused = append(s.refused, bad.Message)
}

// send repeats a request under its id for as long as nobody says what became of it.
func (s *stream) send(req localapi.SendRequest) error {
	deadline := time.Now().Add(longTime)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), longTime)
		_, err := localapi.Send.Do(ctx, s.client, req)
		cancel()
		switch {
		case mesh.IsCode(err, mesh.DaemonDown):
			s.a.anna.revive()
		case err == nil || !mesh.IsCode(err, mesh.Timeout) || time.Now().After(deadline):
			return err
		}
	}
}

// revive starts the daemon of a home, unless it runs. The mark of a start that failed, because that daemon was killed
// while it started, would keep others from starting it for a while.
func (h *home) revive() {
	_ = os.Remove(h.paths.Daemon.SpawnFailure()) // normally not there
	h.run("daemon", "up")
}

// settle brings everything up again, waits until everything has arrived, and compares.
func (a *arena) settle() {
	a.t.Helper()
	a.anna.revive()
	a.ben.revive()
	a.anna.must("up")
	for _, s := range a.streams {
		s.write() // what comes behind everything shows that everything was there
	}
	eventually(a.t, "everything has arrived", func() bool {
		texts := a.ben.texts()
		return !slices.ContainsFunc(a.streams, func(s *stream) bool { return !slices.Contains(texts, s.accepted[len(s.accepted)-1]) })
	})
	arrived := a.ben.texts()
	for _, text := range a.verbs {
		if n := len(slices.DeleteFunc(slices.Clone(arrived), func(got string) bool { return got != text })); n != 1 {
			a.t.Errorf("%q arrived %d times", text, n)
		}
	}
	for _, s := range a.streams {
		got := slices.DeleteFunc(slices.Clone(arrived), func(text string) bool { return !strings.HasPrefix(text, s.name+" ") })
		if diff := cmp.Diff(s.accepted, got); diff != "" {
			a.t.Errorf("what %s was sent and what arrived (-want +got):\n%s", s.name, diff)
		}
		if bad := s.refused; slices.ContainsFunc(arrived, func(text string) bool { return slices.Contains(bad, text) }) {
			a.t.Errorf("a refused message of %s arrived", s.name)
		}
		a.t.Logf("%s: %d messages arrived", s.name, len(got))
	}
	a.checkShown()
}

// checkShown compares what was sent with what the session was shown, which gets its member's messages as well: nothing
// twice, all in order, and what was not shown was reported as unconfirmed.
func (a *arena) checkShown() {
	a.t.Helper()
	sent := slices.Clone(a.verbs)
	for _, s := range a.streams {
		sent = append(sent, s.accepted...)
	}
	eventually(a.t, "everything is shown or reported", func() bool {
		shown, reported := a.shown()
		return len(shown)+reported >= len(sent)
	})
	shown, reported := a.shown()
	for i, text := range shown {
		if !slices.Contains(sent, text) || slices.Contains(shown[:i], text) {
			a.t.Errorf("%q is shown and was not sent, or is shown twice", text)
		}
	}
	for _, s := range a.streams {
		next := 0
		for _, text := range shown {
			if i := slices.Index(s.accepted, text); i >= 0 && i < next {
				a.t.Errorf("%q is shown behind %q", text, s.accepted[next-1])
			} else if i >= 0 {
				next = i + 1
			}
		}
	}
	a.t.Logf("%d of %d messages are shown, %d reported as unconfirmed", len(shown), len(sent), reported)
}

// shown gives the texts that the session was shown, and how many were reported to it as unconfirmed.
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
		_, text, _ := strings.Cut(n.Content, ": ")
		texts = append(texts, text)
	}
	return texts, reported
}

func TestKillSenderDaemon(t *testing.T) {
	t.Parallel()
	a := newArena(t, 1)
	a.fight(func() {
		a.anna.daemon().kill(t)
		a.anna.revive()
	})
}

func TestKillBroker(t *testing.T) {
	t.Parallel()
	a := newArena(t, 2)
	a.fight(func() {
		a.anna.broker().kill(t)
		a.anna.must("up")
	})
}

func TestKillRecipientDaemon(t *testing.T) {
	t.Parallel()
	a := newArena(t, 3)
	a.fight(func() {
		a.ben.daemon().kill(t)
		a.ben.revive()
	})
}

func TestKillMCPServer(t *testing.T) {
	t.Parallel()
	a := newArena(t, 4)
	a.fight(a.session.restart)
}

// A verb that is killed has sent its message or not; asked again under the same id, it has sent it once.
func TestKillVerb(t *testing.T) {
	t.Parallel()
	a := newArena(t, 5)
	a.fight(func() {
		for _, s := range a.streams {
			s.killedVerb(time.Duration(a.rng.Int64N(int64(killDelay))))
		}
	})
}

// killedVerb starts a verb of its own, kills it, and lets another one finish what it began. It has its own texts, because
// the stream's own messages may come before or behind it.
func (s *stream) killedVerb(after time.Duration) {
	id := string(mesh.NewClientID(time.Now()))
	args := []string{"send", string(s.to), "verb " + s.name + " " + id, "--id", id}
	ctx, cancel := context.WithTimeout(context.Background(), after)
	defer cancel()
	killed := finish(s.a.anna.command(ctx, args...))
	again := s.a.anna.run(append(args, "--json")...)
	if again.exit != mesh.ExitOK {
		s.a.t.Errorf("a verb that was killed (status %d) ends with status %d when it is repeated:\n%s%s", killed.exit, again.exit, again.out, again.err)
	}
	s.a.verbs = append(s.a.verbs, args[2])
}
