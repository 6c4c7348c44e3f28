package peer

import (
	"slices"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

func TestCutRows(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x\n", 10)
	for _, tc := range []struct {
		rows  int
		lines int // that are written
		last  string
	}{
		{0, 10, "x"}, {24, 10, "x"}, {11, 10, "x"}, {10, 9, "  … 2 more lines: `claudemesh peers` shows all"},
		{5, 4, "  … 7 more lines: `claudemesh peers` shows all"}, {1, 1, "  … 10 more lines: `claudemesh peers` shows all"},
	} {
		got := strings.Split(strings.TrimSuffix(cutRows(text, tc.rows), "\n"), "\n")
		if len(got) != tc.lines || got[len(got)-1] != tc.last {
			t.Errorf("%d rows: got %d lines that end in %q, want %d and %q", tc.rows, len(got), got[len(got)-1], tc.lines, tc.last)
		}
	}
}

// What another daemon tells from the beginning is told as what has changed.
func TestSinceAnotherDaemon(t *testing.T) {
	t.Parallel()
	peer := func(key mesh.Key, status mesh.Status) *localapi.Peer {
		return &localapi.Peer{Peer: protocol.Peer{Pubkey: key, Status: status}, Mesh: "team"}
	}
	open, closed := localapi.MeshState{Mesh: "team", Status: "open", OK: true}, localapi.MeshState{Mesh: "team", Status: "connecting"}
	change := func(what string, p *localapi.Peer, s *localapi.MeshState) localapi.PeerChange {
		return localapi.PeerChange{Change: what, Mesh: "team", Peer: p, State: s}
	}
	w := watcher{peers: map[rosterPlace]localapi.Peer{}, meshes: []localapi.MeshState{open}}
	for _, p := range []*localapi.Peer{peer("same", mesh.Idle), peer("busy", mesh.Idle), peer("gone", mesh.Idle), peer("away", mesh.Idle)} {
		if got := w.since(change(localapi.PeerHere, p, nil)); len(got) != 1 || got[0].Change != localapi.PeerHere {
			t.Errorf("got %v of the first daemon, want it as it is", got)
		}
		w.peers[placeOf(*p)] = *p
	}
	w.again()
	var got []string
	for _, c := range []localapi.PeerChange{
		change(localapi.MeshChanged, nil, &open), change(localapi.MeshChanged, nil, &closed), change(localapi.PeerHere, peer("same", mesh.Idle), nil),
		change(localapi.PeerHere, peer("busy", mesh.Working), nil), change(localapi.PeerHere, peer("new", mesh.Idle), nil),
		change(localapi.PeerHere, nil, nil), {Change: localapi.WatchReady}, change(localapi.PeerHere, peer("same", mesh.Idle), nil),
	} {
		for _, told := range w.since(c) {
			text := told.Change
			if told.Peer != nil {
				text += " " + string(told.Peer.Pubkey)
			}
			got = append(got, text)
		}
	}
	want := []string{"mesh", "changed busy", "joined new", "here", "left away", "left gone", "here same"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A change that no line shows is no line.
func TestChangesThatShow(t *testing.T) {
	t.Parallel()
	was := localapi.Peer{Peer: protocol.Peer{Pubkey: "k", DisplayName: "api", Status: mesh.Idle}, Mesh: "team"}
	w := watcher{peers: map[rosterPlace]localapi.Peer{placeOf(was): was}}
	for name, tc := range map[string]struct {
		change func(*localapi.Peer)
		shows  bool
	}{
		"counts":    {func(p *localapi.Peer) { p.Stats = &protocol.Stats{MessagesIn: 1} }, true},
		"another":   {func(p *localapi.Peer) { p.Pubkey = "other" }, false},
		"a status":  {func(p *localapi.Peer) { p.Status = mesh.Working }, false},
		"a name":    {func(p *localapi.Peer) { p.DisplayName = "web" }, false},
		"a summary": {func(p *localapi.Peer) { p.Summary = new("at it") }, false},
		"a group":   {func(p *localapi.Peer) { p.Groups = []protocol.Group{{Name: "ops"}} }, false},
		"a role":    {func(p *localapi.Peer) { p.Role = "reviewer" }, false},
	} {
		p := was
		tc.change(&p)
		if got := w.shows(p); got != tc.shows {
			t.Errorf("%s: got %t for whether the line is the same, want %t", name, got, tc.shows)
		}
	}
}
