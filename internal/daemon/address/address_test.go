package address

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Keys: members of the caller, Bob and Carol, and sessions of each.
const (
	me     = mesh.Key("0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e")
	mine   = mesh.Key("0e0e0e0e0e0e0e0e11111111111111111111111111111111111111111111111a")
	mine2  = mesh.Key("0e0e0e0e0e0e0e0e22222222222222222222222222222222222222222222222a")
	bob    = mesh.Key("b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0")
	bob1   = mesh.Key("b0b0b0b0b0b0b0b011111111111111111111111111111111111111111111111b")
	bob2   = mesh.Key("b0b0b0b0b0b0b0b022222222222222222222222222222222222222222222222b")
	carol  = mesh.Key("ca01ca01ca01ca01ca01ca01ca01ca01ca01ca01ca01ca01ca01ca01ca01ca01")
	carol1 = mesh.Key("ca01ca01ca01ca0111111111111111111111111111111111111111111111111c")
	nobody = mesh.Key("dead00000000000000000000000000000000000000000000000000000000dead")
)

// session is a row of a session of ours, which proved its key.
func session(member, key mesh.Key, memberName, name string) protocol.Peer {
	return protocol.Peer{Pubkey: key, MemberPubkey: member, MemberName: memberName, DisplayName: name, PeerRole: mesh.SessionRole, Proved: true}
}

// daemon is the row of a control-plane connection.
func daemon(member mesh.Key, memberName, name string) protocol.Peer {
	return protocol.Peer{Pubkey: member, MemberPubkey: member, MemberName: memberName, DisplayName: name, PeerRole: mesh.ControlPlane}
}

func offline(p protocol.Peer) protocol.Peer {
	no := false
	p.Online = &no
	return p
}

// meshOf is a joined mesh with a roster; the caller is a session of its own.
func meshOf(slug string, rows ...protocol.Peer) Mesh {
	return Mesh{
		ID: mesh.ID("id-" + slug), Slug: slug, Member: me, Session: mine,
		Roster: func(context.Context) ([]protocol.Peer, error) { return rows, nil },
	}
}

// terminal is the same mesh as a caller outside of any session sees it.
func terminal(m Mesh) Mesh {
	m.Session = ""
	return m
}

func (m Mesh) knows(known ...Known) Mesh {
	m.Known = known
	return m
}

func (m Mesh) silent() Mesh {
	m.Roster = func(context.Context) ([]protocol.Peer, error) { return nil, errors.New("not connected") }
	return m
}

var (
	yes, no = true, false

	home = meshOf("home",
		daemon(me, "me@laptop", "daemon"), session(me, mine, "me@laptop", "api"), session(me, mine2, "me@laptop", "web"),
		daemon(bob, "bob@desk", "daemon"), session(bob, bob1, "bob@desk", "Build"), session(bob, bob2, "bob@desk", "docs"),
		daemon(carol, "carol@desk", "daemon"),
	)
	work = meshOf("work", session(carol, carol1, "carol@desk", "review"))
)

// to is a result for one peer.
func to(slug string, kind protocol.TargetKind, key mesh.Key, name string, online *bool) Result {
	return Result{MeshID: mesh.ID("id-" + slug), Mesh: slug, Kind: kind, TargetSpec: string(key), RecipientKey: key, Name: name, Online: online}
}

type resolveCase struct {
	to     string
	mesh   string
	toSelf bool
	meshes []Mesh
	want   Result
	code   mesh.Code // refused
	hits   []mesh.Key
}

