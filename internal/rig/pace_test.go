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
