package pathway

import (
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// missing says why a path is not there.
var missing = map[string]string{
	localapi.PathSocket:  "no MCP server of ours in the session has an inbox of the host",
	localapi.PathChannel: "no MCP server of ours in the session is loaded as a channel",
	localapi.PathHook:    "no hook of the session was heard since the daemon started; claudemesh install sets them up",
	localapi.PathTool:    "no MCP server of ours in the session was started with --tools",
}

// View shows the paths into a loaded session.
func (b *Book) View(id string) (v localapi.SessionPaths) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v.Chosen, v.Paths = localapi.PathPoll, []localapi.Path{}
	s := b.sessions[id]
	if s == nil {
		return v
	}
	now := b.opt.Now()
	v.Chosen, v.LastHook = s.choose(now), mesh.FormatTime(s.hook)
	v.Wakes = v.Chosen == localapi.PathSocket || v.Chosen == localapi.PathChannel || v.Chosen == localapi.PathHook
	for _, path := range localapi.Paths() {
		w := s.ways[path]
		p := localapi.Path{Path: path, Offered: w.record.Offered, Surfaced: w.record.Surfaced, LastSeen: mesh.FormatTime(w.record.Last)}
		var since time.Time
		p.State, since, p.Reason = w.state(path, now)
		p.Since = mesh.FormatTime(since)
		v.Paths = append(v.Paths, p)
	}
	return v
}

// state says how it stands with a path, since when, and why.
func (w *way) state(path string, now time.Time) (state string, since time.Time, reason string) {
	switch {
	case w.able.IsZero():
		return localapi.PathUnusable, w.gone, missing[path]
	case w.fails(now):
		return localapi.PathUnusable, w.failed, w.why
	case !w.record.First.IsZero():
		return localapi.PathProved, w.record.First, ""
	case !w.doubted.IsZero():
		return localapi.PathDoubtful, w.doubted, "a message that was offered by it was not seen within a whole turn"
	}
	return localapi.PathUsable, w.able, ""
}
