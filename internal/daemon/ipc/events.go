package ipc

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/events"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// stream binds a route that answers with server-sent events.
func stream[Req any](s *Server, c localapi.Call[Req, localapi.None], fn func(context.Context, caller, Req, *subscriber) error) {
	s.mux.HandleFunc(c.Route, func(w http.ResponseWriter, r *http.Request) {
		who, err := s.admit(r)
		if err == nil {
			err = who.may(c.Scope)
		}
		var req Req
		if err == nil {
			req, err = c.Decode(nil, r.URL.Query(), r.PathValue)
		}
		if err != nil {
			writeError(w, err)
			return
		}
		select {
		case s.streams <- struct{}{}:
			defer func() { <-s.streams }()
		default:
			writeError(w, mesh.Errorf(mesh.RateLimited, "the daemon keeps %d event streams already", cap(s.streams)))
			return
		}
		sub := &subscriber{w: w, flush: http.NewResponseController(w), lastID: r.Header.Get("Last-Event-ID")}
		if err := fn(r.Context(), who, req, sub); err != nil && r.Context().Err() == nil {
			s.logFailure(c.Route, err)
			if !sub.opened {
				writeError(w, err)
			}
		}
	})
}

// subscriber is the writing end of an event stream.
type subscriber struct {
	w      http.ResponseWriter
	flush  *http.ResponseController
	lastID string
	opened bool
}

// writeTime is how long a subscriber may take to read what is written; a slower one is cut off (daemon 9).
const writeTime = 10 * time.Second

// open begins the stream, once. What fails before is answered as any request is.
func (s *subscriber) open() {
	if s.opened {
		return
	}
	s.opened = true
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
	s.w.WriteHeader(http.StatusOK)
	_ = s.comment("connected") // a subscriber that has gone is noticed at the next write
}

func (s *subscriber) comment(text string) error {
	s.open()
	if _, err := fmt.Fprintf(s.w, ": %s\n\n", text); err != nil {
		return err
	}
	return s.flush.Flush()
}

// event writes one event; id may be empty. Flush makes it leave.
func (s *subscriber) event(id, kind string, body any) error {
	data, err := wire.Encode(body)
	if err != nil {
		return err
	}
	s.open()
	if id != "" {
		id = "id: " + id + "\n"
	}
	_, err = fmt.Fprintf(s.w, "%sevent: %s\ndata: %s\n\n", id, kind, data)
	return err
}

// message writes the event of a message.
func (s *subscriber) message(at time.Time, item localapi.InboxItem) error {
	return s.event(strconv.FormatInt(item.Seq, 10), localapi.EventMessage, localapi.MessageEvent{TS: mesh.FormatTime(at), InboxItem: item})
}

// deliverers lets one stream a session show messages to its host: a newer one ends the older.
type deliverers struct {
	mu  *sync.Mutex
	end map[string]chan struct{}
}

func newDeliverers() deliverers { return deliverers{&sync.Mutex{}, map[string]chan struct{}{}} }

// take gives the place of a session's deliverer; the channel is closed when another takes it. Call done at the end; it
// says whether nobody has.
func (d deliverers) take(session string) (ended <-chan struct{}, done func() (last bool)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if older, ok := d.end[session]; ok {
		close(older)
	}
	mine := make(chan struct{})
	d.end[session] = mine
	return mine, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		last := d.end[session] == mine
		if last {
			delete(d.end, session)
		}
		return last
	}
}

// events follows what happens: messages from the inbox by a cursor, the rest from the node.
func (s *Server) events(ctx context.Context, c caller, req localapi.EventsRequest, sub *subscriber) error {
	if req.Deliver && c.session == nil {
		return mesh.Errorf(mesh.SessionUnknown, "only a session has messages delivered")
	}
	other, unsubscribe := s.Node.Events.Subscribe()
	defer unsubscribe()
	var source messages
	var err error
	if req.Deliver {
		d, done, fail := newDelivery(ctx, s, c, req)
		if fail != nil {
			return fail
		}
		defer done()
		source, err = d, s.unconfirmed(ctx, c.id(), sub)
	} else {
		source, err = s.follow(ctx, c, sub.lastID)
	}
	if err != nil {
		return err
	}
	sub.open()
	return s.pump(ctx, c, sub, source, other)
}

