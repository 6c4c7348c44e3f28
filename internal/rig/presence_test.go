package rig

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// row is what a caller sees of a name; the zero row where it does not see it.
func (w *world) row(d localapi.Doer, name string) localapi.Peer {
	w.T.Helper()
	answer, err := localapi.Peers.Do(w.T.Context(), d, localapi.PeersRequest{})
	w.must(err)
	for _, p := range answer.Peers {
		if p.DisplayName == name {
			return p
		}
	}
	return localapi.Peer{}
}

// say changes what others see of a caller, and returns what came of it.
func (w *world) say(d localapi.Doer, req localapi.ProfileRequest) localapi.ProfileAnswer {
	w.T.Helper()
	answer, err := localapi.ProfileSet.Do(w.T.Context(), d, req)
	w.must(err)
	return answer
}

// What a user tells others is seen by them, kept here, and told again after a restart of either side.
func TestProfileIsKept(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		dnd := mesh.DND
		answer := w.say(ada, localapi.ProfileRequest{Summary: new("at the ledger"), Status: &dnd, Title: new("Dr"), Capabilities: []string{"go"}})
		if !slices.Equal(answer.Applied, []string{"summary", "status", "title", "capabilities"}) || !slices.Equal(answer.Meshes, []string{"team"}) {
			t.Errorf("got %+v", answer)
		}
		seen := func() {
			t.Helper()
			w.Until("ben sees it", func() bool {
				p := w.row(ben, "ada")
				return p.Summary != nil && *p.Summary == "at the ledger" && p.Status == mesh.DND && p.Profile != nil &&
					p.Profile.Title == "Dr" && slices.Equal(p.Profile.Capabilities, []string{"go"})
			})
		}
		seen()
		w.broker.Stop()
		w.broker.Start()
		seen()
		ada.Stop()
		ada.Start()
		seen()
		ada.Link(w.broker).Cut()
		pass(time.Minute)
		if answer := w.say(ada, localapi.ProfileRequest{Summary: new("back soon")}); !slices.Equal(answer.Waiting, []string{"team"}) {
			t.Errorf("without a connection: got %+v", answer)
		}
		ada.Link(w.broker).Heal()
		w.Until("ben sees what was said meanwhile", func() bool {
			p := w.row(ben, "ada")
			return p.Summary != nil && *p.Summary == "back soon" && p.Status == mesh.DND
		})
	})
}

func TestHiddenUserIsSeenByNobodyElse(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		w.say(ada, localapi.ProfileRequest{Visible: new(false)})
		if p := w.row(ben, "ada"); p.Pubkey != "" && w.online(ben, "ada") {
			t.Errorf("ben sees %+v", p)
		}
		if p := w.row(ada, "ada"); p.Visible == nil || *p.Visible {
			t.Errorf("ada sees %+v of herself", p)
		}
		_, err := localapi.Send.Do(t.Context(), ben, localapi.SendRequest{To: string(ada.Mesh("team").Pubkey), Message: "hi"})
		w.must(err)
		w.wantTexts(ada, "hi")
		ada.Stop()
		ada.Start()
		w.wantOpen(ada)
		if w.online(ben, "ada") {
			t.Error("ada is seen after a restart")
		}
	})
}

// A short cut is nobody's news, a long one is one leave and one return (lessons 4, test 4).
func TestLesson117WhatOthersHearOfALostConnection(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		heard := w.listen(ben)
		ada.Link(w.broker).Cut()
		pass(60 * time.Second)
		ada.Link(w.broker).Heal()
		w.wantOpen(ada)
		pass(2 * time.Minute)
		if got := heard(); len(got) != 0 {
			t.Errorf("after a minute: ben heard %q", got)
		}
		ada.Link(w.broker).Cut()
		pass(4 * time.Minute) // 75 s until the silence is noticed, 90 s of lease
		ada.Link(w.broker).Heal()
		w.wantOpen(ada)
		pass(time.Minute)
		if got := heard(); !slices.Equal(got, []string{"peer_left ada", "peer_returned ada"}) {
			t.Errorf("after four minutes: ben heard %q", got)
		}
	})
}

// listen gathers the events that the daemon of a home passes on, but for those of its connections.
func (w *world) listen(h *Home) (heard func() []string) {
	h.mu.Lock()
	events, stop := h.process.daemon.Server().Node.Events.Subscribe()
	h.mu.Unlock()
	w.T.Cleanup(stop)
	return func() (got []string) {
		for {
			select {
			case e := <-events:
				if s, ok := e.Body.(localapi.SystemEvent); ok {
					got = append(got, s.Event+" "+s.Data["name"])
				}
			default:
				return got
			}
		}
	}
}

