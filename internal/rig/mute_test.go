package rig

import (
	"fmt"
	"slices"
	"testing"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// wantSilence compares with nothing what a session is given by every path that it did not ask for messages by.
func (w *world) wantSilence(s *Session, when string) {
	w.T.Helper()
	w.wantBodies(s, when)
	if taken, err := localapi.InboxTake.Do(w.T.Context(), s, localapi.TakeRequest{}); err != nil || len(taken.Items)+len(taken.Notices) > 0 {
		w.T.Errorf("%s: with the answer of a tool came %+v, %v, want nothing", when, taken, err)
	}
	for _, event := range []string{"SessionStart", "UserPromptSubmit", "PostToolUse", "Stop"} {
		if given := w.hook(s, localapi.HookRequest{Event: event}); given.Context != "" {
			w.T.Errorf("%s: the hook %s gave %q, want nothing", when, event, given.Context)
		}
	}
}

// wantMuted compares what lies in an inbox, unread and marked.
func (w *world) wantMuted(d localapi.Doer, when string, want ...string) {
	w.T.Helper()
	keep := false
	answer, err := localapi.Inbox.Do(w.T.Context(), d, localapi.InboxRequest{UnreadOnly: true, MarkSeen: &keep})
	w.must(err)
	var got []string
	for _, i := range answer.Items {
		if i.Muted {
			got = append([]string{*i.Body}, got...)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || want != nil && answer.Unread != len(want) {
		w.T.Errorf("%s: muted are %q of %d, want %q", when, got, answer.Unread, want)
	}
}

// What a muted peer writes is delivered, lies unread and marked in the inbox and reaches no session by itself, however urgent
// it is, also after a restart; a session that asks has it. When the human says so, the rest is given in its order.
func TestMuteKeepsQuiet(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		s, acts := w.open(ben, "one"), w.alone(ben, "two")
		w.pause(s, localapi.PauseBegin, localapi.PauseRequest{Mute: true, Peer: "ada"})
		var sent []localapi.SendAnswer
		for i, priority := range []mesh.Priority{mesh.Next, mesh.Now, mesh.Low} {
			answer, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{To: "one", Message: fmt.Sprint(i), Priority: string(priority)})
			w.must(err)
			w.wantState(ada, answer.ClientMessageID, mesh.StateDelivered)
			sent = append(sent, answer)
		}
		w.arrives(ada, "two", "for who acts alone", ben)
		w.wantSilence(s, "muted")
		w.wantSilence(acts, "muted, to a session that acts alone")
		w.wantMuted(s, "the session asks", "0", "1", "2")
		if got := w.heldReasons(ben); len(got) != 0 {
			t.Errorf("held are %v, want nothing to review", got)
		}
		ben.Stop()
		ben.Start()
		w.wantOpen(ben)
		w.wantSilence(s, "after a restart")
		w.wantMuted(ben, "the user asks", "0", "1", "2", "for who acts alone")
		if _, err := localapi.PauseEnd.Do(t.Context(), s, localapi.PauseRequest{Mute: true, Peer: "ada"}); !mesh.IsCode(err, mesh.HumanOnly) {
			t.Errorf("unmuted by the session: got %v, want %s", err, mesh.HumanOnly)
		}
		for _, m := range sent {
			w.wantState(ada, m.ClientMessageID, mesh.StateDelivered)
		}
		w.pause(ben, localapi.PauseEnd, localapi.PauseRequest{})
		w.wantSilence(s, "what is paused goes on")
		w.pause(ben, localapi.PauseEnd, localapi.PauseRequest{Mute: true, Peer: string(w.keyOf(ada))})
		w.wantBodies(s, "unmuted", "0", "1", "2")
		w.wantMuted(s, "unmuted")
	})
}

// What comes to a muted group keeps quiet, in whatever case its name is written, and what else its members write comes.
func TestMuteOfAGroup(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		w.trusts(ben, "ada")
		s := w.open(ben, "one")
		w.joinGroup(s, "ops")
		w.joinGroup(s, "dev")
		w.pause(ben, localapi.PauseBegin, localapi.PauseRequest{Mute: true, Peer: "@Ops", Mesh: "team"})
		w.pause(ben, localapi.PauseBegin, localapi.PauseRequest{Mute: true, Peer: "@all"})
		own, _ := listen(t, ben, s, localapi.Events, localapi.EventsRequest{})
		users, _ := listen(t, ben, nil, localapi.Events, localapi.EventsRequest{})
		w.arrives(ada, "@ops", "to ops", ben)
		w.arrives(ada, "*", "to everyone", ben)
		w.wantSilence(s, "to a muted group")
		w.arrives(ada, "@dev", "to dev", ben)
		w.arrives(ada, "one", "to one", ben)
		w.wantBodies(s, "to others", "to dev", "to one")
		for who, want := range map[*listener][]string{own: {"to dev", "to one"}, users: {"to ops muted", "to everyone muted", "to dev", "to one"}} {
			var got []string
			w.Until("the last one is on the stream", func() bool {
				got = nil
				for _, i := range events[localapi.InboxItem](t, who.bytes(), localapi.EventMessage) {
					got = append(got, *i.Body+map[bool]string{true: " muted"}[i.Muted])
				}
				return slices.Contains(got, "to one")
			})
			if !slices.Equal(got, want) {
				t.Errorf("who follows has %q, want %q", got, want)
			}
		}
		w.pause(ben, localapi.PauseEnd, localapi.PauseRequest{Mute: true, Peer: "@ops"})
		w.wantBodies(s, "unmuted", "to ops")
		answer := w.pause(ben, localapi.PauseEnd, localapi.PauseRequest{Mute: true, Peer: "*"})
		if len(answer.Changed) != 1 || len(answer.Muted) != 0 {
			t.Errorf("unmuted %+v, want the last one", answer)
		}
		w.wantBodies(s, "all unmuted", "to everyone")
		for _, req := range []localapi.PauseRequest{{Mute: true}, {Mute: true, Peer: "#topic"}, {Peer: "@ops"}} {
			if _, err := localapi.PauseBegin.Do(t.Context(), ben, req); !mesh.IsCode(err, mesh.BadRequest) {
				t.Errorf("%+v: got %v, want %s", req, err, mesh.BadRequest)
			}
		}
		if _, err := localapi.PauseEnd.Do(t.Context(), ben, localapi.PauseRequest{Mute: true, Peer: "@ops"}); !mesh.IsCode(err, mesh.NotFound) {
			t.Errorf("unmuted again: got %v, want %s", err, mesh.NotFound)
		}
	})
}
