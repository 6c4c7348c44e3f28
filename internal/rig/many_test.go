package rig

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// trio runs a test of three homes in a bubble.
func trio(t *testing.T, set settings, test func(t *testing.T, w *world, ada, ben, carol *Home)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, set, "ada", "ben", "carol")
		test(t, w, w.homes[0], w.homes[1], w.homes[2])
	})
}

// Who waits for a message to many is told who does not have it, and the status counts them.
func TestWaitingForManyNamesWhoIsMissing(t *testing.T) {
	trio(t, settings{}, func(t *testing.T, w *world, ada, ben, carol *Home) {
		carol.Stop()
		pass(time.Second)
		_, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{
			To: "*", Message: "all of you", ClientMessageID: "to-all-of-you", Wait: mesh.StateDelivered, WaitMs: 5000,
		})
		var e *mesh.Error
		if !errors.As(err, &e) || e.Code != mesh.WaitTimeout {
			t.Fatalf("got %v, want %s", err, mesh.WaitTimeout)
		}
		if diff := cmp.Diff(mesh.Details{State: mesh.StateAccepted, Missing: []string{"carol"}}, e.Details); diff != "" || e.Error() != "the message is delivered for 1 of 2; missing: carol" {
			t.Errorf("got %q (-want +got):\n%s", e, diff)
		}
		st := w.status(ada, "to-all-of-you")
		if st.Delivered || st.Encrypted || st.DeliveredTo != 1 || st.RecipientCount != 2 || len(st.Recipients) != 2 || st.Recipients[0].Name != "ben" {
			t.Errorf("got status %+v, want it delivered to ben of two, and not encrypted", st)
		}
		carol.Start()
		st = w.wantState(ada, "to-all-of-you", mesh.StateDelivered)
		if !st.Delivered || st.DeliveredTo != 2 {
			t.Errorf("got status %+v, want it delivered to both", st)
		}
		answer, err := localapi.Send.Do(t.Context(), ada, localapi.SendRequest{
			To: "@nobody", Message: "hello?", ClientMessageID: "to-nobody-at-all", Wait: mesh.StateDelivered,
		})
		if !mesh.IsCode(err, mesh.Undelivered) {
			t.Errorf("got %+v, %v; want %s where nobody is in the group", answer, err, mesh.Undelivered)
		}
		if st = w.status(ada, "to-nobody-at-all"); st.LastError != "nobody is in @nobody: the broker took the message for no one" || !st.Settled {
			t.Errorf("got status %+v, want it to say that nobody is in the group, and that nothing more will become known", st)
		}
		w.say(ben, localapi.ProfileRequest{Visible: new(false)})
		w.say(carol, localapi.ProfileRequest{Visible: new(false)})
		_, err = localapi.Send.Do(t.Context(), ada, localapi.SendRequest{To: "*", Message: "anyone?", Wait: mesh.StateDelivered})
		if want := "nobody else is there: the broker took the message for no one"; !mesh.IsCode(err, mesh.Undelivered) || err.Error() != want {
			t.Errorf("got %v where all others hide, want %q", err, want)
		}
	})
}

// Several recipients: each has a message of its own, all of them or none is taken, and a repetition doubles nothing.
func TestSendingToSeveral(t *testing.T) {
	trio(t, settings{}, func(t *testing.T, w *world, ada, ben, carol *Home) {
		send := func(id, text string, to ...string) ([]localapi.SendAnswer, error) {
			answer, err := localapi.SendMany.Do(t.Context(), ada, localapi.SendManyRequest{
				Recipients: to, Letter: localapi.SendRequest{Message: text, ClientMessageID: id},
			})
			return answer.Messages, err
		}
		for _, c := range []struct {
			to   []string
			code mesh.Code
		}{
			{[]string{"ben", "zoe"}, mesh.TargetNotFound}, {nil, mesh.BadRequest}, {[]string{"ben", ""}, mesh.BadRequest},
			{[]string{"ben", "ada"}, mesh.SelfSend}, {make([]string, 101), mesh.BadRequest}, {[]string{"ben", "@a b"}, mesh.BadName},
		} {
			if _, err := send("refused", "no", c.to...); !mesh.IsCode(err, c.code) {
				t.Errorf("to %q: got %v, want %s", c.to, err, c.code)
			}
		}
		if n := w.outbox(ada); len(n) > 0 {
			t.Errorf("got %v in the outbox after refusals, want nothing", n)
		}
		first, err := send("many", "to both", "ben", "carol", "BEN")
		w.must(err)
		if len(first) != 2 || first[0].TargetName != "ben" || first[1].TargetName != "carol" || !first[0].Encrypted || first[0].ClientMessageID == first[1].ClientMessageID {
			t.Errorf("got %+v, want a message for ben and one for carol", first)
		}
		pass(time.Second)
		ben.Stop() // and yet the repetition is known
		again, err := send("many", "to both", "carol", "ben")
		w.must(err)
		if len(again) != 2 || !again[0].Duplicate || !again[1].Duplicate || again[0].ClientMessageID != first[1].ClientMessageID {
			t.Errorf("got %+v, want both as duplicates", again)
		}
		if _, err := send("many", "another text", "carol", "ben"); !mesh.IsCode(err, mesh.Reused) {
			t.Errorf("got %v for another text under the same id, want %s", err, mesh.Reused)
		}
		ben.Start()
		w.wantTexts(ben, "to both")
		w.wantTexts(carol, "to both")
	})
}

