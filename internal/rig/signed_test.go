package rig

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// offered gives the messages that a session's deliverer with these paths is given, with their attempt tokens.
func (w *world) offered(s *Session, paths ...string) []localapi.InboxItem {
	w.T.Helper()
	req, err := localapi.Events.Request(localapi.EventsRequest{Deliver: true, Paths: strings.Join(paths, ",")})
	w.must(err)
	answer, err := s.Do(w.T.Context(), req) // ends with what is there: this caller cannot follow a stream
	w.must(err)
	var items []localapi.InboxItem
	for event := range bytes.SplitSeq(answer.Body, []byte("\n\n")) {
		_, data, ok := strings.Cut(string(event), "event: message\ndata: ")
		if !ok {
			continue
		}
		var i localapi.InboxItem
		w.must(wire.Decode([]byte(data), &i))
		items = append(items, i)
	}
	return items
}

// surfaced gives attempt tokens back, as a hook does that saw them, and wants so many to count.
func (w *world) surfaced(s *Session, want int, attempts ...string) {
	w.T.Helper()
	got, err := localapi.InboxSurfaced.Do(w.T.Context(), s, localapi.SurfacedRequest{Attempts: attempts})
	if err != nil || got.Marked != want {
		w.T.Errorf("got %+v, %v, want %d marked", got, err, want)
	}
}

// ack acknowledges a message.
func (w *world) ack(d localapi.Doer, id string) string {
	w.T.Helper()
	got, err := localapi.InboxAcknowledge.Do(w.T.Context(), d, localapi.AcknowledgeRequest{ID: id})
	w.must(err)
	return got.Told
}

// trusts has the human at a home accept a peer's key.
func (w *world) trusts(h *Home, peer string) {
	w.T.Helper()
	_, err := localapi.TrustAccept.Do(w.T.Context(), h, localapi.TrustDecision{Peer: peer})
	w.must(err)
}

// What was written to a host is offered and no more; the token that the host gives back is the proof (design D5, E1).
func TestSurfacedIsProvedByTheToken(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		w.trusts(ben, "ada")
		work, other := w.open(ben, "work"), w.open(ben, "other")
		sent := w.Send(ada, "work", "hello").ClientMessageID
		w.wantState(ada, sent, mesh.StateDelivered)
		items := w.offered(work)
		if len(items) != 1 || len(items[0].Attempt) != 64 {
			t.Fatalf("got %+v, want one message with a token", items)
		}
		token := items[0].Attempt
		_, err := localapi.InboxOffered.Do(t.Context(), work, localapi.OfferedRequest{Attempts: []string{token}, Path: "socket"})
		w.must(err)
		if got := w.Inbox(work)[0]; got.SeenAt != nil {
			t.Errorf("got %+v, want what was only offered unread", got)
		}
		w.surfaced(other, 0, token)
		w.surfaced(work, 0, token[:63]+"x", "", items[0].ID)
		if _, err := localapi.InboxSurfaced.Do(t.Context(), ben, localapi.SurfacedRequest{Attempts: []string{token}}); !mesh.IsCode(err, mesh.SessionUnknown) {
			t.Errorf("the user: got %v, want %s", err, mesh.SessionUnknown)
		}
		if got := w.status(ada, string(sent)); got.State != mesh.StateDelivered {
			t.Errorf("got %s without a proof, want %s", got.State, mesh.StateDelivered)
		}
		w.surfaced(work, 1, token, token)
		w.surfaced(work, 0, token)
		got := w.wantState(ada, sent, mesh.StateSurfaced)
		if r := got.Recipients[0]; !r.Verified || r.Pubkey != work.Key {
			t.Errorf("got %+v, want the session's own word", got)
		}
		if told := w.ack(work, string(sent)); told != "due" && told != "told" {
			t.Errorf("got %q, want that ada is told", told)
		}
		w.wantState(ada, sent, mesh.StateAcknowledged)
		w.surfaced(work, 0, token)
		w.wantState(ada, sent, mesh.StateAcknowledged)
		if got, err := localapi.Inbox.Do(t.Context(), work, localapi.InboxRequest{UnreadOnly: true}); err != nil || len(got.Items) != 0 {
			t.Errorf("got %+v, %v, want nothing unread", got, err)
		}
	})
}

// By default nobody is told but oneself and whom the human accepted; a reply tells in any case.
func TestReceiptsAreForTrustedPeers(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		first := w.Send(ada, "ben", "first").ClientMessageID
		w.wantState(ada, first, mesh.StateDelivered)
		if told := w.ack(ben, string(first)); told != "withheld" {
			t.Errorf("got %q, want it withheld from a peer that nobody accepted", told)
		}
		pass(time.Minute)
		w.wantState(ada, first, mesh.StateDelivered)
		_, err := localapi.Send.Do(t.Context(), ben, localapi.SendRequest{To: "ada", Message: "re", ReplyToID: string(first)})
		w.must(err)
		if got := w.wantState(ada, first, mesh.StateAcknowledged); !got.Recipients[0].Verified {
			t.Errorf("got %+v, want ben's word", got.Recipients)
		}
		third := w.Send(ada, "ben", "third").ClientMessageID
		w.wantState(ada, third, mesh.StateDelivered)
		if told := w.ack(ben, string(third)); told != "withheld" {
			t.Errorf("got %q, want it withheld", told)
		}
		pass(time.Minute)
		w.trusts(ben, "ada")
		if told := w.ack(ben, string(third)); told != "due" { // as its hint says
			t.Errorf("acknowledged again to who is accepted now: got %q, want it told", told)
		}
		w.wantState(ada, third, mesh.StateAcknowledged)
		second := w.Send(ada, "ben", "second").ClientMessageID
		w.wantTexts(ben, "first", "third", "second")
		if told := w.ack(ben, string(second)); told != "due" {
			t.Errorf("got %q, want ada told", told)
		}
		w.wantState(ada, second, mesh.StateAcknowledged)
		if told := w.ack(ben, string(second)); told != "told" {
			t.Errorf("the second time: got %q, want told", told)
		}
	})
}