func TestResolve(t *testing.T) {
	t.Parallel()
	one, two := []Mesh{home}, []Mesh{home, work}
	outside := []Mesh{terminal(home)}
	plain := func(name string) protocol.Peer { // of the first TypeScript clients, on a broker of theirs
		return protocol.Peer{Pubkey: bob1, MemberPubkey: bob, DisplayName: name, Channel: "claude-code"}
	}
	for name, c := range map[string]resolveCase{
		// Names.
		"session name":               {to: "docs", meshes: one, want: to("home", protocol.KindSession, bob2, "docs", &yes)},
		"another case":               {to: " bUILD ", meshes: one, want: to("home", protocol.KindSession, bob1, "Build", &yes)},
		"member name":                {to: "bob@desk", meshes: one, want: to("home", protocol.KindMember, bob, "bob@desk", &yes)},
		"member behind a daemon":     {to: "carol@desk", meshes: one, want: to("home", protocol.KindMember, carol, "carol@desk", &yes)},
		"a daemon's own name":        {to: "daemon", meshes: one, code: mesh.TargetNotFound},
		"nobody":                     {to: "zoe", meshes: one, code: mesh.TargetNotFound},
		"part of a name":             {to: "doc", meshes: one, code: mesh.TargetNotFound},
		"short hex is a name":        {to: "b0b0b0b0", meshes: one, code: mesh.TargetNotFound},
		"unique across meshes":       {to: "review", meshes: two, want: to("work", protocol.KindSession, carol1, "review", &yes)},
		"in several meshes":          {to: "carol@desk", meshes: two, code: mesh.AmbiguousTarget, hits: []mesh.Key{carol, carol}},
		"narrowed to one":            {to: "carol@desk", mesh: "work", meshes: two, want: to("work", protocol.KindMember, carol, "carol@desk", &yes)},
		"narrowed past it":           {to: "docs", mesh: "work", meshes: two, code: mesh.TargetNotFound},
		"two peers of one name":      {to: "docs", meshes: []Mesh{meshOf("home", session(bob, bob1, "", "docs"), session(carol, carol1, "", "docs"))}, code: mesh.AmbiguousTarget, hits: []mesh.Key{bob1, carol1}},
		"a session and a member":     {to: "carol", meshes: []Mesh{meshOf("home", session(bob, bob1, "bob", "carol"), daemon(carol, "carol", ""))}, code: mesh.AmbiguousTarget, hits: []mesh.Key{bob1, carol}},
		"by its member's name":       {to: "bob", meshes: []Mesh{meshOf("home", session(bob, bob1, "bob", "bob"), session(bob, bob2, "bob", "bob"))}, want: to("home", protocol.KindMember, bob, "bob", &yes)},
		"resumed under a new key":    {to: "docs", meshes: []Mesh{meshOf("home", offline(session(bob, bob1, "", "docs")), session(bob, bob2, "", "docs"))}, want: to("home", protocol.KindSession, bob2, "docs", &yes)},
		"two gone of one name":       {to: "docs", meshes: []Mesh{meshOf("home", offline(session(bob, bob1, "", "docs")), offline(session(bob, bob2, "", "docs")))}, code: mesh.AmbiguousTarget, hits: []mesh.Key{bob1, bob2}},
		"another's, and offline":     {to: "docs", meshes: []Mesh{meshOf("home", offline(session(bob, bob1, "", "docs")), session(carol, carol1, "", "docs"))}, code: mesh.AmbiguousTarget, hits: []mesh.Key{carol1, bob1}},
		"offline session":            {to: "docs", meshes: []Mesh{meshOf("home", offline(session(bob, bob1, "", "docs")))}, want: to("home", protocol.KindSession, bob1, "docs", &no)},
		"known session":              {to: "old", meshes: []Mesh{home.knows(Known{Member: bob, Session: bob1, Name: "old", Proved: true})}, want: to("home", protocol.KindSession, bob1, "old", &yes)},
		"known, roster is silent":    {to: "old", meshes: []Mesh{home.silent().knows(Known{Member: bob, Session: bob1, Name: "old", Proved: true})}, want: to("home", protocol.KindSession, bob1, "old", nil)},
		"known member":               {to: "bob", meshes: []Mesh{meshOf("home").knows(Known{Member: bob, MemberName: "bob"})}, want: to("home", protocol.KindMember, bob, "bob", &no)},
		"found beside a silent mesh": {to: "docs", meshes: []Mesh{home, work.silent()}, want: to("home", protocol.KindSession, bob2, "docs", &yes)},

		// Older brokers and clients.
		"plain hello":                 {to: "alpha", meshes: []Mesh{meshOf("home", plain("alpha"))}, want: to("home", protocol.KindMember, bob, "alpha", &yes)},
		"two plain hellos":            {to: "alpha", meshes: []Mesh{meshOf("home", plain("alpha"), protocol.Peer{Pubkey: bob2, MemberPubkey: bob, DisplayName: "alpha"})}, want: to("home", protocol.KindMember, bob, "alpha", &yes)},
		"session_hello by channel":    {to: "alpha", meshes: []Mesh{meshOf("home", protocol.Peer{Pubkey: bob1, MemberPubkey: bob, DisplayName: "alpha", Channel: "claudemesh-session"})}, want: to("home", protocol.KindSession, bob1, "alpha", &yes)},
		"daemon by channel":           {to: "alpha", meshes: []Mesh{meshOf("home", protocol.Peer{Pubkey: bob, MemberPubkey: bob, DisplayName: "alpha", Channel: "claudemesh-daemon"})}, code: mesh.TargetNotFound},
		"daemon that is the presence": {to: "alpha", meshes: []Mesh{meshOf("home", protocol.Peer{Pubkey: bob1, MemberPubkey: bob, DisplayName: "alpha", Channel: "claudemesh-daemon"})}, want: to("home", protocol.KindMember, bob, "alpha", &yes)},
		"no member key":               {to: "alpha", meshes: []Mesh{meshOf("home", protocol.Peer{Pubkey: bob, DisplayName: "alpha"})}, want: to("home", protocol.KindMember, bob, "alpha", &yes)},
		"a row that is no peer":       {to: "alpha", meshes: []Mesh{meshOf("home", protocol.Peer{Pubkey: "xyz", DisplayName: "alpha"})}, code: mesh.TargetNotFound},
		"known with bad keys":         {to: "alpha", meshes: []Mesh{meshOf("home").knows(Known{Member: "xyz", Session: bob1, Name: "alpha"})}, code: mesh.TargetNotFound},

		// Keys and prefixes.
		"session key":                 {to: string(bob1), meshes: two, want: to("home", protocol.KindSession, bob1, "Build", &yes)},
		"member key":                  {to: string(bob), meshes: two, want: to("home", protocol.KindMember, bob, "bob@desk", &yes)},
		"key in capitals":             {to: "CA01CA01CA01CA01CA01CA01CA01CA01CA01CA01CA01CA01CA01CA01CA01CA01", meshes: one, want: to("home", protocol.KindMember, carol, "carol@desk", &yes)},
		"key of a plain hello":        {to: string(bob1), meshes: []Mesh{meshOf("home", plain("alpha"))}, want: to("home", protocol.KindSession, bob1, "alpha", &yes)},
		"key of a plain hello, gone":  {to: string(bob1), meshes: []Mesh{meshOf("home", offline(plain("alpha")))}, want: to("home", protocol.KindMember, bob, "alpha", &no)},
		"unknown key":                 {to: string(nobody), meshes: one, want: to("home", protocol.KindMember, nobody, "", nil)},
		"unknown key, several meshes": {to: string(nobody), meshes: two, code: mesh.MeshRequired},
		"unknown key, narrowed":       {to: string(nobody), mesh: "work", meshes: two, want: to("work", protocol.KindMember, nobody, "", nil)},
		"session prefix":              {to: string(bob2[:20]), meshes: two, want: to("home", protocol.KindSession, bob2, "docs", &yes)},
		"member prefix":               {to: string(bob[:20]), meshes: two, want: to("home", protocol.KindMember, bob, "bob@desk", &yes)},
		"prefix of many sessions":     {to: string(bob[:16]), meshes: one, code: mesh.AmbiguousTarget, hits: []mesh.Key{bob1, bob, bob2}},
		"member prefix, sessions":     {to: string(bob[:17]), meshes: one, want: to("home", protocol.KindMember, bob, "bob@desk", &yes)},
		"unknown prefix":              {to: string(nobody[:16]), meshes: one, code: mesh.TargetNotFound},

		// One's own.
		"own session":              {to: "api", meshes: one, code: mesh.SelfSend},
		"own session, meant":       {to: "api", toSelf: true, meshes: one, want: to("home", protocol.KindSession, mine, "api", &yes)},
		"own session by key":       {to: string(mine), meshes: one, code: mesh.SelfSend},
		"own member":               {to: "me@laptop", meshes: one, code: mesh.SelfSend},
		"own member by key":        {to: string(me), meshes: one, code: mesh.SelfSend},
		"own member, meant":        {to: string(me), toSelf: true, meshes: one, want: to("home", protocol.KindMember, me, "me@laptop", &yes)},
		"own key, unseen":          {to: string(me), meshes: []Mesh{meshOf("home").silent()}, code: mesh.SelfSend},
		"sibling":                  {to: "web", meshes: one, want: to("home", protocol.KindSession, mine2, "web", &yes)},
		"sibling by key":           {to: string(mine2), meshes: one, want: to("home", protocol.KindSession, mine2, "web", &yes)},
		"sibling of a plain hello": {to: "alpha", meshes: []Mesh{meshOf("home", protocol.Peer{Pubkey: mine2, MemberPubkey: me, DisplayName: "alpha"})}, code: mesh.SelfSend},
		"own, from a terminal":     {to: "web", meshes: outside, code: mesh.SelfSend},
		"own, meant, terminal":     {to: "web", toSelf: true, meshes: outside, want: to("home", protocol.KindSession, mine2, "web", &yes)},
		"another of one's name":    {to: "api", meshes: []Mesh{meshOf("home", session(me, mine, "", "api"), session(bob, bob1, "", "api"))}, want: to("home", protocol.KindSession, bob1, "api", &yes)},
		"both of a name, meant":    {to: "api", toSelf: true, meshes: []Mesh{meshOf("home", session(me, mine, "", "api"), session(bob, bob1, "", "api"))}, code: mesh.AmbiguousTarget, hits: []mesh.Key{mine, bob1}},

		// Many.
		"everyone":               {to: "*", meshes: one, want: Result{MeshID: "id-home", Mesh: "home", Kind: protocol.KindAll, TargetSpec: "*"}},
		"everyone as a group":    {to: "@all", meshes: one, want: Result{MeshID: "id-home", Mesh: "home", Kind: protocol.KindAll, TargetSpec: "@all"}},
		"group":                  {to: "@ops/night", meshes: one, want: Result{MeshID: "id-home", Mesh: "home", Kind: protocol.KindGroup, TargetSpec: "@ops/night"}},
		"topic":                  {to: "#Tpc_0123456789abcdefghij", meshes: one, want: Result{MeshID: "id-home", Mesh: "home", Kind: protocol.KindTopic, TargetSpec: "#Tpc_0123456789abcdefghij"}},
		"topic by name":          {to: "#deploys", meshes: one, code: mesh.TargetNotFound},
		"group, several meshes":  {to: "@ops", meshes: two, code: mesh.MeshRequired},
		"group, narrowed":        {to: "@ops", mesh: "work", meshes: two, want: Result{MeshID: "id-work", Mesh: "work", Kind: protocol.KindGroup, TargetSpec: "@ops"}},
		"group that is no group": {to: "@../x", meshes: one, code: mesh.BadName},

		// Requests.
		"nothing":      {to: " ", meshes: one, code: mesh.BadRequest},
		"no mesh":      {to: "docs", code: mesh.NothingJoined},
		"unknown mesh": {to: "docs", mesh: "play", meshes: two, code: mesh.MeshNotAttached},
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); testResolve(t, c) })
	}
}

