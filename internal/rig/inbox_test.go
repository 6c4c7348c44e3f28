package rig

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// flush deletes what a reader may read.
func (w *world) flush(d localapi.Doer, req localapi.FlushRequest) int {
	w.T.Helper()
	answer, err := localapi.InboxFlush.Do(w.T.Context(), d, req)
	w.must(err)
	return answer.Removed
}

// search finds texts in what a reader may read.
func (w *world) search(d localapi.Doer, text string) []string {
	w.T.Helper()
	keep := false
	answer, err := localapi.Inbox.Do(w.T.Context(), d, localapi.InboxRequest{Search: text, MarkSeen: &keep})
	w.must(err)
	found := []string{}
	for _, i := range answer.Items {
		found = append(found, *i.Body)
	}
	return found
}

// A session deletes and finds what is its own; another's messages, and what is held for the human, are not touched.
func TestInboxIsClearedAndSearchedByItsReader(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		one, two := w.open(ada, "one"), w.open(ada, "two")
		wild := &Session{ID: "wild", home: ada}
		answer, err := localapi.SessionRegister.Do(t.Context(), wild, localapi.RegisterRequest{
			SessionID: "wild", PID: os.Getpid(), CWD: "/", DisplayName: "wild", Host: localapi.Host{Name: "codex"},
		})
		w.must(err)
		wild.Token = answer.Token
		w.wantSessionOpen(wild)
		for _, s := range []string{"one", "two", "wild"} {
			sent := w.Send(ben, s, "Notes for "+s).ClientMessageID
			w.wantState(ben, sent, mesh.StateDelivered)
		}
		for reader, want := range map[localapi.Doer][]string{
			one: {"Notes for one"}, two: {"Notes for two"}, wild: {}, ada: {"Notes for wild", "Notes for two", "Notes for one"},
		} {
			if diff := cmp.Diff(want, w.search(reader, "notes FOR")); diff != "" {
				t.Errorf("found: -want +got\n%s", diff)
			}
		}
		if n := w.flush(wild, localapi.FlushRequest{}); n != 0 {
			t.Errorf("a session that acts alone deleted %d messages, want those left to its human", n)
		}
		id := w.Inbox(two)[0].ID
		if _, err := localapi.InboxDelete.Do(t.Context(), one, localapi.InboxDeleteRequest{ID: id}); !mesh.IsCode(err, mesh.NotFound) {
			t.Errorf("a session deleted another's message: %v", err)
		}
		if n := w.flush(one, localapi.FlushRequest{}); n != 1 {
			t.Errorf("a session deleted %d messages, want its own", n)
		}
		w.wantTexts(ada, "Notes for two", "Notes for wild")
		ada.Stop()
		ada.Start()
		w.wantTexts(ada, "Notes for two", "Notes for wild")
		if n := w.flush(ada, localapi.FlushRequest{Mesh: new("team")}); n != 2 {
			t.Errorf("the human deleted %d messages, want all", n)
		}
		if got := w.Texts(ada); len(got) != 0 {
			t.Errorf("%q is left, want nothing", got)
		}
	})
}
