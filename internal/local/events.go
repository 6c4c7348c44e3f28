package local

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// maxEventLine bounds one line of an event: a message of the largest size, escaped.
const maxEventLine = 8 << 20

// maxSilence is how long a stream may say nothing, not even a keepalive, before it is taken for dead.
const maxSilence = 60 * time.Second

// Event is one server-sent event.
type Event struct {
	ID   string
	Kind string
	Data []byte
}

// Events follows the daemon's events until ctx ends, the stream breaks or fn fails, on a connection of its own.
// A non-empty lastID resumes messages behind that event.
func (c *Client) Events(ctx context.Context, req localapi.EventsRequest, lastID string, fn func(Event) error) error {
	ask, err := localapi.Events.Request(req)
	if err != nil {
		return err
	}
	var lines []string
	if lastID != "" {
		lines = append(lines, "Last-Event-ID: "+lastID)
	}
	return c.Follow(ctx, ask, lines, fn)
}

// Follow reads a stream of the daemon until ctx ends, the stream breaks or fn fails, on a connection of its own. Lines are
// further header lines.
func (c *Client) Follow(ctx context.Context, ask localapi.Request, lines []string, fn func(Event) error) error {
	conn, err := Dial(ctx, c.socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()                         // nothing was written that could be lost
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // a deadline would be set anew by the next line
	defer stop()
	if _, err = conn.Write(c.head(ask, append([]string{"Accept: text/event-stream"}, lines...)...)); err != nil {
		err = mesh.Errorf(mesh.DaemonDown, "ask for events: %w", err)
	} else {
		var late atomic.Bool
		silent := time.AfterFunc(c.silence, func() { late.Store(true); _ = conn.Close() })
		listen := func(e Event) error {
			silent.Stop() // fn may take its time
			return fn(e)
		}
		err = readEvents(conn, listen, func() { silent.Reset(c.silence) })
		if silent.Stop(); late.Load() {
			err = mesh.Errorf(mesh.DaemonDown, "the daemon said nothing for %v", c.silence)
		}
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
			alive()
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
