package localdb

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestPins(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "daemon.db")
	d, err := Open(t.Context(), path, func() time.Time { return noon }, nil)
	check(t, err)
	ctx := t.Context()
	ben := Pin{MeshID: "m1", Member: "b", Name: "ben", Level: Seen, Features: []string{"auth/2", "sender-proof/1"}, FirstSeen: noon, LastSeen: noon}
	eve := Pin{MeshID: "m1", Member: "e", Level: Rejected, FirstSeen: noon.Add(time.Second), LastSeen: noon.Add(time.Second)}
	other := Pin{MeshID: "m2", Member: "b", Name: "ben", Level: Accepted, Unattended: true, Device: true, FirstSeen: noon, LastSeen: noon}
	session := PinnedSession{MeshID: "m1", Session: "s", Member: "b", LastSeen: noon}
	check(t, d.SavePins(ctx, nil, nil))
	check(t, d.SavePins(ctx, []Pin{{MeshID: "m1", Member: "b", Name: "old", Level: Seen, FirstSeen: noon, LastSeen: noon}}, nil))
	check(t, d.SavePins(ctx, []Pin{ben, eve, other}, []PinnedSession{session}))
	check(t, d.Close())

	d = openDB(t, path)
	pins, sessions, err := d.ListPins(ctx, "m1")
	check(t, err)
	if diff := cmp.Diff([]Pin{ben, eve}, pins, cmpopts.EquateApproxTime(0), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("pins after opening again (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]PinnedSession{session}, sessions, cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	check(t, d.RemoveMesh(ctx, "m1"))
	for id, want := range map[mesh.ID]int{"m1": 0, "m2": 1} {
		if pins, _, err := d.ListPins(ctx, id); len(pins) != want || err != nil {
			t.Errorf("%s: got %v, %v, want %d pins", id, pins, err, want)
		}
	}
	if _, sessions, err := d.ListPins(ctx, "m1"); len(sessions) != 0 || err != nil {
		t.Errorf("got %v, %v, want none of a mesh that was left", sessions, err)
	}
}

func TestIdlePinnedSessionsAreForgotten(t *testing.T) {
	t.Parallel()
	d := openDB(t, filepath.Join(t.TempDir(), "daemon.db"))
	ctx := t.Context()
	check(t, d.SavePins(ctx, []Pin{{MeshID: "m1", Member: "b", Name: "ben", Level: Seen, FirstSeen: noon, LastSeen: noon}}, []PinnedSession{
		{MeshID: "m1", Session: "old", Member: "b", LastSeen: noon}, {MeshID: "m1", Session: "new", Member: "b", LastSeen: noon.Add(time.Millisecond)},
	}))
	_, err := d.PrunePeers(ctx, noon.Add(sessionIdle))
	check(t, err)
	pins, sessions, err := d.ListPins(ctx, "m1")
	if len(pins) != 1 || len(sessions) != 1 || sessions[0].Session != "new" || err != nil {
		t.Errorf("got %v, %v, %v, want the pin with its younger session", pins, sessions, err)
	}
}

func TestHandshakeNeverWeakens(t *testing.T) {
	t.Parallel()
	d := openDB(t, filepath.Join(t.TempDir(), "daemon.db"))
	ctx := t.Context()
	for _, c := range []struct{ save, want int }{{0, 1}, {1, 1}, {2, 2}, {1, 2}} {
		if c.save > 0 {
			check(t, d.SaveHandshake(ctx, "m1", c.save))
		}
		if got, err := d.Handshake(ctx, "m1"); got != c.want || err != nil {
			t.Errorf("after %d: got %d, %v, want %d", c.save, got, err, c.want)
		}
	}
	check(t, d.RemoveMesh(ctx, "m1"))
	if got, err := d.Handshake(ctx, "m1"); got != 1 || err != nil {
		t.Errorf("after leaving: got %d, %v, want 1", got, err)
	}
}
