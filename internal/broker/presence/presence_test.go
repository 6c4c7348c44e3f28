package presence

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// A short network loss is nobody's news; a long one is one leave and one join (lessons 4, test 4).
func TestLesson117ShortLossIsSilentAndALongOneOneLeaveOneJoin(t *testing.T) {
	inWorld(t, func(w *world) {
		ben := w.enter("ben", daemon)
		ada := w.enter("ada", sessionKey("one"))
		ben.wantHeard("joined one")
		ada.lose()
		w.pass(60 * time.Second)
		w.wantHere("ben", "one?")
		ada = w.enter("ada", sessionKey("one"))
		w.wantHere("ben", "one")
		ben.wantHeard()
		ada.lose()
		w.pass(120 * time.Second)
		w.wantHere("ben")
		ben.wantHeard("left one")
		w.enter("ada", sessionKey("one"))
		ben.wantHeard("joined one")
	})
}

func TestLesson117ALeaseOutlivesTheBroker(t *testing.T) {
	inWorld(t, func(w *world) {
		w.enter("ben", daemon)
		ada := w.enter("ada", sessionKey("one"))
		_, err := w.p.setSummary(t.Context(), ada.session(), protocol.SetSummaryRequest{Summary: "at work"})
		w.must(err)
		w.enter("cy", sessionKey("two"))
		w.pass(time.Second)
		w.restart()
		w.wantHere("ben?", "one?", "two?")
		ben := w.enter("ben", daemon)
		w.enter("ada", sessionKey("one"))
		ben.wantHeard()
		if got := w.find("one").Summary; got != "at work" {
			t.Errorf("the summary is %q after the restart", got)
		}
		w.pass(91 * time.Second)
		w.wantHere("ben", "one")
		ben.wantHeard("left two")
	})
}

func TestEndsAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		ben := w.enter("ben", daemon)
		ada := w.enter("ada", sessionKey("one"))
		ada.leave()
		w.wantHere("ben")
		ben.wantHeard("joined one", "left one")
		away := w.enter("cy", sessionKey("two"))
		away.lose()
		w.enter("cy", sessionKey("three"))
		ben.wantHeard("joined two", "joined three")
		w.p.Dropped("m", "cy") // kicked or banned: who is away, too
		w.wantHere("ben")
		ben.wantHeard("left two", "left three")
	})
}

// Whom a member does not let see it hears nothing of its coming and going.
func TestBlockedPeersHearNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		ben, cy := w.enter("ben", daemon), w.enter("cy", daemon)
		ben.wantHeard("joined cy")
		w.blind = ben.conn.MemberKey
		ada := w.enter("ada", sessionKey("one"))
		ada.leave()
		ben.wantHeard()
		cy.wantHeard("joined one", "left one")
	})
}

// Without session keys the same member and session id is the same presence; one without either comes back to nothing.
func TestWhoComesBackWithoutASessionKey(t *testing.T) {
	inWorld(t, func(w *world) {
		ben := w.enter("ben", sessionKey("b"), old, unproved)
		id := func(s string) how { return func(c *hub.Conn, _ *bool) { c.SessionID = s } }
		ada := w.enter("ada", old, id("x"))
		ada.lose()
		w.enter("ada", old, id("x"))
		ben.wantHeard("joined ada")
		other := w.enter("cy", old, id("x")) // the id of another member's session
		ben.wantHeard("joined cy")
		other.leave()
		nameless := w.enter("cy", old)
		nameless.lose()
		w.wantHere("b", "ada")
		ben.wantHeard("left cy", "joined cy", "left cy")
	})
}

// A close that comes after another connection took the place changes nothing (wire 2.4).
func TestLesson114AReplacedConnectionEndsNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		ben := w.enter("ben", daemon)
		first := w.enter("ada", sessionKey("one"))
		second := w.enter("ada", sessionKey("one"))
		first.leave()
		first.lose()
		w.wantHere("ben", "one")
		ben.wantHeard("joined one")
		second.leave()
		w.wantHere("ben")
	})
}

func TestLesson48AThousandReconnectsAreOnePresence(t *testing.T) {
	inWorld(t, func(w *world) {
		ben := w.enter("ben", daemon)
		for i := range 1000 {
			c := w.enter("ada", sessionKey("one"))
			if i%2 == 0 {
				c.lose()
			}
		}
		w.wantHere("ben", "one")
		ben.wantHeard("joined one")
		if n := len(w.p.book.seats) + len(w.p.book.conns) + len(w.p.expected); n != 4 {
			t.Errorf("%d things are remembered, want 4", n)
		}
	})
}