// messages gives a subscriber the messages that it has not had.
type messages interface {
	next(ctx context.Context, sub *subscriber) (more bool, err error)
	over() <-chan struct{}
	rest() time.Duration     // before next may be called again
	again() <-chan time.Time // when next is to be called whatever happens; nil: never
}

// pump writes until the subscriber goes, falls behind, is replaced, or the daemon stops.
func (s *Server) pump(ctx context.Context, c caller, sub *subscriber, source messages, other <-chan events.Event) error {
	keepalive := time.NewTicker(s.Settings.SSEKeepalive)
	defer keepalive.Stop()
	for {
		changed, rules, paths, opened := s.Inbox.Changed(), s.Registry.Changed(), s.paths.Changed(), s.opened.next()
		more, err := source.next(ctx, sub)
		if err == nil {
			err = sub.flush.Flush()
		}
		if err != nil || more {
			if err != nil {
				return err
			}
			continue
		}
		if rest := source.rest(); rest > 0 { // what happens meanwhile is not missed
			select {
			case <-ctx.Done():
				return nil
			case <-s.ending:
				return nil
			case <-source.over():
				return nil
			case <-time.After(rest):
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.ending:
			return nil
		case <-source.over():
			return nil
		case <-changed:
		case <-rules:
		case <-paths:
		case <-opened:
		case <-source.again():
		case <-keepalive.C: // also the moment at which a changed mode of the host lets held messages through
			err = sub.comment("keepalive")
		case ev, ok := <-other:
			if !ok {
				return mesh.Errorf(mesh.SlowConsumer, "a subscriber reads too slowly")
			}
			if visible(current(s, c), ev) {
				err = sub.event("", ev.Kind, ev.Body)
			}
		}
		if err != nil {
			return err
		}
	}
}

// visible reports whether an event is of a mesh that the session is in, and its business.
func visible(c caller, ev events.Event) bool {
	if c.session == nil {
		return true
	}
	line, ok := c.session.Line(ev.Mesh)
	return ok && (ev.Of == "" || ev.Of == line.Pubkey())
}

// page is how many messages are read at once.
const page = 64

// cursor follows the inbox for an ordinary subscriber.
type cursor struct {
	server *Server
	caller caller
	seq    int64
}

// follow begins behind the last event that the subscriber had, or now.
func (s *Server) follow(ctx context.Context, c caller, lastID string) (*cursor, error) {
	if lastID == "" {
		seq, err := s.Inbox.LastSeq(ctx)
		return &cursor{s, c, seq}, err
	}
	seq, err := strconv.ParseInt(lastID, 10, 64)
	if err != nil || seq < 0 {
		return nil, mesh.Errorf(mesh.BadRequest, "Last-Event-ID is the id of an event")
	}
	return &cursor{s, c, seq}, nil
}

func (c *cursor) over() <-chan struct{}   { return nil }
func (c *cursor) rest() time.Duration     { return 0 }
func (c *cursor) again() <-chan time.Time { return nil }

func (c *cursor) next(ctx context.Context, sub *subscriber) (bool, error) {
	rows, err := c.server.Inbox.After(ctx, current(c.server, c.caller).scope(), c.seq, page)
	if err != nil {
		return false, err
	}
	v := c.server.verdicts(ctx, c.caller.id())
	for _, r := range rows {
		if v.admit(r) && (c.caller.session == nil || !v.muted(r)) { // a stream wakes whoever reads it
			if err := sub.message(c.server.Now(), v.item(r)); err != nil {
				return false, err
			}
		}
		c.seq = r.Seq
	}
	return len(rows) == page, nil
}
