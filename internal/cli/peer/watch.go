package peer

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// changeView is the JSON of one change, on one line.
type changeView struct {
	shell.Header
	localapi.PeerChange
}

// watchPeers follows the roster: on a terminal the list stays up to date, elsewhere each change is a line.
func watchPeers(ctx context.Context, a *shell.App, req localapi.PeersRequest) error {
	w := watcher{app: a, peers: map[rosterPlace]localapi.Peer{}, live: a.Out.TTY && !a.Flags.JSON.On}
	take := func(e local.Event) error {
		var change localapi.PeerChange
		if e.Kind != localapi.EventPeers || wire.Decode(e.Data, &change) != nil {
			return nil
		}
		for _, c := range w.since(change) {
			if err := w.take(c); err != nil {
				return err
			}
		}
		return nil
	}
	return shell.Follow(ctx, a, localapi.PeersWatch, req, shell.Stream{Take: take, Again: w.again})
}

// rosterPlace is a row of a roster.
type rosterPlace struct {
	mesh string
	key  mesh.Key
	role mesh.PeerRole
}

// watcher is what has been told.
type watcher struct {
	app    *shell.App
	live   bool // the list is drawn anew at each change
	ready  bool
	peers  map[rosterPlace]localapi.Peer
	meshes []localapi.MeshState
	absent map[rosterPlace]localapi.Peer // of those who were told by the daemon before; nil once this one has told of all
}

// again follows another daemon, which tells from the beginning: what was told before is not told again.
func (w *watcher) again() { w.absent = maps.Clone(w.peers) }

// since is what a change says to who was told by another daemon what was there before.
func (w *watcher) since(c localapi.PeerChange) []localapi.PeerChange {
	if w.absent == nil {
		return []localapi.PeerChange{c}
	}
	switch {
	case c.Change == localapi.PeerHere && c.Peer != nil:
		at := placeOf(*c.Peer)
		was, known := w.peers[at]
		delete(w.absent, at)
		switch {
		case !known:
			c.Change = localapi.PeerCame
		case reflect.DeepEqual(was, *c.Peer):
			return nil
		default:
			c.Change = localapi.PeerChanged
		}
	case c.State != nil:
		if slices.Contains(w.meshes, *c.State) {
			return nil
		}
	case c.Change == localapi.WatchReady:
		return w.left(c)
	}
	return []localapi.PeerChange{c}
}

// left are those of whom another daemon knows nothing.
func (w *watcher) left(ready localapi.PeerChange) []localapi.PeerChange {
	var all []localapi.PeerChange
	for at, p := range w.absent {
		all = append(all, localapi.PeerChange{TS: ready.TS, Change: localapi.PeerGone, Mesh: at.mesh, Peer: &p})
	}
	slices.SortFunc(all, func(x, y localapi.PeerChange) int {
		return cmp.Or(cmp.Compare(x.Mesh, y.Mesh), cmp.Compare(x.Peer.Pubkey, y.Peer.Pubkey))
	})
	w.absent = nil
	return all
}

func (w *watcher) take(c localapi.PeerChange) error {
	silent := c.Change == localapi.PeerChanged && c.Peer != nil && !w.app.Flags.JSON.On && w.shows(*c.Peer)
	switch {
	case c.Peer != nil && c.Change == localapi.PeerGone:
		delete(w.peers, placeOf(*c.Peer))
	case c.Peer != nil:
		w.peers[placeOf(*c.Peer)] = *c.Peer
	case c.State != nil:
		w.meshes = slices.DeleteFunc(w.meshes, func(m localapi.MeshState) bool { return m.Mesh == c.State.Mesh })
		w.meshes = append(w.meshes, *c.State)
		slices.SortFunc(w.meshes, func(x, y localapi.MeshState) int { return cmp.Compare(x.Mesh, y.Mesh) })
	}
	w.ready = w.ready || c.Change == localapi.WatchReady
	switch {
	case w.live && w.ready:
		return w.draw()
	case w.live, silent, c.Change == localapi.WatchReady && !w.app.Flags.JSON.On:
		return nil
	}
	return w.app.PrintLine(changeView{shell.NewHeader(), c}, func(s term.Stream) { writeChange(s, c) })
}

// shows reports whether the line of a peer says the same as before: counts and proofs change all the time, and stand in no
// line.
func (w *watcher) shows(p localapi.Peer) bool {
	was, known := w.peers[placeOf(p)]
	return known && watchLine(term.Stream{}, was) == watchLine(term.Stream{}, p)
}

func placeOf(p localapi.Peer) rosterPlace { return rosterPlace{p.Mesh, p.Pubkey, p.PeerRole} }

// clearScreen puts the cursor into the corner and empties the screen.
const clearScreen = "\x1b[H\x1b[J"

// draw writes the list in one piece.
func (w *watcher) draw() error {
	answer := localapi.PeersAnswer{Meshes: w.meshes}
	for _, p := range w.peers {
		answer.Peers = append(answer.Peers, p)
	}
	var text bytes.Buffer
	writePeers(w.app.Out.To(&text), byMesh(answer), w.app.Now())
	_, height := w.app.Out.Size()
	if _, err := w.app.Out.Write([]byte(clearScreen + cutRows(text.String(), height))); err != nil {
		return mesh.Errorf(mesh.IOError, "write the list: %w", err)
	}
	return nil
}

// cutRows keeps of a text what a screen of so many rows shows, the cursor below it, and says how much is missing: more
// would scroll its beginning away at each change. With 0 rows nothing is cut.
func cutRows(text string, rows int) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if rows == 0 || len(lines) < rows {
		return text
	}
	shown := max(rows-2, 0)
	return strings.Join(lines[:shown], "") + fmt.Sprintf("  … %d more lines: `claudemesh peers` shows all\n", len(lines)-shown)
}

// writeChange writes a change as a line: when, what, where, who.
func writeChange(s term.Stream, c localapi.PeerChange) {
	at := c.TS
	if t, err := time.Parse(time.RFC3339, c.TS); err == nil {
		at = t.Local().Format("15:04:05")
	}
	line := term.Clean(at) + "  " + term.Pad(term.Clean(c.Change), len(localapi.PeerChanged)) + "  " + term.Clean(c.Mesh)
	switch {
	case c.Peer != nil:
		line += "  " + watchLine(s, *c.Peer)
	case c.State != nil:
		line += "  " + term.Clean(c.State.Status)
	}
	s.Plain("%s", line)
}

// watchLine is a peer on a line: name, status, key, groups and role, summary.
func watchLine(s term.Stream, p localapi.Peer) string {
	line := s.Paint(term.Bold, p.DisplayName) + "  " + peerState(p) + "  " + term.Clean(p.Pubkey.Short())
	for _, more := range []string{shell.Facts(append(groupTags(p), p.Role)...), shell.Deref(p.Summary)} {
		if more != "" {
			line += "  " + s.Paint(term.Dim, term.Short(more, 60))
		}
	}
	return line
}
