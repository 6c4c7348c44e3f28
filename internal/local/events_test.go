package local

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// stream serves one stream of events: its text, then what more does.
func stream(t *testing.T, text string, more func(w http.ResponseWriter, r *http.Request)) *Client {
	t.Helper()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, text)
		w.(http.Flusher).Flush()
		if more != nil {
			more(w, r)
		}
	})
	return client(t, s.socket)
}

// event is an Event that compares fast.
type event struct{ ID, Kind, Data string }

// follow collects the events of a stream until it ends.
func follow(c *Client) (events []event, err error) {
	err = c.Events(context.Background(), localapi.EventsRequest{}, "", func(e Event) error {
		events = append(events, event{e.ID, e.Kind, string(e.Data)})
		return nil
	})
	return events, err
}

func TestEventsAreParsed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []event
	}{
		{"one", "id: 7\nevent: message\ndata: {\"a\":1}\n\n", []event{{"7", "message", `{"a":1}`}}},
		{"several", "data: a\n\nevent: system\ndata: b\n\nid: 9\ndata: c\n\n", []event{{Data: "a"}, {Kind: "system", Data: "b"}, {ID: "9", Data: "c"}}},
		{"several lines", "data: a\ndata:  b\ndata\ndata: c: d\n\n", []event{{Data: "a\n b\n\nc: d"}}},
		{"an empty first line", "data:\ndata: b\n\n", []event{{Data: "\nb"}}},
		{"comments", ": connected\n\n: keepalive\ndata: a\n: keepalive\n\n:\n\n", []event{{Data: "a"}}},
		{"line ends of another system", "id: 7\r\ndata: a\r\n\r\n", []event{{ID: "7", Data: "a"}}},
		{"unknown fields", "retry: 5\nother\ndata:a\n\n", []event{{Data: "a"}}},
		{"without data", "id: 7\nevent: message\n\ndata:\n\ndata: a\n\n", []event{{Data: "a"}}},
		{"cut off", "data: a\n\nid: 8\ndata: half\n", []event{{Data: "a"}}},
		{"a large one", "data: " + strings.Repeat("x", 1<<20) + "\n\n", []event{{Data: strings.Repeat("x", 1<<20)}}},
		{"nothing", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := follow(stream(t, tt.text, nil))
			if !mesh.IsCode(err, mesh.DaemonDown) || err.Error() != "the event stream ended" {
				t.Errorf("got %v, want the end of the stream", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestEventsAreAskedFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		deliver             bool
		lastID, token, want string
	}{
		{false, "", "", "GET /v1/events accept=text/event-stream last= token="},
		{true, "41", "abc", "GET /v1/events?deliver=true accept=text/event-stream last=41 token=abc"},
		{false, "4\r\nevil: 1", "", "GET /v1/events accept=text/event-stream last= token="},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			h := r.Header
			fmt.Fprintf(w, "data: %s %s accept=%s last=%s token=%s\n\n", r.Method, r.URL, h.Get("Accept"), h.Get("Last-Event-ID"), h.Get("X-Claudemesh-Session"))
		})
		c := client(t, s.socket)
		c.Token = func() string { return tt.token }
		var got string
		enough := errors.New("enough")
		err := c.Events(t.Context(), localapi.EventsRequest{Deliver: tt.deliver}, tt.lastID, func(e Event) error {
			got = string(e.Data)
			return enough
		})
		if got != tt.want || !errors.Is(err, enough) {
			t.Errorf("got %q, %v, want %q and what the function said", got, err, tt.want)
		}
	}
}

func TestEventsRefused(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]mesh.Code{
		`{"error":"session_unknown","code":"session_unknown","detail":"register first"}`: mesh.SessionUnknown,
		`<html>`: mesh.Internal,
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, body)
		})
		if events, err := follow(client(t, s.socket)); mesh.CodeOf(err) != want || events != nil {
			t.Errorf("%s: got %v, %v, want %s", body, events, err, want)
		}
	}
	_, err := follow(client(t, folder(t)+"/none.sock"))
	if !mesh.IsCode(err, mesh.DaemonDown) {
		t.Errorf("no daemon: got %v, want %s", err, mesh.DaemonDown)
	}
}

func TestEventsEndWithTheContext(t *testing.T) {
	t.Parallel()
	// A daemon that writes all the time must not keep the reader from noticing.
	c := stream(t, "", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			fmt.Fprint(w, "data: a\n\n")
			w.(http.Flusher).Flush()
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	err := c.Events(ctx, localapi.EventsRequest{}, "", func(Event) error {
		if seen++; seen == 10 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

func TestEventsEndWithTheContextInSilence(t *testing.T) {
	t.Parallel()
	c := stream(t, "data: a\n\n", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Events(ctx, localapi.EventsRequest{}, "", func(Event) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

// The limit of silence counts from the last line, comments included.
func TestEventsOfASilentDaemon(t *testing.T) {
	t.Parallel()
	c := stream(t, "", func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range 8 {
			<-tick.C
			fmt.Fprint(w, ": keepalive\n\n")
			w.(http.Flusher).Flush()
		}
		fmt.Fprint(w, "data: last\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	c.silence = 500 * time.Millisecond
	events, err := follow(c)
	if !mesh.IsCode(err, mesh.DaemonDown) || !strings.Contains(err.Error(), "said nothing") || len(events) != 1 {
		t.Errorf("got %v, %v, want one event after the keepalives, then silence", events, err)
	}
}

func TestEventsThatAreTooLong(t *testing.T) {
	t.Parallel()
	c := stream(t, "data: a\n\ndata: "+strings.Repeat("x", maxEventLine)+"\n\n", nil)
	if events, err := follow(c); !mesh.IsCode(err, mesh.DaemonDown) || len(events) != 1 {
		t.Errorf("got %d events, %v, want the first, then the end", len(events), err)
	}
}
