package roster

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/presence"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

var start = time.UnixMilli(1_700_000_000_000).UTC()

// world is a mesh with alice (two sessions), bob and carol in the store, and some of them connected.
type world struct {
	roster  *Roster
	conns   []hub.Conn
	told    map[mesh.ConnID]presence.Peer // what connections told of themselves
	members []store.Member
	grants  map[mesh.ID]mesh.Grants
}

func (w *world) complete(_ mesh.ID, conns []hub.Conn) (all []presence.Peer) {
	for _, c := range conns {
		p := w.told[c.ID]
		p.Conn, p.Told = c, presence.Told{MemberName: string(c.Member), Owned: c.SessionKey != ""}
		all = append(all, p)
	}
	return all
}

func key(n int) mesh.Key { return mesh.Key(fmt.Sprintf("%064x", n)) }

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "broker.db"), func() time.Time { return start }, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w := &world{}
	w.roster = &Roster{
		DB: db, Seen: 30 * 24 * time.Hour, Now: func() time.Time { return start }, Page: 1000, Reached: func(config.Bound) {},
		Connections: func(context.Context, mesh.ID) ([]hub.Conn, error) { return slices.Clone(w.conns), nil },
		Permits: func(member mesh.ID, caller *session.Session, what mesh.Caps) bool {
			return member == caller.Member || w.grants[member].Of(caller.MemberKey, caller.SessionKey).Has(what)
		},
		Complete: w.complete,
	}
	err = db.Write(t.Context(), func(tx *sqlite.Tx) error {
		if err := store.AddMesh(tx, store.Mesh{ID: "m", Slug: "m", Name: "m", OwnerKey: key(1)}); err != nil {
			return err
		}
		for i, name := range []string{"alice", "bob", "carol"} {
			m, _, err := store.AddMember(tx, store.Member{ID: mesh.ID(name), Mesh: "m", Key: key(i + 1), Name: name, Role: store.RoleMember, JoinedAt: start})
			if err != nil {
				return err
			}
			w.members = append(w.members, m)
		}
		return w.addSessions(tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) addSessions(tx *sqlite.Tx) error {
	for _, s := range []store.Session{
		{Key: key(11), Member: w.members[0].N, Name: "alice-1", Proved: true, LastSeen: start},
		{Key: key(12), Member: w.members[0].N, Name: "alice-2", LastSeen: start.Add(-time.Hour)},
		{Key: key(13), Member: w.members[0].N, Name: "alice-old", LastSeen: start.Add(-31 * 24 * time.Hour)},
		{Key: key(14), Member: w.members[0].N, Name: "Alice-2", LastSeen: start.Add(-2 * time.Hour)}, // the one before
	} {
		s.Mesh = "m"
		if _, err := store.ClaimSession(tx, s); err != nil {
			return err
		}
	}
	return nil
}

// connect puts a daemon and a session of alice's online.
func (w *world) connect() {
	w.conns = []hub.Conn{
		{ID: 3, Mesh: "m", Member: "alice", MemberKey: key(1), Name: "alice@host", Role: mesh.ControlPlane, Status: mesh.Idle, ConnectedAt: start},
		{
			ID: 7, Mesh: "m", Member: "alice", MemberKey: key(1), SessionKey: key(11), SessionID: "s", Name: "alice-1", Role: mesh.SessionRole,
			Status: mesh.Working, ConnectedAt: start.Add(time.Second), Groups: []protocol.Group{{Name: "dev", Role: "lead"}},
			Presence: protocol.Presence{CWD: "app", Hostname: "h", PeerType: "ai", Channel: "claude-code", Model: "x", Role: "builder"},
		},
	}
}

func (w *world) list(t *testing.T, ours bool, req protocol.PeersRequest) protocol.PeersAnswer {
	t.Helper()
	answer, err := w.roster.List(t.Context(), &session.Session{Mesh: "m", Member: "alice", Go: ours}, req)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func names(a protocol.PeersAnswer) (list []string) {
	for _, p := range a.Peers {
		list = append(list, p.DisplayName)
	}
	return list
}

func TestOldClientsGetTheFieldsTheyKnow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect()
	frame, err := wire.Encode(w.list(t, false, protocol.PeersRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"peers":[{"pubkey":"%[1]s","memberPubkey":"%[1]s","displayName":"alice@host","status":"idle","summary":null,"groups":[],"sessionId":"","connectedAt":"2023-11-14T22:13:20.000Z","cwd":"","peerRole":"control-plane"},`+
		`{"pubkey":"%[2]s","memberPubkey":"%[1]s","displayName":"alice-1","status":"working","summary":null,"groups":[{"name":"dev","role":"lead"}],"sessionId":"s","connectedAt":"2023-11-14T22:13:21.000Z","cwd":"app","peerRole":"session","role":"builder","hostname":"h","peerType":"ai","channel":"claude-code","model":"x"}]}`,
		key(1), key(11))
	if diff := cmp.Diff(want, string(frame)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhoIsOffline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect()
	if diff := cmp.Diff([]string{"alice@host", "alice-1"}, names(w.list(t, true, protocol.PeersRequest{}))); diff != "" {
		t.Errorf("online only (-want +got):\n%s", diff)
	}
	all := w.list(t, true, protocol.PeersRequest{IncludeOffline: true})
	if diff := cmp.Diff([]string{"alice@host", "alice-1", "alice-2", "bob", "carol"}, names(all)); diff != "" {
		t.Errorf("with offline (-want +got):\n%s", diff)
	}
	for i, want := range []struct {
		key            mesh.Key
		member         string
		online, proved bool
	}{{key(1), "alice", true, false}, {key(11), "alice", true, true}, {key(12), "alice", false, false}, {key(2), "bob", false, false}, {key(3), "carol", false, false}} {
		p := all.Peers[i]
		if online := p.Online != nil && *p.Online; p.Pubkey != want.key || p.MemberName != want.member || online != want.online || p.Proved != want.proved {
			t.Errorf("row %d: got %+v, want %+v", i, p, want)
		}
	}
	if got := all.Peers[2].LastSeenAt; got != mesh.FormatTime(start.Add(-time.Hour)) {
		t.Errorf("alice-2 was last seen %s", got)
	}
}

func TestPagesCoverEverybodyOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect()
	for limit := range 7 {
		var got []string
		req := protocol.PeersRequest{IncludeOffline: true, Limit: limit}
		for range 10 {
			page := w.list(t, true, req)
			got = append(got, names(page)...)
			if limit > 0 && len(page.Peers) > limit {
				t.Errorf("limit %d: got a page of %d", limit, len(page.Peers))
			}
			if req.After = page.Next; req.After == "" {
				break
			}
		}
		if diff := cmp.Diff([]string{"alice@host", "alice-1", "alice-2", "bob", "carol"}, got); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
}

func TestPagesFitIntoAFrame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 1000 {
		w.conns = append(w.conns, hub.Conn{ID: mesh.ConnID(i + 1), Member: "alice", MemberKey: key(1), SessionKey: key(1000 + i), Name: fmt.Sprintf("n%d", i)})
	}
	total, req := 0, protocol.PeersRequest{}
	for {
		page := w.list(t, true, req)
		frame, err := protocol.ListPeers.EncodeReply("0123456789abcdef", page)
		if err != nil {
			t.Fatal(err)
		}
		if len(frame) > 64<<10 {
			t.Errorf("got a frame of %d bytes", len(frame))
		}
		total += len(page.Peers)
		if req.After = page.Next; req.After == "" {
			break
		}
	}
	if total != 1000 {
		t.Errorf("got %d rows, want 1000", total)
	}
	if n := len(w.list(t, false, protocol.PeersRequest{}).Peers); n != 1000 {
		t.Errorf("an old client got %d rows, want all in one frame", n)
	}
}

func TestForeignCursorIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.connect()
	for _, after := range []string{"c", "x1", "c-1", "1", "c99999999999999999999999", "\x00"} {
		_, err := w.roster.List(t.Context(), &session.Session{Mesh: "m", Go: true}, protocol.PeersRequest{After: after})
		if !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("after %q: got %v, want bad_request", after, err)
		}
	}
	if n := len(w.list(t, true, protocol.PeersRequest{After: "t999"}).Peers); n != 0 {
		t.Errorf("behind everybody: got %d rows", n)
	}
}