func TestInfoAndPing(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		info, err := localapi.Info.Do(t.Context(), ada, localapi.InfoRequest{})
		w.must(err)
		if m := info.Meshes[0]; m.Info == nil || m.Info.Peers != 2 || m.Info.Members != 2 || m.Info.YourName != "ada" || m.Slug != "team" {
			t.Errorf("info: got %+v", m)
		}
		ping, err := localapi.PingBrokers.Do(t.Context(), ada, localapi.PingRequest{})
		w.must(err)
		if p := ping.Meshes[0]; !p.OK || p.PeersOnline != 2 {
			t.Errorf("ping: got %+v", p)
		}
		ada.Link(w.broker).Cut()
		pass(2 * time.Minute)
		ping, err = localapi.PingBrokers.Do(t.Context(), ada, localapi.PingRequest{})
		w.must(err)
		if p := ping.Meshes[0]; p.OK || p.Error == "" || p.Status != "reconnecting" {
			t.Errorf("ping without a connection: got %+v", p)
		}
		ada.Link(w.broker).Heal() // and nobody waits for the next try
		ping, err = localapi.PingBrokers.Do(t.Context(), ada, localapi.PingRequest{})
		w.must(err)
		if p := ping.Meshes[0]; !p.OK {
			t.Errorf("ping of a broker that is back: got %+v", p)
		}
		profile, err := localapi.Profiles.Do(t.Context(), ben, localapi.ProfilesRequest{Mesh: "team"})
		w.must(err)
		if p := profile.Profiles[0]; p.Connection != "open" || !p.Visible || p.Access != "member" || p.DisplayName != "ben" {
			t.Errorf("profile: got %+v", p)
		}
	})
}

// A watch tells who is there, then each change.
func TestWatch(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		ctx, cancel := context.WithCancel(t.Context())
		changes, over := make(chan localapi.PeerChange, 100), make(chan error, 1)
		there := ben.process.daemon.Server().Node.Presence()
		go func() {
			over <- there.Watch(ctx, "", localapi.PeersRequest{}, func(all []localapi.PeerChange) error {
				for _, c := range all {
					changes <- c
				}
				return nil
			})
		}()
		next := func() string {
			for {
				select {
				case c := <-changes:
					if c.Peer != nil {
						return fmt.Sprintf("%s %s %s", c.Change, c.Peer.DisplayName, c.Peer.Status)
					}
					if c.Change == localapi.WatchReady {
						return c.Change
					}
				case <-time.After(patience):
					return "nothing"
				}
			}
		}
		want := func(texts ...string) {
			t.Helper()
			var got []string
			for range texts {
				got = append(got, next())
			}
			if !slices.Equal(sorted(got), sorted(texts)) {
				t.Errorf("got %q, want %q", got, texts)
			}
		}
		want("here ada idle", "here ben idle", "ready")
		one := w.open(ada, "one")
		want("joined one idle", "left ada idle") // the member is there as its session
		working := mesh.Working
		w.say(one, localapi.ProfileRequest{Status: &working})
		want("changed one working")
		w.close(one)
		want("left one working", "joined ada idle")
		cancel()
		w.must(<-over)
	})
}

// What a session changes of itself is seen by others, is kept over a registration anew and a restart, and takes no
// message away.
func TestSessionRenamesItself(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		s := w.open(ben, "s1")
		key := w.row(ada, "s1").Pubkey
		answer := w.say(s, localapi.ProfileRequest{
			Name: new("api"), Role: new("reviewer"), MessageMode: new("inbox"), Groups: []protocol.Group{{Name: "ops", Role: "lead"}}, Title: new("Dr"),
		})
		if want := []string{"title", "groups", "name", "role", "message_mode"}; !slices.Equal(answer.Applied, want) || !slices.Equal(answer.Meshes, []string{"team"}) {
			t.Errorf("got %+v, want applied %q in team", answer, want)
		}
		seen := func() {
			t.Helper()
			w.Until("ada sees it", func() bool {
				p := w.row(ada, "api")
				return p.Pubkey == key && p.Role == "reviewer" && p.Profile != nil && p.Profile.Title == "Dr" && slices.Equal(p.Groups, []protocol.Group{{Name: "ops", Role: "lead"}})
			})
		}
		seen()
		w.Send(ada, "api", "hello")
		w.Until("it came", func() bool { return slices.Contains(w.Texts(s), "hello") })
		again := ben.Register("s1", s)
		seen()
		ben.Stop()
		ben.Start()
		seen()
		if _, err := localapi.ProfileSet.Do(t.Context(), ben, localapi.ProfileRequest{Name: new("x")}); !mesh.IsCode(err, mesh.SessionUnknown) {
			t.Errorf("outside of a session: got %v, want session_unknown", err)
		}
		if _, err := localapi.ProfileSet.Do(t.Context(), again, localapi.ProfileRequest{Name: new("x"), Mesh: "team"}); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("in one mesh: got %v, want bad_request", err)
		}
		if of, apart := w.say(again, localapi.ProfileRequest{Groups: []protocol.Group{}}).Apart, w.say(ben, localapi.ProfileRequest{Visible: new(false)}).Apart; of != 0 || apart != 1 {
			t.Errorf("got %d and %d, want the user, and not a session, told of one that is seen as before", of, apart)
		}
	})
}