// Plain text is announced once a mesh, and a setting refuses it before anything is sent.
func TestPlainTextIsSaidOnceOrRefused(t *testing.T) {
	trio(t, settings{}, func(t *testing.T, w *world, ada, ben, carol *Home) {
		first := w.Send(ada, "*", "one")
		second := w.Send(ada, "@ops", "two")
		if !first.FirstPlaintext || second.FirstPlaintext || first.Encrypted || w.Send(ada, "ben", "three").FirstPlaintext {
			t.Errorf("got %+v, then %+v; want the first to be told, and no other", first, second)
		}
		pass(time.Second)
		ben.Settings.RequireEncrypted = []string{"team"}
		ben.Start()
		for _, to := range []string{"*", "@ops", "@all"} {
			if _, err := localapi.Send.Do(t.Context(), ben, localapi.SendRequest{To: to, Message: "no"}); !mesh.IsCode(err, mesh.PlaintextRefused) {
				t.Errorf("to %s: got %v, want %s", to, err, mesh.PlaintextRefused)
			}
		}
		many := localapi.SendManyRequest{Recipients: []string{"carol", "*"}, Letter: localapi.SendRequest{Message: "no"}}
		if _, err := localapi.SendMany.Do(t.Context(), ben, many); !mesh.IsCode(err, mesh.PlaintextRefused) {
			t.Errorf("to carol and everyone: got %v, want %s", err, mesh.PlaintextRefused)
		}
		if n := w.outbox(ben); len(n) > 0 {
			t.Errorf("got %v in the outbox, want nothing", n)
		}
		w.Send(ben, "carol", "sealed")
		w.wantTexts(carol, "one", "sealed")
	})
}

// Who waits for several in vain finds all of them under the id that the hint names.
func TestStatusOfSeveral(t *testing.T) {
	trio(t, settings{}, func(t *testing.T, w *world, ada, ben, carol *Home) {
		carol.Stop()
		pass(time.Second)
		_, err := localapi.SendMany.Do(t.Context(), ada, localapi.SendManyRequest{
			Recipients: []string{"ben", "carol"},
			Letter:     localapi.SendRequest{Message: "both of you", ClientMessageID: "to-both-of-you", Wait: mesh.StateDelivered, WaitMs: 5000},
		})
		if !mesh.IsCode(err, mesh.WaitTimeout) {
			t.Fatalf("got %v, want %s", err, mesh.WaitTimeout)
		}
		st := w.status(ada, "to-both-of-you")
		if st.State != mesh.StateAccepted || st.Delivered || st.DeliveredTo != 1 || st.RecipientCount != 2 || len(st.Recipients) != 2 ||
			st.Recipients[0].Name != "ben" || st.Recipients[1].Name != "carol" || !st.Encrypted || st.Mesh != "team" {
			t.Errorf("got %+v, want it delivered to ben and not to carol", st)
		}
		carol.Start()
		if st := w.wantState(ada, "to-both-of-you", mesh.StateDelivered); !st.Delivered || st.DeliveredTo != 2 || st.DeliveredAt == nil {
			t.Errorf("got %+v, want it delivered to both", st)
		}
	})
}
