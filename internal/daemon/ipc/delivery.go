package ipc

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/gate"
	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// delivery gives messages to the process that shows them to a session's host: each is given out once.
type delivery struct {
	server  *Server
	caller  caller
	surface inbox.Surface // of the last look
	ended   <-chan struct{}
	idle    time.Duration // for how long the last look at what waits was in vain
	wait    time.Duration // until the host takes the next one; 0: it does now
	goesOn  bool          // the last look had no time for all that waits
}

// A look in vain that took longer than longLook is not repeated before lookShare times as long have gone by, at most
// maxRest: where much waits that may not be shown, each further message would have all of it read again.
const (
	longLook  = 5 * time.Millisecond
	lookShare = 20
	maxRest   = time.Second
)

// newDelivery takes the place of a session's deliverer. Call done at its end.
func newDelivery(ctx context.Context, s *Server, c caller, req localapi.EventsRequest) (d *delivery, done func(), err error) {
	var paths []string
	if req.Paths != "" {
		paths = strings.Split(req.Paths, ",")
	}
	if err := checkPaths(paths); err != nil {
		return nil, nil, err
	}
	if err := s.paths.Load(ctx, c.id()); err != nil {
		return nil, nil, err
	}
	ended, leave := s.deliver.take(c.id())
	s.retain(func(id string) bool { _, ok := s.Registry.Find(id); return ok })
	s.paths.Open(c.id(), paths)
	return &delivery{server: s, caller: c, ended: ended}, func() {
		if leave() {
			s.paths.Close(c.id())
		}
	}, nil
}

// surfaceOf is a session as the inbox knows those who are shown messages.
func surfaceOf(c caller) inbox.Surface {
	return inbox.Surface{ID: c.id(), Scope: c.scope(), Since: c.session.Registered}
}

func (d *delivery) over() <-chan struct{} { return d.ended }

func (d *delivery) rest() time.Duration { return restAfter(d.idle) }

// restAfter is how long to wait before another look after one in vain.
func restAfter(look time.Duration) time.Duration {
	if look < longLook {
		return 0
	}
	return min(lookShare*look, maxRest)
}

func (d *delivery) again() <-chan time.Time {
	switch {
	case d.goesOn:
		return time.After(0) // behind rest
	case d.wait == 0:
		return nil
	}
	return time.After(d.wait)
}

func (d *delivery) next(ctx context.Context, sub *subscriber) (bool, error) {
	s := d.server
	d.wait, d.goesOn, d.surface = 0, false, surfaceOf(current(s, d.caller))
	if s.paths.Says(d.surface.ID) {
		d.surface.Path = s.paths.Choose(d.surface.ID)
	}
	switch d.surface.Path {
	case localapi.PathHook, localapi.PathTool, localapi.PathPoll: // not by this stream
		return false, nil
	}
	began := s.Now()
	limit, err := d.paced(ctx)
	if err != nil || limit == 0 {
		return false, err
	}
	batch, err := claim(ctx, s, d.surface, limit)
	if err != nil {
		return false, err
	}
	if d.surface.Path == localapi.PathSocket {
		s.pace.Spend(d.surface.ID, len(batch.items)+len(batch.notices), began)
	}
	if d.idle = 0; len(batch.items) == 0 {
		d.idle = s.Now().Sub(began)
	}
	d.goesOn = inbox.OfferingsOf(s.Inbox).Unfinished(d.surface)
	for _, item := range batch.items {
		if err := sub.message(s.Now(), item); err != nil {
			return false, err
		}
	}
	for _, n := range batch.notices {
		if err := sub.event("", localapi.EventNotice, n); err != nil {
			return false, err
		}
	}
	return batch.more, nil
}

// paced is how many messages the host takes now by the path, at most a page. 0: it does later, see again.
func (d *delivery) paced(ctx context.Context) (limit int, err error) {
	if d.surface.Path != localapi.PathSocket {
		return page, nil
	}
	s, id, now := d.server, d.surface.ID, d.server.Now()
	if !s.pace.Known(id) { // the daemon may have been restarted a moment ago
		n, err := inbox.OfferingsOf(s.Inbox).Recent(ctx, id, localapi.PathSocket, now.Add(-host.InboxBurst*host.InboxEvery))
		if err != nil {
			return 0, err
		}
		s.pace.Spend(id, n, now)
	}
	limit, d.wait = s.pace.Room(id, now)
	return min(limit, page), nil
}

// batch is what a session is to be shown now.
type batch struct {
	items   []localapi.InboxItem
	notices []localapi.Notice
	more    bool // there may be more at once
}

