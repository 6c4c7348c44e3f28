package rig

import (
	"fmt"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// Claude Code's inbox drops of a burst what it does not take, and says nothing: it is not given that much, also after a
// restart of the daemon. The rest comes by itself, in its order, and no other path is held up.
func TestABurstIsGivenToTheInboxOfAHostAsItTakesIt(t *testing.T) {
	t.Parallel()
	set := quick
	connect := set.daemon
	set.daemon = func(d *config.Daemon) {
		connect(d)
		d.WakeMinute, d.WakeHour, d.WakeAlternating = 0, 0, 0
	}
	w := newWorld(t, set, "ada", "ben")
	ada, ben := w.homes[0], w.homes[1]
	w.trusts(ben, "ada")
	s, other := w.open(ben, "s"), w.open(ben, "other")
	const sent = host.InboxBurst + 2
	for i := range sent {
		w.Send(ada, "s", fmt.Sprint(i))
		w.Send(ada, "other", fmt.Sprint(i))
	}
	w.Until("all have come", func() bool { return len(w.Inbox(s)) == sent && len(w.Inbox(other)) == sent })
	if got := w.offered(other, localapi.PathChannel); len(got) != sent {
		t.Errorf("a channel was given %d messages, want all %d", len(got), sent)
	}
	given := []localapi.InboxItem{}
	give := func() {
		items := w.offered(s, localapi.PathSocket)
		for _, item := range items {
			_, err := localapi.InboxOffered.Do(t.Context(), s, localapi.OfferedRequest{Attempts: []string{item.Attempt}, Path: localapi.PathSocket})
			w.must(err)
		}
		given = append(given, items...)
	}
	began := time.Now()
	give()
	if len(given) != host.InboxBurst {
		t.Errorf("the inbox was given %d messages, want %d", len(given), host.InboxBurst)
	}
	ben.Stop()
	ben.Start()
	w.wantSessionOpen(s)
	w.Until("the rest is given", func() bool {
		give()
		return len(given) == sent
	})
	if took := time.Since(began); took < 2*host.InboxEvery {
		t.Errorf("two more than a burst took %v, want at least %v", took, 2*host.InboxEvery)
	}
	for i, item := range given {
		if item.Body == nil || *item.Body != fmt.Sprint(i) {
			t.Errorf("message %d is %v", i, item.Body)
		}
	}
}

// What a session is told of messages that wait comes by the same inbox, and counts.
func TestNoticesCountForTheInboxOfAHost(t *testing.T) {
	t.Parallel()
	set := quick
	connect := set.daemon
	set.daemon = func(d *config.Daemon) {
		connect(d)
		d.WakeMinute, d.WakeHour, d.WakeAlternating, d.OfferedLimit = 0, 0, 0, 1
	}
	w := newWorld(t, set, "ada", "ben")
	ada, ben := w.homes[0], w.homes[1]
	w.trusts(ben, "ada")
	s := w.open(ben, "s")
	w.hook(s, localapi.HookRequest{Event: "SessionStart"})
	for i := range host.InboxBurst {
		w.Send(ada, "s", fmt.Sprint(i))
	}
	w.Until("all have come", func() bool { return len(w.Inbox(s)) == host.InboxBurst })
	req, err := localapi.Events.Request(localapi.EventsRequest{Deliver: true, Paths: localapi.PathSocket})
	w.must(err)
	began, given := time.Now(), 0
	for more := true; more; {
		more = false
		var attempts []string
		for range 2 { // a message, and how many wait behind it
			answer, err := s.Do(t.Context(), req)
			w.must(err)
			for _, item := range events[localapi.InboxItem](t, answer.Body, localapi.EventMessage) {
				attempts = append(attempts, item.Attempt)
				given, more = given+1, true
			}
			_, err = localapi.InboxOffered.Do(t.Context(), s, localapi.OfferedRequest{Attempts: attempts, Path: localapi.PathSocket})
			w.must(err)
			told := len(events[localapi.Notice](t, answer.Body, localapi.EventNotice))
			given, more = given+told, more || told > 0
		}
		w.surfaced(s, len(attempts), attempts...)
	}
	if most := host.InboxBurst + int(time.Since(began)/host.InboxEvery); given > most || given < host.InboxBurst {
		t.Errorf("the inbox was given %d messages and notices at once, want at most %d", given, most)
	}
}
