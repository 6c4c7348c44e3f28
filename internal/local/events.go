package local

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// maxEventLine bounds one line of an event: a message of the largest size, escaped.
const maxEventLine = 8 << 20

// silence is how long a stream may say nothing, not even a keepalive, before it is taken for dead.
const silence = 60 * time.Second

// Event is one server-sent event.
type Event struct {
	ID   string
	Kind string
	Data []byte
}

// Events follows the daemon's events until ctx ends, the stream breaks or fn fails, on a connection of its own.
// A non-empty lastID resumes messages behind that event.
func (c *Client) Events(ctx context.Context, req localapi.EventsRequest, lastID string, fn func(Event) error) error {
	conn, err := Dial(ctx, c.socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()                         // nothing was written that could be lost
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // a deadline would be set anew by the next line
	defer stop()
	ask := localapi.Request{Method: localapi.Events.Method(), Path: localapi.Events.Path()}
	if req.Deliver {
		ask.Path += "?deliver=true"
	}
	lines := []string{"Accept: text/event-stream"}
	if lastID != "" {
		lines = append(lines, "Last-Event-ID: "+lastID)
	}
	if _, err = conn.Write(c.head(ask, lines...)); err != nil {
		err = mesh.Errorf(mesh.DaemonDown, "ask for events: %w", err)
	} else {
		err = readEvents(conn, fn, func() { _ = conn.SetReadDeadline(c.now().Add(silence)) })
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// readEvents parses a stream; alive is called before each line.
func readEvents(r io.Reader, fn func(Event) error, alive func()) error {
	alive()
	resp, err := http.ReadResponse(bufio.NewReader(r), nil)
	if err != nil {
		return mesh.Errorf(mesh.DaemonDown, "read events: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // the connection closes with it
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // a short body only makes the error less exact
		return localapi.DecodeError(localapi.Response{Status: resp.StatusCode, Body: body})
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 16<<10), maxEventLine)
	var e Event
	for lines.Scan() {
		alive()
		line := lines.Text()
		if line != "" {
			e.field(line)
			continue
		}
		if len(e.Data) > 0 {
			if err := fn(e); err != nil {
				return err
			}
			alive() // fn may have taken its time, and the daemon waited for it
		}
		e = Event{}
	}
	if err := lines.Err(); err != nil {
		return mesh.Errorf(mesh.DaemonDown, "read events: %w", err)
	}
	return mesh.Errorf(mesh.DaemonDown, "the event stream ended")
}

// field takes one line of an event. Comments begin with a colon.
func (e *Event) field(line string) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "id":
		e.ID = value
	case "event":
		e.Kind = value
	case "data":
		if e.Data == nil {
			e.Data = []byte(value)
			return
		}
		e.Data = append(append(e.Data, '\n'), value...)
	}
}