func TestReceiptsSetting(t *testing.T) {
	for set, want := range map[string]string{config.ReceiptsNone: "withheld", config.ReceiptsAll: "due"} {
		t.Run(set, func(t *testing.T) {
			with := settings{daemon: func(d *config.Daemon) { d.Receipts = set }}
			bubble(t, with, func(t *testing.T, w *world, ada, ben *Home) {
				if set == config.ReceiptsNone {
					w.trusts(ben, "ada")
				}
				sent := w.Send(ada, "ben", "hello").ClientMessageID
				w.wantState(ada, sent, mesh.StateDelivered)
				if told := w.ack(ben, string(sent)); told != want {
					t.Errorf("got %q, want %q", told, want)
				}
				pass(time.Minute)
				if got := w.status(ada, string(sent)).State; (got == mesh.StateAcknowledged) != (want == "due") {
					t.Errorf("got %s", got)
				}
			})
		})
	}
}

// What a reader told is on its disk, and comes when the sender, the reader and the broker are there, whoever was killed
// meanwhile.
func TestSignedReceiptsSurvive(t *testing.T) {
	eachWay(t, func(t *testing.T, way string, w *world, ada, ben *Home) {
		w.trusts(ben, "ada")
		var last mesh.ClientID
		for _, text := range numbers(5) {
			last = w.Send(ada, "ben", text).ClientMessageID
		}
		w.wantState(ada, last, mesh.StateDelivered)
		ben.Link(w.broker).Cut()
		pass(time.Second)
		for _, i := range w.Inbox(ben) {
			w.ack(ben, i.ID)
		}
		ben.endBy(way)
		ada.endBy(way)
		ben.Link(w.broker).Heal()
		ben.Start()
		w.wantOpen(ben)
		pass(time.Second) // ada misses them
		w.broker.endBy(way)
		w.broker.Start()
		ada.Start()
		w.Until("everything is acknowledged", func() bool {
			answer, err := localapi.Outbox.Do(t.Context(), ada, localapi.OutboxRequest{})
			w.must(err)
			for _, i := range answer.Items {
				if w.status(ada, string(i.ClientMessageID)).State != mesh.StateAcknowledged {
					return false
				}
			}
			return true
		})
	})
}

// Of a message to many each reader speaks for itself.
func TestEachReaderOfAGroup(t *testing.T) {
	lie(t, func(t *testing.T, l *liar) {
		l.trusts(l.ben, "ada")
		sent := l.Send(l.ada, "*", "to all").ClientMessageID
		l.wantState(l.ada, sent, mesh.StateDelivered)
		l.ack(l.ben, string(sent))
		l.ack(l.carol, string(sent))
		pass(time.Second)
		want := map[string]mesh.State{"ben": mesh.StateAcknowledged, "carol": mesh.StateDelivered}
		got := map[string]mesh.State{}
		status := l.status(l.ada, string(sent))
		for _, r := range status.Recipients {
			got[r.Name] = r.State
			if r.Verified != (r.Name == "ben") {
				t.Errorf("got %+v, want only ben's word", r)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || status.State != mesh.StateDelivered {
			t.Errorf("%s: -want +got\n%s", status.State, diff)
		}
	})
}

// A broker that takes no signed receipts is told nothing; what was read meanwhile is told as soon as it does.
func TestReceiptsWaitForANewerBroker(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		w.trusts(ben, "ada")
		link, told, old := ben.Link(w.broker), 0, true
		link.Tap(func(f memnet.Frame) [][]byte {
			switch {
			case f.Type == "receipt_tell":
				told++
			case f.Type == "hello_ack" && old:
				return [][]byte{[]byte(strings.Replace(string(f.Data), `"receipts/1"`, `"other/1"`, 1))}
			}
			return f.Pass()
		})
		link.Reset()
		pass(10 * time.Second)
		w.wantOpen(ben)
		sent := w.Send(ada, "ben", "hello").ClientMessageID
		w.wantState(ada, sent, mesh.StateDelivered)
		w.ack(ben, string(sent))
		pass(time.Minute)
		if told != 0 {
			t.Errorf("%d receipts were told to a broker that takes none", told)
		}
		w.wantState(ada, sent, mesh.StateDelivered)
		old = false
		link.Reset()
		w.wantState(ada, sent, mesh.StateAcknowledged)
	})
}