// One copy for each of our daemons, none for its sessions and none about its own; other programs hear it on each
// connection (lessons 1, row 12; wire 6).
func TestLesson112EventsReachEachDaemonOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		benDaemon, benSession := w.enter("ben", daemon), w.enter("ben", sessionKey("b1"))
		oldOne := w.enter("cy", sessionKey("c1"), old)
		oldTwo := w.enter("cy", sessionKey("c2"), old, unproved)
		benDaemon.wantHeard("joined c1", "joined c2")
		oldOne.wantHeard() // a sibling's plain hello is not its member's news
		adaDaemon := w.enter("ada", daemon)
		ada := w.enter("ada", sessionKey("one"))
		benDaemon.wantHeard("joined ada", "joined one")
		benSession.wantHeard()
		oldOne.wantHeard("joined ada", "joined one")
		oldTwo.wantHeard("joined ada", "joined one")
		adaDaemon.wantHeard()
		w.enter("cy", sessionKey("c3"), old) // after session_hello siblings hear it, too
		oldOne.wantHeard("joined c3")
		benDaemon.heard = nil
		ada.leave()
		benDaemon.wantHeard("left one")
		adaDaemon.wantHeard("joined c3")
	})
}

func TestHiddenPeersAreSeenByTheirMemberAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		ben := w.enter("ben", daemon)
		sibling := w.enter("ada", sessionKey("o"), old)
		ada := w.enter("ada", sessionKey("one"))
		ben.heard, sibling.heard = nil, nil
		show := func(visible bool) {
			t.Helper()
			_, err := w.p.setVisible(t.Context(), ada.session(), protocol.SetVisibleRequest{Visible: visible})
			w.must(err)
		}
		show(false)
		show(false)
		ben.wantHeard("hidden one")
		sibling.wantHeard("hidden one")
		p := w.find("one")
		if p.VisibleTo("ben") || !p.VisibleTo("ada") {
			t.Error("a hidden peer is to be seen by its member alone")
		}
		sibling.leave()
		ben.heard = nil
		got, hidden := w.p.Audience("m", []hub.Conn{ada.conn, ben.conn})
		if len(got) != 1 || got[0].ID != ben.conn.ID || !slices.Equal(hidden, []mesh.ID{"ada"}) {
			t.Errorf("a message to many reaches %+v, hidden %v", got, hidden)
		}
		ada.lose()
		w.pass(2 * time.Minute)
		ben.wantHeard() // it left long ago, as far as they know
		ada = w.enter("ada", sessionKey("one"))
		if ben.wantHeard(); !w.find("one").Hidden {
			t.Error("it came back for all to see")
		}
		show(true)
		ben.wantHeard("visible one")
	})
}

// Who comes or goes while a message to many looks for its recipients hides nothing from it, and is found once.
func TestAudienceOfAListThatIsOld(t *testing.T) {
	inWorld(t, func(w *world) {
		ada, ben := w.enter("ada", sessionKey("one")), w.enter("ben", sessionKey("two"))
		list := []hub.Conn{ada.conn, ben.conn}
		want := func(what string, conns []hub.Conn, keys ...mesh.Key) {
			t.Helper()
			present, hidden := w.p.Audience("m", conns)
			var got []mesh.Key
			for _, c := range present {
				got = append(got, c.SessionKey)
			}
			if !slices.Equal(got, keys) || len(hidden) > 0 {
				t.Errorf("%s: got %v, hidden %v, want %v", what, got, hidden, keys)
			}
		}
		one, two := ada.conn.SessionKey, ben.conn.SessionKey
		want("before ben came", list[:1], one)
		ben.lose()
		want("before ben was lost", list, one, two)
		want("while ben is away", list[:1], one, two)
		ben = w.enter("ben", sessionKey("two"))
		ben.leave()
		want("before ben left", list, one, two)
	})
}

func TestHidingIsNotADrum(t *testing.T) {
	inWorld(t, func(w *world) {
		ada := w.enter("ada", sessionKey("one"))
		var err error
		for i := range bellLimit + 1 {
			_, err = w.p.setVisible(t.Context(), ada.session(), protocol.SetVisibleRequest{Visible: i%2 == 1})
		}
		if !mesh.IsCode(err, mesh.RateLimited) {
			t.Errorf("got %v, want rate_limit", err)
		}
		w.pass(bellSpan)
		_, err = w.p.setVisible(t.Context(), ada.session(), protocol.SetVisibleRequest{Visible: w.find("one").Hidden})
		w.must(err)
	})
}

