package ipc

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/claudemesh/claudemesh/internal/daemon/gate"
	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// facts remembers what sessions were told of what they have not read, so that each is told once.
type facts struct {
	mu   sync.Mutex
	last map[string]int64 // newest row
}

// news notes the newest unread row of a session, and reports whether it is another one than the last time. None is no news.
func (f *facts) news(session string, newest int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	news := f.last[session] < newest
	if f.last[session] = newest; newest == 0 {
		delete(f.last, session)
	}
	return news
}

// unreadFact tells a session, when it begins and when it gets a prompt, how many messages it was told of or may have missed
// that nobody has read, and of whom they are. It is told when there are new ones.
func (s hookRoutes) unreadFact(ctx context.Context, c caller, req localapi.HookRequest) (string, error) {
	if req.Event != "UserPromptSubmit" && req.Event != "SessionStart" || c.session.MessageMode == localapi.ModeOff {
		return "", nil
	}
	v, err := offering(ctx, s.Server, c.id())
	if err != nil {
		return "", err
	}
	rows, err := inbox.OfferingsOf(s.Inbox).Left(ctx, surfaceOf(c), maxWaiting, v.offers(func(gate.Reason) {}))
	if err != nil {
		return "", err
	}
	newest := int64(0)
	if len(rows) > 0 {
		newest = rows[len(rows)-1].Seq
	}
	if !s.facts.news(c.id(), newest) {
		return "", nil
	}
	return v.summary(rows), nil
}

// maxNamed bounds the senders that a summary names.
const maxNamed = 5

// summary says how many messages wait and of whom: facts, no orders (claude-code 5). Names are made safe: senders choose
// them.
func (v verdicts) summary(rows []inbox.Row) string {
	var names []string
	count := map[string]int{}
	for _, r := range rows {
		name := host.Name(v.standing(r).Name) + "·" + host.Line(r.Mesh)
		if count[name] == 0 {
			names = append(names, name)
		}
		count[name]++
	}
	slices.SortStableFunc(names, func(a, b string) int { return count[b] - count[a] })
	var of []string
	for _, name := range names[:min(len(names), maxNamed)] {
		if n := count[name]; n > 1 {
			name += " (" + strconv.Itoa(n) + ")"
		}
		of = append(of, name)
	}
	if rest := len(names) - len(of); rest > 0 {
		of = append(of, strconv.Itoa(rest)+" more")
	}
	messages := " messages of other sessions are"
	if len(rows) == 1 {
		messages = " message of another session is"
	}
	return strconv.Itoa(len(rows)) + messages + " unread, from " + strings.Join(of, ", ") + ". `claudemesh inbox` lists what is unread."
}