func testResolve(t *testing.T, c resolveCase) {
	got, err := Resolve(context.Background(), Request{To: c.to, Mesh: c.mesh, ToSelf: c.toSelf, Meshes: c.meshes})
	if c.code == "" {
		if err != nil {
			t.Fatalf("got %v", err)
		}
		if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(Result{}, "Member", "Exact")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		return
	}
	var e *mesh.Error
	if !errors.As(err, &e) || e.Code != c.code {
		t.Fatalf("got %+v, %v; want %s", got, err, c.code)
	}
	if c.code == mesh.TargetNotFound {
		return // it lists who is online: see TestNobodyIsAnsweredWithWhoIsThere
	}
	var keys []mesh.Key
	for _, candidate := range e.Details.Candidates {
		keys = append(keys, candidate.Key)
	}
	if diff := cmp.Diff(c.hits, keys); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
	if needs := c.code == mesh.MeshRequired || c.code == mesh.MeshNotAttached; needs != (len(e.Details.Attached) == len(c.meshes) && len(c.meshes) > 0) {
		t.Errorf("attached meshes are %v", e.Details.Attached)
	}
}

// All rosters are asked at once, and one that hangs costs 2 s.
func TestResolveWaitsForRostersTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(slug string, d time.Duration, rows ...protocol.Peer) Mesh {
			m := meshOf(slug)
			m.Roster = func(ctx context.Context) ([]protocol.Peer, error) {
				select {
				case <-time.After(d):
					return rows, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			return m
		}
		begin := time.Now()
		got, err := Resolve(context.Background(), Request{To: "docs", Meshes: []Mesh{
			slow("a", 1500*time.Millisecond), slow("b", time.Hour), slow("c", 1500*time.Millisecond, session(bob, bob2, "", "docs")),
		}})
		if err != nil || got.RecipientKey != bob2 || time.Since(begin) != 2*time.Second {
			t.Errorf("got %+v, %v after %s; want docs after 2 s", got, err, time.Since(begin))
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := Resolve(ctx, Request{To: "docs", Meshes: []Mesh{slow("a", time.Hour)}}); !mesh.IsCode(err, mesh.Cancelled) {
			t.Errorf("a cancelled call: got %v, want %s", err, mesh.Cancelled)
		}
	})
}

func TestThreat20AmbiguousListIsBounded(t *testing.T) {
	t.Parallel()
	var rows []protocol.Peer
	for i := range 50 {
		key := mesh.Key(string(bob[:62]) + string("0123456789"[i/10]) + string("0123456789"[i%10]))
		rows = append(rows, session(bob, key, "", "docs"))
	}
	_, err := Resolve(context.Background(), Request{To: "docs", Meshes: []Mesh{meshOf("home", rows...)}})
	var e *mesh.Error
	if !errors.As(err, &e) || len(e.Details.Candidates) != maxCandidates {
		t.Errorf("got %v with %d candidates, want %d", err, len(e.Details.Candidates), maxCandidates)
	}
}
