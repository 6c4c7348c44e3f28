package trust

import (
	"cmp"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

const (
	here = "127.0.0.1:7900"
	team = mesh.ID("team")
)

var noon = time.UnixMilli(1_777_900_000_000)

// peer is somebody with keys.
type peer struct {
	name            string
	member, session seal.SecretKey
}

func newPeer(name string) peer { return peer{name, seal.NewSecretKey(), seal.NewSecretKey()} }

func key(k seal.SecretKey) mesh.Key { return mesh.Key(k.Public().String()) }

// vouch is the member's word for the session.
func (p peer) vouch(at time.Time) *protocol.Vouch {
	word := seal.Vouch{Host: here, MeshID: string(team), Member: p.member.Public(), Session: p.session.Public(), NotBefore: at, ExpiresAt: at.Add(seal.VouchLimit)}
	sig, err := word.Sign(p.member)
	if err != nil {
		panic(err)
	}
	return &protocol.Vouch{Host: here, NotBefore: at.UnixMilli(), ExpiresAt: word.ExpiresAt.UnixMilli(), Signature: sig.String()}
}

// row is the member in a roster, by a name.
func (p peer) row(name string) protocol.Peer {
	return protocol.Peer{Pubkey: key(p.member), MemberPubkey: key(p.member), MemberName: name, DisplayName: name}
}

// sessionRow is the session in a roster.
func (p peer) sessionRow(name string, v *protocol.Vouch) protocol.Peer {
	return protocol.Peer{Pubkey: key(p.session), MemberPubkey: key(p.member), MemberName: p.name, DisplayName: name, Attestation: v}
}

// desk is the pins of one user over a database.
type desk struct {
	*Pins
	t   testing.TB
	db  *localdb.DB
	now time.Time
}

func open(t testing.TB) *desk {
	t.Helper()
	d := &desk{t: t, now: noon}
	db, err := localdb.Open(t.Context(), filepath.Join(t.TempDir(), "daemon.db"), func() time.Time { return d.now }, nil)
	if err != nil {
		t.Fatal(err)
	}
	d.db = db
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	d.reopen()
	return d
}

// reopen forgets what only memory knows.
func (d *desk) reopen() {
	d.t.Helper()
	p, err := Open(d.t.Context(), Options{DB: d.db, MeshID: team, Now: func() time.Time { return d.now }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		d.t.Fatal(err)
	}
	d.Pins = p
}

func (d *desk) see(rows ...protocol.Peer) { d.Observe(d.t.Context(), rows) }

// wantNames compares the pins by name, with their levels.
func (d *desk) wantNames(want ...string) {
	d.t.Helper()
	var got []string
	for _, e := range d.Entries() {
		text := cmp.Or(e.Name, e.Claimed) + " " + cmp.Or(string(e.Level), "conflict")
		if e.Conflict {
			text += "!"
		}
		got = append(got, text)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := gocmp.Diff(want, got); diff != "" {
		d.t.Errorf("pins (-want +got):\n%s", diff)
	}
}

func TestFirstMeetingPins(t *testing.T) {
	t.Parallel()
	d := open(t)
	ben, eve := newPeer("ben"), newPeer("eve")
	d.see(ben.row("ben"), protocol.Peer{Pubkey: "no key", MemberPubkey: "no key", MemberName: "odd"})
	d.wantNames("ben seen")
	d.see(ben.row("ben"), eve.row("ben"))
	d.wantNames("ben seen", "ben conflict!")
	d.reopen()
	d.see(eve.row("bеn")) // a letter of another script
	d.wantNames("ben seen", "bеn conflict!")
	if !d.Taken("BEN", key(eve.member)) || d.Taken("ben", key(ben.member)) || d.Of(key(eve.member)).Pinned || !d.Of(key(ben.member)).Pinned {
		t.Error("the name is not the first one's, want it to be")
	}
}

func TestTwoNewOnesOfOneNameAreBothPinned(t *testing.T) {
	t.Parallel()
	d := open(t)
	one, two := newPeer("sam"), newPeer("sam")
	d.see(one.row("sam"), two.row("sam"))
	d.wantNames("sam seen", "sam seen")
}

// A key keeps its name, or that would be free for somebody else.
func TestNameStaysWithItsKey(t *testing.T) {
	t.Parallel()
	d := open(t)
	ben, eve := newPeer("ben"), newPeer("eve")
	d.see(ben.row("ben"))
	d.see(ben.row("benny"))
	d.see(ben.row("benny"), eve.row("ben"))
	d.wantNames("ben seen", "ben conflict!")
	e, err := d.Accept(t.Context(), key(ben.member), false) // the human agrees to the new name
	if err != nil || e.Name != "benny" {
		t.Errorf("got %+v, %v, want the new name", e, err)
	}
	d.see(ben.row("benny"), eve.row("ben"))
	d.wantNames("benny accepted", "ben seen")
}

func TestNameThatComesLater(t *testing.T) {
	t.Parallel()
	d := open(t)
	ben := newPeer("ben")
	nameless := ben.sessionRow("work", nil)
	nameless.MemberName = ""
	d.see(nameless)
	d.wantNames(" seen")
	d.see(ben.row("ben"))
	d.wantNames("ben seen")
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	d := open(t)
	ctx := t.Context()
	ben, next, eve := newPeer("ben"), newPeer("ben"), newPeer("eve")
	d.see(ben.row("ben"), eve.row("eve"))
	if _, err := d.Accept(ctx, key(next.member), false); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("a key that was never met: got %v, want %s", err, mesh.NotFound)
	}
	if _, err := d.Reject(ctx, key(next.member)); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("reject a key that was never met: got %v, want %s", err, mesh.NotFound)
	}
	d.see(next.row("ben"), eve.row("eve")) // a new device: the old key is gone
	if _, err := d.Accept(ctx, key(next.member), true); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Reject(ctx, key(eve.member)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d.wantNames("ben accepted", "ben replaced", "eve rejected")
		if s := d.Of(key(next.member)); !s.Pinned || !s.Accepted || !s.Unattended {
			t.Errorf("got %+v, want it accepted", s)
		}
		for _, gone := range []peer{ben, eve} {
			if s := d.Of(key(gone.member)); s.Pinned || !s.Rejected {
				t.Errorf("got %+v, want it rejected", s)
			}
		}
		d.reopen()
		d.see(next.row("ben"), eve.row("eve"))
	}
	if _, err := d.Accept(ctx, key(eve.member), false); err != nil {
		t.Fatal(err)
	}
	d.wantNames("ben accepted", "ben replaced", "eve accepted")
}

// Two people of one name, both of them there: both keep it.
func TestAcceptBesideAnother(t *testing.T) {
	t.Parallel()
	d := open(t)
	one, two := newPeer("sam"), newPeer("sam")
	d.see(one.row("sam"))
	d.see(one.row("sam"), two.row("sam"))
	if _, err := d.Accept(t.Context(), key(two.member), false); err != nil {
		t.Fatal(err)
	}
	d.wantNames("sam seen", "sam accepted")
}

func TestSessionsAreVouchedFor(t *testing.T) {
	t.Parallel()
	d := open(t)
	ben, eve := newPeer("ben"), newPeer("eve")
	old := ben.vouch(noon.Add(-100 * time.Hour)) // whose the key is stays true
	d.see(ben.row("ben"), ben.sessionRow("work", old), eve.row("eve"), eve.sessionRow("play", nil))
	d.reopen()
	if !d.Vouched(key(ben.session), key(ben.member)) || d.Vouched(key(ben.session), key(eve.member)) || d.Vouched(key(eve.session), key(eve.member)) {
		t.Error("want the session of ben alone to be vouched for, by ben")
	}
	if s := d.Of(key(ben.member)); !s.Proved(protocol.CapAuth) {
		t.Errorf("got %+v, want that it vouches for its sessions", s)
	}
	forged := eve.sessionRow("work", eve.vouch(noon))
	forged.Pubkey = key(ben.session) // the word is for another key
	stolen := ben.sessionRow("work", ben.vouch(noon))
	stolen.MemberPubkey = key(eve.member)
	odd := eve.sessionRow("play", &protocol.Vouch{Signature: "x"})
	d.see(forged, stolen, odd)
	if d.Vouched(key(ben.session), key(eve.member)) || d.Vouched(key(eve.session), key(eve.member)) {
		t.Error("a word that does not hold was taken")
	}
	eve.session = ben.session // eve signs for a key that is ben's
	d.see(eve.sessionRow("work", eve.vouch(noon)))
	if d.Vouched(key(ben.session), key(eve.member)) || !d.Vouched(key(ben.session), key(ben.member)) {
		t.Error("the session has changed hands")
	}
}

func TestRowsThatAreProved(t *testing.T) {
	t.Parallel()
	d := open(t)
	ben, eve, tim := newPeer("ben"), newPeer("eve"), newPeer("tim")
	d.see(ben.row("ben"), ben.sessionRow("work", ben.vouch(noon)), eve.row("eve"), eve.sessionRow("play", nil), tim.row("tim"))
	if _, err := d.Accept(t.Context(), key(tim.member), false); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		row  protocol.Peer
		want bool
	}{
		"a member that signed":            {ben.row("ben"), true},
		"under another name":              {ben.row("benny"), false},
		"its session":                     {ben.sessionRow("work", nil), true},
		"its session, by another's name":  {ben.sessionRow("eve", nil), false},
		"a member that never did":         {eve.row("eve"), false},
		"a session of that":               {eve.sessionRow("play", nil), false},
		"a member that a human compared":  {tim.row("tim"), true},
		"a session of another":            {protocol.Peer{Pubkey: key(ben.session), MemberPubkey: key(eve.member), DisplayName: "work"}, false},
		"a member that was never met":     {newPeer("new").row("new"), false},
		"a member under a name of others": {tim.row("ben"), false},
	} {
		if got := d.Shows(c.row); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
}

// A broker may invent any number of members; what is pinned stays.
func TestPinsAreBounded(t *testing.T) {
	t.Parallel()
	d := open(t)
	ben := newPeer("ben")
	d.see(ben.row("ben"))
	d.limit = 20
	var rows []protocol.Peer
	for i := range 30 {
		rows = append(rows, newPeer("m").row("m"+strconv.Itoa(i)))
	}
	d.see(rows...)
	d.see(rows...)
	if n := len(d.Addresses()); n != 20 || !d.Of(key(ben.member)).Pinned {
		t.Errorf("got %d pins, want 20 with the first one", n)
	}
}
