package rig

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// crowd is a random life of groups: sessions of several homes join and leave, come and go, and write to groups. It keeps
// its own account of who is to get what.
type crowd struct {
	*world
	rnd  *rand.Rand
	all  []*resident
	want []string // copies, as "text to mailbox"
}

// resident is a home as groups see it.
type resident struct {
	home  *Home
	away  bool
	slots []*slot           // the first is the user, who is there with the daemon
	seats map[string]places // what the broker remembers, by the id of a slot
}

// slot is who can be in a group: a session, or the user of a home.
type slot struct {
	id     string
	of     *resident
	s      *Session // nil for the user, and for a session that is away
	user   bool
	groups places // what it is in, by its own daemon
}

type places = map[string]bool

func (s *slot) there() bool { return !s.of.away && (s.user || s.s != nil) }

func (s *slot) doer() localapi.Doer {
	if s.user {
		return s.of.home
	}
	return s.s
}

// meant reports whether a message to a group is for who is in these.
func meant(groups places, to string) bool {
	for g := range groups {
		if to == "*" || g == to || strings.HasPrefix(g, to+"/") {
			return true
		}
	}
	return to == "*"
}

// recipients says by the rules of design D1 which mailboxes get a copy: those of the sessions that are there, and that
// of each member who counts and has none of them. The sender's session gets nothing.
func (c *crowd) recipients(from *slot, to string) []string {
	var boxes []string
	for _, r := range c.all {
		reached, counts := r == from.of, to == "*"
		for _, s := range r.slots {
			if s != from && !s.user && s.there() && meant(s.groups, to) {
				boxes, reached = append(boxes, s.id), true
			}
			counts = counts || meant(r.seats[s.id], to)
		}
		if counts && !reached {
			boxes = append(boxes, r.home.Name)
		}
	}
	return boxes
}

// join puts somebody into a group.
func (c *crowd) join(s *slot, group string) {
	c.joinGroup(s.doer(), group)
	s.groups[group] = true
	s.of.seats[s.id] = maps.Clone(s.groups)
}

// leave takes somebody out, and with it its member, but for those who are there.
func (c *crowd) leave(s *slot, group string) {
	c.leaveGroup(s.doer(), group)
	delete(s.groups, group)
	for _, o := range s.of.slots {
		if !o.there() || !o.groups[group] {
			delete(s.of.seats[o.id], group)
		}
	}
	s.of.seats[s.id] = maps.Clone(s.groups)
}

// write sends a message to a group, or to everyone, and notes who is to get it.
func (c *crowd) write(s *slot, to string, n int) {
	text := fmt.Sprintf("%d from %s to %s", n, s.id, to)
	boxes := c.recipients(s, to)
	target := to
	if to != "*" {
		target = "@" + to
	}
	answer, err := localapi.Send.Do(c.T.Context(), s.doer(), localapi.SendRequest{To: target, Message: text, Wait: mesh.StateAccepted})
	c.must(err)
	for _, box := range boxes {
		c.want = append(c.want, text+" -> "+box)
	}
	status := c.status(s.of.home, string(answer.ClientMessageID))
	if status.RecipientCount != len(boxes) {
		var got []string
		for _, r := range status.Recipients {
			got = append(got, r.Name)
		}
		c.T.Errorf("%s: got %d recipients %v, want %v", text, status.RecipientCount, got, boxes)
	}
}

// open brings a session back, close sends it away.
func (c *crowd) open(s *slot) {
	s.s = c.world.open(s.of.home, s.id)
	s.of.seats[s.id] = maps.Clone(s.groups)
	c.settle()
}

func (c *crowd) close(s *slot) {
	c.world.close(s.s)
	s.s = nil
	c.settle()
}

// stop ends a daemon with all that it connects, start brings it back.
func (c *crowd) stop(r *resident) {
	r.home.Stop()
	r.away = true
	c.settle()
}

func (c *crowd) start(r *resident) {
	r.home.Start()
	r.away = false
	c.wantOpen(r.home)
	for _, s := range r.slots {
		if s.s != nil {
			c.wantSessionOpen(s.s)
		}
	}
	c.settle()
}

// settle waits until the broker knows who is there and who is not.
func (c *crowd) settle() {
	var want []string
	for _, r := range c.all {
		sessions := 0
		for _, s := range r.slots {
			if !s.user && s.there() {
				want, sessions = append(want, s.id), sessions+1
			}
		}
		if !r.away && sessions == 0 {
			want = append(want, r.home.Name)
		}
	}
	c.wantPeers(c.all[0].home, want...)
}

var crowdGroups = []string{"a", "a/b", "a/b/c", "ab", "d", "d/e"}

// step does one thing at random.
func (c *crowd) step(n int) {
	r := c.all[c.rnd.IntN(len(c.all))]
	s := r.slots[c.rnd.IntN(len(r.slots))]
	group := crowdGroups[c.rnd.IntN(len(crowdGroups))]
	switch at := c.rnd.IntN(20); {
	case at == 0 && r.away:
		c.start(r)
	case at == 0 && r != c.all[0]: // the first looks on
		c.stop(r)
	case r.away:
	case at < 4 && !s.user && s.s != nil:
		c.close(s)
	case !s.there():
		c.open(s)
	case at < 9:
		c.join(s, group)
	case at < 12:
		c.leave(s, group)
	case at == 12:
		c.write(s, "*", n)
	default:
		c.write(s, group, n)
	}
}

// check brings everybody back, and holds what came against the account.
func (c *crowd) check() {
	boxes := map[mesh.Key]string{}
	for _, r := range c.all {
		if r.away {
			c.start(r)
		}
		boxes[r.home.Mesh("team").Pubkey] = r.home.Name
		for _, s := range r.slots {
			if !s.user && s.s == nil {
				c.open(s)
			}
			if !s.user {
				boxes[s.s.Key] = s.id
			}
		}
	}
	slices.Sort(c.want)
	var got []string
	gather := func() bool {
		got = nil
		for _, r := range c.all {
			for _, item := range c.Inbox(r.home) {
				got = append(got, *item.Body+" -> "+boxes[item.RecipientPubkey])
			}
		}
		return len(got) >= len(c.want)
	}
	c.Until("everything is delivered", gather)
	slices.Sort(got)
	if diff := cmp.Diff(c.want, got); diff != "" {
		c.T.Errorf("copies (-want +got):\n%s", diff)
	}
}

// Every member of a group gets one copy a session, nobody else gets any, whoever joins, leaves, comes and goes (lessons
// 2.1.1 and 2.1.2).
func TestLesson212EachMemberOfAGroupGetsItOnce(t *testing.T) {
	t.Parallel()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	c := &crowd{world: newWorld(t, quick, "ada", "ben", "carol"), rnd: rand.New(rand.NewPCG(seed, 4))}
	for _, h := range c.homes {
		r := &resident{home: h, seats: map[string]places{}}
		r.slots = append(r.slots, &slot{id: h.Name, of: r, user: true, groups: places{}})
		for _, name := range []string{"1", "2"} {
			r.slots = append(r.slots, &slot{id: h.Name + name, of: r, groups: places{}})
		}
		c.all = append(c.all, r)
	}
	for n := range 250 {
		c.step(n)
	}
	c.check()
	if len(c.want) < 50 {
		t.Errorf("only %d copies were sent", len(c.want))
	}
}