// Old clients have a key for each connection. What the last one told goes on with the next one, but what a sibling that
// is here told is its own (lessons 2.3, row 3).
func TestLesson233SiblingsKeepWhatIsTheirs(t *testing.T) {
	inWorld(t, func(w *world) {
		summary := func(c *client, text string) {
			_, err := w.p.setSummary(t.Context(), c.session(), protocol.SetSummaryRequest{Summary: text})
			w.must(err)
		}
		one, two := w.enter("ada", sessionKey("k1"), old, unproved), w.enter("ada", sessionKey("k2"), old, unproved)
		summary(one, "of one")
		summary(two, "of two")
		one.leave()
		w.pass(time.Second)
		ben := w.enter("ben", sessionKey("b"), old)
		three := w.enter("ada", sessionKey("k3"), old, unproved)
		ben.wantHeard("returned k3")
		if a := three.answer; !a.Restored || a.LastSummary != "of one" || a.LastSeenAt == "" {
			t.Errorf("got %+v, want what the first had", a)
		}
		if got := w.find("k2").Summary; got != "of two" {
			t.Errorf("the sibling's summary is %q", got)
		}
		w.pass(time.Second)
		four := w.enter("ada", sessionKey("k4"), old, unproved)
		if four.answer.Restored {
			t.Error("what went on with one goes on with another, too")
		}
	})
}

// A client of others adds what is restored to its own counts, and reports totals: neither the same process nor the next
// one counts anything twice (wire TRAP F, lessons 2.3).
func TestLesson233StatsDoNotDouble(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, process := range []string{"k1", "k2"} {
			var in int64
			for connection := range 3 {
				c := w.enter("ada", sessionKey(process), old, unproved)
				if said := c.answer.RestoredStats; said != nil {
					in += said.MessagesIn
				}
				want := int64(5)
				if process == "k2" {
					want = 10
				}
				if connection == 0 {
					in += 5
				}
				_, err := w.p.setStats(t.Context(), c.session(), protocol.SetStatsRequest{Stats: protocol.Stats{MessagesIn: in}})
				w.must(err)
				if got := w.find(process).Stats.MessagesIn; got != want {
					t.Errorf("%s, connection %d: %d messages, want %d", process, connection, got, want)
				}
				c.leave()
				w.pass(time.Second)
			}
		}
	})
}

// A session_hello of another program is never restored; one of ours is (wire 2.2).
func TestWhatIsRestored(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, tc := range []struct {
			name string
			hows []how
			want bool
		}{
			{"their session", []how{sessionKey("s"), old}, false},
			{"our session", []how{sessionKey("o")}, true},
			{"our daemon", []how{daemon}, true},
		} {
			c := w.enter("ada", tc.hows...)
			_, err := w.p.setProfile(t.Context(), c.session(), protocol.SetProfileRequest{Title: new("Dr")})
			w.must(err)
			c.leave()
			w.pass(time.Second)
			again := w.enter("ada", tc.hows...)
			if got := w.find(again.conn.Name).Profile.Title == "Dr"; got != tc.want || again.answer.Restored != tc.want {
				t.Errorf("%s: restored %v, answer %+v", tc.name, got, again.answer)
			}
			again.leave()
		}
	})
}

func TestGroupsOfOldClientsAreRestored(t *testing.T) {
	inWorld(t, func(w *world) {
		dev := protocol.Group{Name: "dev"}
		w.enter("ada", sessionKey("k"), old, unproved, with(dev)).leave()
		w.pass(time.Second)
		c := w.enter("ada", sessionKey("k"), old, unproved)
		if !slices.Equal(c.conn.Groups, []protocol.Group{dev}) || !slices.Equal(c.answer.RestoredGroups, []protocol.Group{dev}) {
			t.Errorf("groups %v, answer %v", c.conn.Groups, c.answer.RestoredGroups)
		}
		c.leave()
		other := protocol.Group{Name: "ops"}
		if c = w.enter("ada", sessionKey("k"), old, unproved, with(other)); c.conn.Groups[0] != other || c.answer.RestoredGroups != nil {
			t.Errorf("groups %v, answer %v: those of the hello go first", c.conn.Groups, c.answer.RestoredGroups)
		}
	})
}

