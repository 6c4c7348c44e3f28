package rig

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
)

// A session whose process ended is gone from everybody's list within 5 s, long before a lease would end.
func TestLesson119KilledSessionIsGone(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		s, err := ada.Spawn("one")
		w.must(err)
		w.wantSessionOpen(s)
		w.wantPeers(ben, "ben", "one")
		s.Kill()
		w.waitFor(5*time.Second, "ben does not see it", func() bool { return w.row(ben, "one").Pubkey == "" })
		w.waitFor(5*time.Second, "ada does not see it", func() bool { return w.row(ada, "one").Pubkey == "" })
		again, err := ada.Spawn("one")
		w.must(err)
		w.wantSessionOpen(again)
		if again.Key != s.Key {
			t.Errorf("resumed it has the key %s, before it had %s", again.Key, s.Key)
		}
		w.wantPeers(ben, "ben", "one")
	})
}

// A session that ended while its daemon was down is gone as soon as the daemon is back.
func TestLesson118SessionThatEndedWithoutItsDaemon(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one, err := ada.Spawn("one")
		w.must(err)
		two, err := ada.Spawn("two")
		w.must(err)
		w.wantSessionOpen(one)
		w.wantSessionOpen(two)
		ada.Kill()
		one.Kill()
		if p := w.row(ben, "two"); p.Pubkey == "" {
			t.Error("two lost its place with its daemon")
		}
		ada.Start()
		w.waitFor(5*time.Second, "the lists are true", func() bool {
			return w.row(ben, "one").Pubkey == "" && w.row(ben, "two").Pubkey != "" && !w.row(ben, "two").Reconnecting
		})
	})
}

// truth is what is really there.
type truth struct {
	*world
	random *rand.Rand
	alive  map[string]*Session // by id
	hidden map[string]bool
	next   int
	log    []string
}

// home draws one.
func (w *truth) home() *Home { return w.homes[w.random.IntN(len(w.homes))] }

// draw picks a living session, nil without one.
func (w *truth) draw() *Session {
	ids := make([]string, 0, len(w.alive))
	for id := range w.alive {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	return w.alive[ids[w.random.IntN(len(ids))]]
}

// spawn begins a session, or resumes one that has ended.
func (w *truth) spawn(h *Home) string {
	id := fmt.Sprintf("%s-%d", h.Name, w.random.IntN(4))
	if w.alive[id] != nil {
		return "nothing"
	}
	s, err := h.Spawn(id)
	if err != nil {
		s.Kill() // its daemon does not run: it is on nobody's list
		return "spawn " + id + " in vain"
	}
	w.alive[id], w.hidden[id] = s, w.hidden[id]
	return "spawn " + id
}

// step does one thing that may happen, and says what.
func (w *truth) step() string {
	h := w.home()
	switch w.random.IntN(12) {
	case 0, 1, 2:
		return w.spawn(h)
	case 3, 4:
		if s := w.draw(); s != nil {
			s.Kill()
			delete(w.alive, s.ID)
			return "kill " + s.ID
		}
	case 5:
		return w.hide()
	case 6:
		h.Kill()
		return "kill the daemon of " + h.Name
	case 7:
		h.Start() // also ends one that runs
		return "start the daemon of " + h.Name
	case 8:
		w.broker.Kill()
		w.broker.Start()
		return "kill the broker"
	case 9:
		w.broker.Start()
		return "restart the broker"
	case 10:
		h.Link(w.broker).Cut()
		return "cut " + h.Name
	case 11:
		h.Link(w.broker).Heal()
		return "heal " + h.Name
	}
	return "nothing"
}

// hide hides a session, or shows it again.
func (w *truth) hide() string {
	s := w.draw()
	if s == nil {
		return "nothing"
	}
	_, err := localapi.ProfileSet.Do(w.T.Context(), s, localapi.ProfileRequest{Visible: new(w.hidden[s.ID])})
	if err != nil {
		return "hide " + s.ID + " in vain"
	}
	w.hidden[s.ID] = !w.hidden[s.ID]
	return fmt.Sprintf("hide %s: %t", s.ID, w.hidden[s.ID])
}

// list is what one home is to see: names, with ! for those of its own that hide.
func (w *truth) list(by *Home) []string {
	var all []string
	for _, h := range w.homes {
		own := false
		for id, s := range w.alive {
			switch {
			case s.home != h:
			case w.hidden[id] && h != by:
			case w.hidden[id]:
				all, own = append(all, id+"!"), true
			default:
				all, own = append(all, id), true
			}
		}
		if !own {
			all = append(all, h.Name)
		}
	}
	return sorted(all)
}

// seen is what it sees.
func (w *truth) seen(by *Home) []string {
	answer, err := localapi.Peers.Do(w.T.Context(), by, localapi.PeersRequest{})
	if err != nil || !answer.Meshes[0].OK {
		return []string{"?"}
	}
	var all []string
	for _, p := range answer.Peers {
		name := p.DisplayName
		if p.Visible != nil && !*p.Visible {
			name += "!"
		}
		if p.Reconnecting {
			name += "?"
		}
		all = append(all, name)
	}
	return sorted(all)
}

// settle lets everything run again and holds what everybody sees against the truth. The lease is far longer than it waits.
func (w *truth) settle() {
	w.T.Helper()
	for _, h := range w.homes {
		h.mu.Lock()
		down := h.process == nil || h.killed
		h.mu.Unlock()
		if down {
			h.Start()
		}
		h.Link(w.broker).Heal()
	}
	end := time.Now().Add(15 * time.Second)
	for _, by := range w.homes {
		for !slices.Equal(w.seen(by), w.list(by)) {
			if time.Now().After(end) {
				w.T.Fatalf("%s sees %q, there are %q, after: %s", by.Name, w.seen(by), w.list(by), strings.Join(w.log, "; "))
			}
			<-time.After(20 * time.Millisecond)
		}
	}
}

// No ghosts, and nobody missing, after any sequence of kills, restarts, partitions and resumes. Each seed is another one.
func TestListsAreTrueAfterAnything(t *testing.T) {
	t.Parallel()
	seeds := 6
	if testing.Short() {
		seeds = 2
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			w := &truth{
				world: newWorld(t, quick, "ada", "ben", "cy"), random: rand.New(rand.NewPCG(seed, 1)),
				alive: map[string]*Session{}, hidden: map[string]bool{},
			}
			for range 4 {
				for range 10 {
					w.log = append(w.log, w.step())
				}
				w.settle()
				w.log = append(w.log, "settled")
			}
		})
	}
}
