package rig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// hook tells what a hook of a session says, and gives what the session is given.
func (w *world) hook(s *Session, req localapi.HookRequest) localapi.HookAnswer {
	w.T.Helper()
	req.TakesContext = true
	answer, err := localapi.Hook.Do(w.T.Context(), s, req)
	w.must(err)
	if len(answer.Attempts) > 0 {
		_, err := localapi.Hook.Do(w.T.Context(), s, localapi.HookRequest{Event: req.Event, Offered: answer.Attempts})
		w.must(err)
	}
	return answer
}

// paths gives the state of each path into the one session of a home, and the one that is chosen.
func (w *world) paths(h *Home) (states map[string]string, chosen string) {
	w.T.Helper()
	answer, err := localapi.SessionPathsList.Do(w.T.Context(), h, localapi.None{})
	w.must(err)
	if len(answer.Sessions) != 1 {
		w.T.Fatalf("got %+v, want one session", answer.Sessions)
	}
	states = map[string]string{}
	for _, p := range answer.Sessions[0].Paths {
		states[p.Path] = p.State
	}
	return states, answer.Sessions[0].Chosen
}

// comesTo sends a message and waits until it is in the session's inbox.
func (w *world) comesTo(from *Home, to *Session, text string) {
	w.T.Helper()
	w.wantState(from, w.Send(from, to.ID, text).ClientMessageID, mesh.StateDelivered)
}

// A session without another path is shown its messages by its hooks, each once; the transcript of its host proves it.
func TestHooksShowMessages(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		w.trusts(ben, "ada")
		work := w.open(ben, "work")
		w.comesTo(ada, work, "first")
		if got := w.hook(work, localapi.HookRequest{Event: "SessionStart"}); got.Context != "" {
			t.Errorf("a session that begins was given %q", got.Context)
		}
		if states, chosen := w.paths(ben); chosen != "hook" || states["hook"] != "usable" || states["socket"] != "unusable" {
			t.Errorf("got %s of %v, want the hook", chosen, states)
		}
		given := w.hook(work, localapi.HookRequest{Event: "UserPromptSubmit"})
		if !strings.Contains(given.Context, "\nfirst\n") || len(given.Attempts) != 1 || !strings.Contains(given.Context, given.Attempts[0]) {
			t.Fatalf("got %+v, want the message with its token", given)
		}
		if again := w.hook(work, localapi.HookRequest{Event: "PostToolUse"}); again.Context != "" {
			t.Errorf("got %q, want nothing twice", again.Context)
		}
		transcript := filepath.Join(t.TempDir(), "t.jsonl")
		text := strings.NewReplacer(`"`, `\"`, "\n", `\n`).Replace(given.Context)
		w.must(os.WriteFile(transcript, []byte(`{"type":"attachment","attachment":{"type":"hook_additional_context","content":["`+text+"\"]}}\n"), 0o600))
		if got := w.hook(work, localapi.HookRequest{Event: "Stop", Transcript: transcript}); got.Surfaced != 1 {
			t.Errorf("%d are proved, want the one in the transcript", got.Surfaced)
		}
		if states, _ := w.paths(ben); states["hook"] != "proved" {
			t.Errorf("the hook is %s, want proved", states["hook"])
		}
		w.comesTo(ada, work, "second")
		if got := w.hook(work, localapi.HookRequest{Event: "Stop", Again: true}); got.Context != "" {
			t.Errorf("a turn that was lengthened is lengthened again by %q", got.Context)
		}
		if got := w.hook(work, localapi.HookRequest{Event: "Stop"}); !strings.Contains(got.Context, "second") {
			t.Errorf("at the end of a turn: got %q, want the message", got.Context)
		}
		inside := *work // a process of the session that does not have its token
		inside.Token = ""
		w.comesTo(ada, work, "third")
		if got := w.hook(&inside, localapi.HookRequest{Event: "PostToolUse"}); got.Context != "" {
			t.Errorf("without its token: got %q, want no text", got.Context)
		}
	})
}

// What a path did not show within a whole turn is tried by the next one.
func TestAnUnprovedMessageTakesTheNextPath(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		w.trusts(ben, "ada")
		work := w.open(ben, "work")
		w.hook(work, localapi.HookRequest{Event: "SessionStart"})
		w.comesTo(ada, work, "hello")
		items := w.offered(work) // by the choice of an older server
		if len(items) != 1 {
			t.Fatalf("got %+v, want one message", items)
		}
		_, err := localapi.InboxOffered.Do(t.Context(), work, localapi.OfferedRequest{Attempts: []string{items[0].Attempt}, Path: "channel"})
		w.must(err)
		if got := w.hook(work, localapi.HookRequest{Event: "Stop"}); got.Context != "" {
			t.Errorf("the turn in which it was offered ends: got %q, want nothing yet", got.Context)
		}
		ben.Clock.Turn(time.Second)
		w.hook(work, localapi.HookRequest{Event: "UserPromptSubmit"})
		ben.Clock.Turn(time.Second)
		if got := w.hook(work, localapi.HookRequest{Event: "Stop"}); !strings.Contains(got.Context, "hello") {
			t.Errorf("a whole turn later: got %q, want the message", got.Context)
		}
		if states, _ := w.paths(ben); states["hook"] != "usable" {
			t.Errorf("got %v, want the hook usable", states)
		}
		w.surfaced(work, 1, items[0].Attempt) // late, and still a proof
		w.surfaced(work, 0, items[0].Attempt)
	})
}

// Who wants not to be disturbed is shown what is urgent, and the rest afterwards. A hook does not change that.
func TestDoNotDisturb(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		w.trusts(ben, "ada")
		work := w.open(ben, "work")
		w.comesTo(ada, work, "before")
		status := func(s mesh.Status) {
			t.Helper()
			_, err := localapi.ProfileSet.Do(t.Context(), work, localapi.ProfileRequest{Status: &s})
			w.must(err)
		}
		status(mesh.DND)
		if got := w.hook(work, localapi.HookRequest{Event: "UserPromptSubmit", Status: mesh.Working}); got.Context != "" {
			t.Errorf("got %q, want peace", got.Context)
		}
		if got := w.hook(work, localapi.HookRequest{Event: "Stop", Status: mesh.Idle}); got.Context != "" {
			t.Errorf("after a hook told of another status: got %q, want peace", got.Context)
		}
		if got := len(w.Inbox(work)); got != 1 {
			t.Errorf("the inbox has %d messages, want the one", got)
		}
	})
}