// Statuses go to delivery as they change, and working ends by itself.
func TestStatusGoesToDelivery(t *testing.T) {
	inWorld(t, func(w *world) {
		ada := w.enter("ada", sessionKey("one"))
		set := func(s mesh.Status, source string) {
			_, err := w.p.setStatus(t.Context(), ada.session(), protocol.SetStatusRequest{Status: s, Source: source})
			w.must(err)
		}
		set(mesh.Working, "hook")
		set(mesh.Idle, "jsonl") // too low
		set(mesh.Working, "")
		w.pass(time.Minute + time.Second)
		set(mesh.DND, "")
		ada.lose()
		w.pass(time.Second)
		if c := w.enter("ada", sessionKey("one")); c.conn.Status != mesh.DND {
			t.Errorf("it came back %s", c.conn.Status)
		}
		if want := []string{"1 working", "1 idle", "1 dnd"}; !slices.Equal(w.moods, want) {
			t.Errorf("delivery was told %q, want %q", w.moods, want)
		}
	})
}

// Sessions that ended while their daemon was down are over as soon as it is back.
func TestKeptSessions(t *testing.T) {
	inWorld(t, func(w *world) {
		ben := w.enter("ben", daemon)
		for _, name := range []string{"one", "two"} {
			w.enter("ada", sessionKey(name)).lose()
		}
		w.enter("ada", sessionKey("theirs"), old).lose()
		w.enter("cy", sessionKey("three")).lose()
		live := w.enter("ada", sessionKey("live"))
		ada := w.enter("ada", daemon)
		ben.heard = nil
		answer, err := w.p.keepSessions(t.Context(), ada.session(), protocol.KeepSessionsRequest{Keys: []mesh.Key{key("two")}})
		w.must(err)
		if answer.Ended != 1 {
			t.Errorf("%d ended, want 1", answer.Ended)
		}
		ben.wantHeard("left one")
		w.wantHere("ben", "live", "ada", "two?", "theirs?", "three?")
		live.lose() // it is not served any more, as the daemon said
		ben.wantHeard("left live")
		if _, err := w.p.keepSessions(t.Context(), w.enter("ada", sessionKey("x")).session(), protocol.KeepSessionsRequest{}); !mesh.IsCode(err, mesh.Forbidden) {
			t.Errorf("from a session: got %v, want forbidden", err)
		}
		ada.leave()
		later := w.enter("ada", sessionKey("later"))
		later.lose() // nobody says what is served: it has its lease
		w.wantHere("ben", "x", "two?", "theirs?", "three?", "later?")
	})
}

// Who leaves places behind again and again does not fill the mesh.
func TestPlacesOfOneMemberAreBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		limit := w.p.opt.Settings.MemberConnections
		for i := range limit + 10 {
			w.enter("ada", sessionKey(string(rune('a'+i/26))+string(rune('a'+i%26)))).lose()
			w.pass(10 * time.Millisecond)
		}
		all := w.p.Complete("m", nil)
		if len(all) != limit || all[0].Name != "ak" {
			t.Errorf("%d places, the first is %s; want %d without the oldest", len(all), all[0].Name, limit)
		}
	})
}

func TestTextsAreCutAndClean(t *testing.T) {
	inWorld(t, func(w *world) {
		ada := w.enter("ada", sessionKey("one"))
		long := make([]rune, 2*maxSummary)
		for i := range long {
			long[i] = 'é'
		}
		_, err := w.p.setSummary(t.Context(), ada.session(), protocol.SetSummaryRequest{Summary: " a\x1b[31m\nb\u202e" + string(long)})
		w.must(err)
		if got := []rune(w.find("one").Summary); len(got) != maxSummary || string(got[:8]) != "a[31m bé" {
			t.Errorf("got %d characters: %q", len(got), string(got[:8]))
		}
	})
}

// What a connection whose end is known already says changes nothing.
func TestAfterTheEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		ada := w.enter("ada", sessionKey("one"))
		ada.lose()
		if _, err := w.p.setSummary(context.Background(), ada.session(), protocol.SetSummaryRequest{Summary: "late"}); err != nil {
			t.Error(err)
		}
		if got := w.find("one").Summary; got != "" {
			t.Errorf("got %q", got)
		}
	})
}
