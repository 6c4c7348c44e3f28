package order

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/daemon/address"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// The people of these tests: the own member with a session, ben with two, and carol.
var (
	own, ownSession   = key("0e"), key("05")
	ben, ben1, ben2   = key("be"), key("b1"), key("b2")
	carol, stranger   = key("ca"), key("5a")
	sessionsOfBen     = []mesh.Candidate{{Name: "api", Key: ben1}, {Name: "web", Key: ben2}}
	sessionsOfSeveral = []mesh.Candidate{{Name: "api", Key: ben1}, {Name: "api", Key: carol}}
)

func key(word string) mesh.Key { return mesh.Key(strings.Repeat(word, 32)) }

// newPlace is a mesh whose broker is never reached.
func newPlace(t *testing.T, old mesh.Grants) Place {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	db, err := localdb.Open(context.Background(), filepath.Join(t.TempDir(), "daemon.db"), time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	link, err := uplink.New(uplink.Options{URL: "ws://127.0.0.1:1/ws"})
	if err != nil {
		t.Fatal(err)
	}
	met := []address.Known{
		{Member: ben, MemberName: "ben@desk"}, {Member: ben, MemberName: "ben@desk", Session: ben1, Name: "api"},
		{Member: ben, MemberName: "ben@desk", Session: ben2, Name: "web"}, {Member: carol, MemberName: "carol"},
	}
	return Place{
		ID: "m1", Slug: "team", DB: db, Link: link, Now: time.Now, Log: log,
		Own:     func() map[mesh.Key]bool { return map[mesh.Key]bool{own: true, ownSession: true} },
		Met:     func() []address.Known { return met },
		Here:    func(context.Context) []protocol.Peer { return nil },
		Resolve: resolve,
		Sign: func(string, any) (protocol.SignedOperation, error) {
			return protocol.SignedOperation{}, nil
		},
		Old: func() (mesh.Grants, error) { return old, nil },
	}
}

// resolve finds the people of these tests.
func resolve(_ context.Context, to string) (address.Result, error) {
	several := func(list []mesh.Candidate) (address.Result, error) {
		return address.Result{}, mesh.Errorf(mesh.AmbiguousTarget, "several are called %s", to).With(mesh.Details{Candidates: list})
	}
	switch to {
	case "me":
		return address.Result{RecipientKey: own, Name: "me"}, nil
	case "ben":
		return several(sessionsOfBen)
	case "api":
		return several(sessionsOfSeveral)
	case "web":
		return address.Result{RecipientKey: ben2, Name: "web"}, nil
	case "carol":
		return address.Result{RecipientKey: carol, Name: "carol"}, nil
	case string(stranger):
		return address.Result{RecipientKey: stranger, Exact: true}, nil
	}
	return address.Result{}, mesh.Errorf(mesh.TargetNotFound, "nobody is called %s", to)
}

func newOrder(t *testing.T, p Place) *Order {
	t.Helper()
	o, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// change makes one change that has to succeed.
func change(t *testing.T, o *Order, verb, peer string, caps ...mesh.Cap) localapi.GrantAnswer {
	t.Helper()
	answer, err := o.Change(context.Background(), localapi.GrantRequest{Verb: verb, Peer: peer, Caps: caps})
	if err != nil {
		t.Fatalf("%s %s: %v", verb, peer, err)
	}
	if answer.BrokerTold {
		t.Errorf("%s %s: a broker that was never reached was told", verb, peer)
	}
	return answer
}

// Each change counts here at once, broker or not, and is there after a restart.
func TestChange(t *testing.T) {
	t.Parallel()
	p := newPlace(t, nil)
	o := newOrder(t, p)
	for _, c := range []struct {
		verb, peer string
		caps       []mesh.Cap
		want       []mesh.Cap
		key        mesh.Key
	}{
		{localapi.VerbGrant, "ben", []mesh.Cap{mesh.CapFileRead}, append(mesh.DefaultCaps.List(), mesh.CapFileRead), ben},
		{localapi.VerbRevoke, "web", []mesh.Cap{mesh.CapDM}, []mesh.Cap{mesh.CapRead, mesh.CapBroadcast, mesh.CapStateRead, mesh.CapFileRead}, ben},
		{localapi.VerbBlock, "carol", nil, []mesh.Cap{}, carol},
		{localapi.VerbBlock, string(stranger), nil, []mesh.Cap{}, stranger},
		{localapi.VerbUnblock, string(stranger), nil, mesh.DefaultCaps.List(), stranger},
	} {
		got := change(t, o, c.verb, c.peer, c.caps...)
		if diff := cmp.Diff(c.want, got.Caps); diff != "" || got.Pubkey != c.key || got.Default != (c.verb == localapi.VerbUnblock) {
			t.Errorf("%s %s: got %+v, want %s with %v", c.verb, c.peer, got, c.key.Short(), c.want)
		}
	}
	for name, o := range map[string]*Order{"now": o, "after a restart": newOrder(t, p)} {
		answer := o.Grants()
		want := localapi.GrantsAnswer{
			Mesh: "team", Names: map[mesh.Key]string{ben: "ben@desk", carol: "carol"},
			Grants: map[mesh.Key][]mesh.Cap{ben: {mesh.CapRead, mesh.CapBroadcast, mesh.CapStateRead, mesh.CapFileRead}, carol: {}},
		}
		if diff := cmp.Diff(want, answer); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestChangeRefuses(t *testing.T) {
	t.Parallel()
	o := newOrder(t, newPlace(t, nil))
	for _, c := range []struct {
		verb, peer string
		caps       []mesh.Cap
		want       mesh.Code
	}{
		{localapi.VerbBlock, "me", nil, mesh.SelfSend},
		{localapi.VerbBlock, "api", nil, mesh.AmbiguousTarget},
		{localapi.VerbBlock, "nobody", nil, mesh.TargetNotFound},
		{localapi.VerbBlock, "@ops", nil, mesh.BadRequest},
		{localapi.VerbBlock, "*", nil, mesh.BadRequest},
		{localapi.VerbBlock, "", nil, mesh.BadRequest},
		{localapi.VerbGrant, "ben", nil, mesh.BadRequest},
		{localapi.VerbRevoke, "ben", nil, mesh.BadRequest},
		{localapi.VerbGrant, "ben", []mesh.Cap{"fly"}, mesh.BadRequest},
		{"bless", "ben", nil, mesh.NotFound},
	} {
		if _, err := o.Change(context.Background(), localapi.GrantRequest{Verb: c.verb, Peer: c.peer, Caps: c.caps}); !mesh.IsCode(err, c.want) {
			t.Errorf("%s %q %v: got %v, want %s", c.verb, c.peer, c.caps, err, c.want)
		}
	}
	if got := o.Entries(); len(got) != 0 {
		t.Errorf("got %v, want nothing changed", got)
	}
}

func TestAdmits(t *testing.T) {
	t.Parallel()
	p := newPlace(t, nil)
	o := newOrder(t, p)
	push := func(sender, member mesh.Key) protocol.PushedMessage {
		return protocol.PushedMessage{SenderPubkey: sender, SenderMemberPubkey: member}
	}
	if !o.Admits(context.Background(), push(ben1, ben), true, "") {
		t.Error("without any entry a message is held")
	}
	change(t, o, localapi.VerbBlock, "ben")
	change(t, o, localapi.VerbRevoke, "carol", mesh.CapBroadcast)
	if err := p.DB.SeePeers(context.Background(), []localdb.Peer{{MeshID: "m1", Key: ben2, MemberKey: ben, Session: true, LastSeen: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		msg    protocol.PushedMessage
		opened mesh.Key
		direct bool
		want   bool
	}{
		"a session of a blocked member": {push(ben1, ben), ben1, true, false},
		"to many":                       {push(ben1, ben), "", false, false},
		"a stranger":                    {push(stranger, stranger), stranger, true, true},
		"a direct message of who may not write to many":   {push(carol, carol), carol, true, true},
		"to many of who may not":                          {push(carol, carol), "", false, false},
		"a relay that lies about the member of a session": {push(ben2, stranger), ben2, true, false},
		"a relay that lies about the sender of a box":     {push(stranger, stranger), ben2, true, false},
		"a relay that hides the member":                   {push(ben, ""), ben, true, false},
		"one's own session":                               {push(ownSession, ben), ownSession, true, true},
	} {
		if got := o.Admits(context.Background(), c.msg, c.direct, c.opened); got != c.want {
			t.Errorf("%s: admitted %t, want %t", name, got, c.want)
		}
	}
}

// A block outlives the change of clients, once: what was lifted here stays lifted.
func TestOldGrantsAreTakenOverOnce(t *testing.T) {
	t.Parallel()
	p := newPlace(t, mesh.Grants{ben: 0})
	o := newOrder(t, p)
	if o.Admits(context.Background(), protocol.PushedMessage{SenderPubkey: ben, SenderMemberPubkey: ben}, true, ben) {
		t.Error("who was blocked before is let in")
	}
	change(t, o, localapi.VerbUnblock, "ben")
	if got := newOrder(t, p).Entries(); len(got) != 0 {
		t.Errorf("got %v after a restart, want the block lifted", got)
	}
	p.Old = func() (mesh.Grants, error) { return nil, mesh.Errorf(mesh.ConfigUnreadable, "torn") }
	p.ID = "m2"
	if _, err := New(p); err != nil {
		t.Errorf("an old list that cannot be read: got %v, want an order all the same", err)
	}
}

func TestWithoutABroker(t *testing.T) {
	t.Parallel()
	o := newOrder(t, newPlace(t, nil))
	ctx := context.Background()
	if err := o.Barred(); err != nil {
		t.Errorf("barred: got %v, want nothing known", err)
	}
	if err := o.Meet(ctx); err != nil {
		t.Errorf("meet: got %v, want it left for the next connection", err)
	}
	for _, verb := range []string{localapi.VerbKick, localapi.VerbDisconnect, localapi.VerbBan, localapi.VerbUnban} {
		if _, err := o.Moderate(ctx, localapi.ModerateRequest{Verb: verb, Target: "ben"}); !mesh.IsCode(err, mesh.BrokerDown) {
			t.Errorf("%s: got %v, want %s", verb, err, mesh.BrokerDown)
		}
	}
	if _, err := o.Moderate(ctx, localapi.ModerateRequest{Verb: localapi.VerbKick}); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("kick nobody: got %v, want %s", err, mesh.BadRequest)
	}
	if _, err := o.Moderate(ctx, localapi.ModerateRequest{Verb: "praise"}); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("no moderation: got %v, want %s", err, mesh.NotFound)
	}
	if answer, err := o.Bans(ctx); !mesh.IsCode(err, mesh.BrokerDown) || answer.Bans == nil {
		t.Errorf("bans: got %+v, %v, want %s and a list", answer, err, mesh.BrokerDown)
	}
}

func TestSole(t *testing.T) {
	t.Parallel()
	one, two := &Order{Place: Place{Slug: "one"}}, &Order{Place: Place{Slug: "two"}}
	if got, err := Sole([]*Order{one}); got != one || err != nil {
		t.Errorf("one: got %v, %v", got, err)
	}
	if _, err := Sole(nil); !mesh.IsCode(err, mesh.NothingJoined) {
		t.Errorf("none: got %v, want %s", err, mesh.NothingJoined)
	}
	_, err := Sole([]*Order{one, two})
	var refused *mesh.Error
	if !errors.As(err, &refused) || refused.Code != mesh.MeshRequired {
		t.Fatalf("two: got %v, want %s", err, mesh.MeshRequired)
	}
	if diff := cmp.Diff([]string{"one", "two"}, refused.Details.Attached); diff != "" {
		t.Errorf("attached (-want +got):\n%s", diff)
	}
}
