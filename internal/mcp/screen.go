package mcp

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// The paths to a host (design E1), as the daemon is told.
const (
	pathSocket  = localapi.PathSocket
	pathChannel = localapi.PathChannel
)

var (
	errHostHolds = errors.New("the host's settings hold or refuse messages of others")
	errTwice     = errors.New("it was shown before")
)

// unwritten is an error after which a message is certainly not with the host, and another path may be tried.
type unwritten struct{ error }

func (u unwritten) Unwrap() error { return u.error }

// screen is the way into the host. It is used by one goroutine.
type screen struct {
	server *server
	inbox  host.Inbox // without a path: the host has none
	rules  *host.Reader
	log    *slog.Logger
	shown  recent
	silent bool // the inbox was not there when it was asked last

	channelled bool // the host shows channel notifications, as far as can be known
}

func newScreen(s *server, inbox host.Inbox, rules *host.Reader, log *slog.Logger) *screen {
	return &screen{server: s, inbox: inbox, rules: rules, log: log, shown: recent{seen: map[string]bool{}}}
}

// allowed asks the host's settings, as they are now (design E2).
func (c *screen) allowed() error {
	switch c.rules.Rules().Inbound {
	case host.Held, host.Refuse:
		return errHostHolds
	}
	return nil
}

// show puts a message into the host by one path, and says which.
func (c *screen) show(ctx context.Context, item localapi.InboxItem) (path string, err error) {
	if err := c.allowed(); err != nil {
		return "", err
	}
	if !c.shown.add(shownAs(item)) {
		return "", errTwice
	}
	if c.inbox.Path != "" && item.Path != pathChannel {
		err := c.post(ctx, host.Message(item, host.MaxBodyBytes), item.Priority)
		if !mesh.IsCode(err, mesh.DaemonDown) {
			return pathSocket, err
		}
		if item.Path == pathSocket { // the daemon chooses what is tried next
			c.shown.remove(shownAs(item))
			return pathSocket, unwritten{err}
		}
	}
	return pathChannel, c.server.channel(contentOf(item), metaOf(item))
}

// paths lists those that the host has now. Claude Code shows channels that were named at its start; what other programs do
// with them is their own affair.
func (c *screen) paths() (all []string) {
	if c.inbox.Exists() {
		all = append(all, pathSocket)
	}
	if c.channelled {
		all = append(all, pathChannel)
	}
	return all
}

// shownAs tells what is shown but once: a message by one path, which the daemon has follow by another one where the first has
// shown nothing; and of a message its header alone, behind which the text may come when a human has let it through.
func shownAs(item localapi.InboxItem) string {
	id := item.Path + " " + item.ID
	if item.Held {
		return id + " header"
	}
	return id
}

// notice puts a sentence of the daemon into the host. It is in no hurry.
func (c *screen) notice(ctx context.Context, n localapi.Notice) error {
	if err := c.allowed(); err != nil {
		return err
	}
	if c.inbox.Path != "" {
		err := c.post(ctx, host.WrapNotice(n.Text), mesh.Low)
		if !mesh.IsCode(err, mesh.DaemonDown) {
			return err
		}
	}
	meta := map[string]string{"kind": "system", "event": host.Attribute(n.Kind), "count": strconv.Itoa(n.Count)}
	return c.server.channel(host.Body(n.Text), meta)
}

// inboxWaits are between tries of an inbox that is not there: a host may open it late.
var inboxWaits = []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}

// post posts to the inbox and waits for one that is not there, once: after that it is tried, and not waited for. The error
// is daemon_down when nothing was written.
func (c *screen) post(ctx context.Context, text string, p mesh.Priority) error {
	err := c.inbox.Post(ctx, text, p)
	for _, wait := range inboxWaits {
		if c.silent || !mesh.IsCode(err, mesh.DaemonDown) {
			break
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		err = c.inbox.Post(ctx, text, p)
	}
	silent := mesh.IsCode(err, mesh.DaemonDown)
	if silent && !c.silent {
		c.log.Warn("the host's inbox is not there: using the channel", slog.Any(logkey.Err, err))
	}
	c.silent = silent
	return err
}

// recentLimit is how many ids are remembered; the oldest is forgotten first.
const recentLimit = 4096

// recent remembers ids.
type recent struct {
	seen  map[string]bool
	order []string
}

// remove forgets the id that was added last.
func (r *recent) remove(id string) {
	if last := len(r.order) - 1; last >= 0 && r.order[last] == id {
		r.order = r.order[:last]
		delete(r.seen, id)
	}
}

// add reports whether an id is new.
func (r *recent) add(id string) bool {
	if r.seen[id] {
		return false
	}
	if len(r.order) == recentLimit {
		delete(r.seen, r.order[0])
		r.order = r.order[1:]
	}
	r.seen[id] = true
	r.order = append(r.order, id)
	return true
}