// claim takes messages for a session, at most so many, by one path. It is the one place where they are let through to a
// host, whatever the path (design E3).
func claim(ctx context.Context, s *Server, to inbox.Surface, limit int) (b batch, err error) {
	is, _ := s.Registry.Find(to.ID) // one that has ended takes nothing any more, in whatever mode
	if is.MessageMode == localapi.ModeOff {
		return b, nil
	}
	places, err := room(ctx, s, to.ID, limit)
	if err != nil {
		return b, err
	}
	v, err := offering(ctx, s, to.ID)
	if err != nil {
		return b, err
	}
	if places == 0 {
		return digest(ctx, s, to, v)
	}
	s.digests.forget(to.ID)
	kept := gate.None
	let := v.offers(func(r gate.Reason) { kept = r })
	claimed, err := s.Inbox.Claim(ctx, to, places, func(r inbox.Row) bool {
		if !let(r) {
			return false
		}
		s.talks.Pushed(to.ID, r.Sender, r.BodyBytes, s.Now()) // at once: it counts for the next one
		return true
	})
	if err != nil {
		return b, err
	}
	var partly []string
	for _, r := range claimed {
		item := v.item(r.Row)
		item.Attempt, item.Path = r.Attempt, to.Path
		if is.MessageMode == localapi.ModeInbox && !item.Held {
			item.Body, item.Announced = nil, true
		}
		if limit := s.Settings.HeaderOnlyBytes; limit > 0 && item.Body != nil && len(*item.Body) > limit {
			item.Body, item.BodyBytes = nil, len(*item.Body)
		}
		if item.Body == nil {
			partly = append(partly, item.Attempt)
		}
		b.items = append(b.items, item)
	}
	if len(partly) > 0 {
		if err := inbox.OfferingsOf(s.Inbox).Partly(ctx, to.ID, partly); err != nil {
			return batch{}, err
		}
	}
	if s.notices.Allow(to.ID, kept, s.Now()) {
		kind, text := gate.Notice(kept)
		b.notices = append(b.notices, localapi.Notice{TS: mesh.FormatTime(s.Now()), Kind: kind, Text: text})
	}
	b.more = len(claimed) == places
	return b, nil
}

// room is how many messages may be offered to a session now, at most limit: where it can be proved that it has seen
// them, only so many are on their way (design E1).
func room(ctx context.Context, s *Server, session string, limit int) (int, error) {
	if !s.paths.Provable(session) {
		return limit, nil
	}
	n, err := inbox.OfferingsOf(s.Inbox).Outstanding(ctx, session)
	return max(0, min(limit, s.Settings.OfferedLimit-n)), err
}

// digests remembers which sessions were told that more waits than they are shown.
type digests struct {
	mu   sync.Mutex
	told map[string]bool
}

// first reports whether a session was not told since it was forgotten last, and notes that it is.
func (d *digests) first(session string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := !d.told[session]
	d.told[session] = true
	return first
}

func (d *digests) forget(session string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.told, session)
}

// maxWaiting bounds the messages that are counted for a session.
const maxWaiting = 1000

// digest tells a session, once, how many messages wait that it is not shown before it has seen others.
func digest(ctx context.Context, s *Server, to inbox.Surface, v verdicts) (b batch, err error) {
	rows, err := inbox.OfferingsOf(s.Inbox).Waiting(ctx, to, maxWaiting, v.offers(func(gate.Reason) {}))
	if err != nil || len(rows) == 0 || !s.digests.first(to.ID) {
		return b, err
	}
	b.notices = []localapi.Notice{{TS: mesh.FormatTime(s.Now()), Kind: "digest", Count: len(rows), Text: v.summary(rows)}}
	return b, nil
}

// checkPaths refuses what is no path of a process in a session.
func checkPaths(paths []string) error {
	for _, path := range paths {
		if !slices.Contains(localapi.Paths(), path) || path == localapi.PathHook {
			return mesh.Errorf(mesh.BadRequest, "a process in a session has no path %q", path)
		}
	}
	return nil
}

// unconfirmedText tells a session of messages that may or may not have been shown: the process that showed them died
// before it said so. They are never offered twice.
const unconfirmedText = "Some messages may not have reached this session. Read them with: claudemesh inbox"

// unconfirmed tells a new deliverer what its predecessor left open.
func (s *Server) unconfirmed(ctx context.Context, session string, sub *subscriber) error {
	n, err := s.Inbox.Unconfirmed(ctx, session)
	if err != nil || n == 0 {
		return err
	}
	err = sub.event("", localapi.EventNotice, localapi.Notice{
		TS: mesh.FormatTime(s.Now()), Kind: "unconfirmed", Count: n, Text: unconfirmedText,
	})
	if err == nil {
		err = sub.flush.Flush()
	}
	if err != nil {
		return err
	}
	if err := s.Inbox.Told(ctx, session); err != nil {
		s.Log.Warn("unconfirmed messages still counted", logkey.Err, err)
	}
	return nil
}
