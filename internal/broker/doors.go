package broker

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/moderation"
	"github.com/claudemesh/claudemesh/internal/broker/presence"
	"github.com/claudemesh/claudemesh/internal/broker/queue"
	"github.com/claudemesh/claudemesh/internal/broker/replay"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// doors let members in (wire 2, design C4). They may be used from any goroutine.
type doors struct {
	db    *sqlite.DB
	set   config.Broker
	now   mesh.Clock
	seen  *replay.Cache
	words words
	seats *seats

	hellos, requests *pace[seat] // of each member; a seat of nobody
}

// guest is who came in.
type guest struct {
	session *session.Session
	conn    hub.Conn
	box     store.Box
	told    presence.Told
	answer  protocol.HelloAnswer
	seat    seat
	proved  bool // it signed with its session key
	took    bool // the session key was another member's, who had not proved it
}

// open checks a hello and lets its sender in. The guest holds a seat until leave.
func (d *doors) open(ctx context.Context, from arrival, typ string, data []byte) (*guest, error) {
	p, err := d.prove(from, typ, data)
	if err != nil {
		return nil, err
	}
	known, err := d.find(ctx, p)
	if err != nil {
		return nil, err
	}
	if !d.seen.First("hello", p.signature) {
		return nil, mesh.Errorf(mesh.Replay, "this hello came before; connect again")
	}
	d.words.learn(p.word)
	g, err := d.welcome(p, known)
	if err != nil {
		return nil, err
	}
	g.took = known.Session.N != 0 && known.Session.Member != known.Member.N
	if err := d.enter(p); err != nil {
		return nil, err
	}
	session, err := d.claim(ctx, p, known, g.session.Name)
	if err != nil {
		d.leave(g)
		return nil, err
	}
	g.told = told(p, known)
	g.box = store.Box{Member: known.Member.N, Session: session}
	return g, nil
}

// told is what the roster tells of a guest beside its connection.
func told(p proof, a acquaintance) presence.Told {
	t := presence.Told{MemberName: a.Member.Name, Owned: p.owned, Vouch: p.vouch}
	if a.Session.Member == a.Member.N {
		t.Owned = t.Owned || a.Session.Proved
		if t.Vouch == nil {
			t.Vouch = presence.ParseVouch(a.Session.Vouch)
		}
	}
	return t
}

// leave gives the guest's seat back.
func (d *doors) leave(g *guest) { d.seats.leave(g.seat) }

// acquaintance is what the store knows of whoever proved a key.
type acquaintance struct {
	store.Caller
	groups []store.GroupSeat
}

// find looks the member up. A mesh that does not exist, or no more, and a key that is nobody's look the same.
func (d *doors) find(ctx context.Context, p proof) (a acquaintance, err error) {
	err = d.db.Read(ctx, func(tx *sqlite.Tx) error {
		if a.Caller, err = store.FindCaller(tx, p.mesh, p.member, p.session); mesh.IsCode(err, mesh.NotFound) {
			return missing(tx, p)
		}
		if err == nil {
			a.groups, err = d.savedGroups(tx, p, a.Member)
		}
		return err
	})
	if mesh.IsCode(err, mesh.NotFound) {
		err = errUnauthorized()
	}
	if err != nil {
		return a, err
	}
	if p.memberID != a.Member.ID && (!p.owned || p.memberID != "") {
		if p.owned {
			return a, mesh.Errorf(mesh.ParentMismatch, "parentMemberId is another member's")
		}
		return a, errUnauthorized()
	}
	return a, nil
}

// missing says why nobody was found.
func missing(tx *sqlite.Tx, p proof) error {
	m, err := store.FindMesh(tx, p.mesh)
	if err != nil {
		return bygone(tx, p, err)
	}
	return stranger(tx, m, p.member)
}

// savedGroups are the groups of a client of the first generation, which joined them once and does not repeat them in
// its hello (wire 2.1).
func (d *doors) savedGroups(tx *sqlite.Tx, p proof, m store.Member) ([]store.GroupSeat, error) {
	if p.owned || len(p.presence.Groups) > 0 || roleOf(p) != mesh.SessionRole {
		return nil, nil
	}
	return store.ListSavedGroups(tx, m.N, d.now().Add(-d.set.SessionSeen))
}

// bygone tells a member of ours that its mesh was ended. Others hear what they hear of a mesh that never was.
func bygone(tx *sqlite.Tx, p proof, missing error) error {
	if !mesh.IsCode(missing, mesh.NotFound) || !slices.Contains(p.caps, protocol.CapGo) {
		return missing
	}
	was, err := store.WasMesh(tx, p.mesh)
	if err != nil {
		return err
	}
	if !was {
		return missing
	}
	if _, err := store.FindMemberByKey(tx, p.mesh, p.member); err != nil {
		return err
	}
	return mesh.Errorf(mesh.MeshArchived, "the owner of this mesh has ended it")
}

// stranger says why a key that is no member's is refused.
func stranger(tx *sqlite.Tx, m store.Mesh, key mesh.Key) error {
	reason, banned, err := store.FindBan(tx, m.ID, key)
	if err != nil {
		return err
	}
	if banned {
		return moderation.Banned(m.Slug, reason) // it proved its key
	}
	was, err := store.WasMember(tx, m.ID, key)
	if err == nil && was {
		return mesh.Errorf(mesh.Revoked, "the membership in %s has ended", m.Slug)
	}
	if err != nil {
		return err
	}
	return errUnauthorized()
}

func errUnauthorized() error {
	return mesh.Errorf(mesh.Unauthorized, "no mesh here has this member")
}

// claim keeps whose session key it is (design C4), and returns the number of the session; 0 without one. A key that comes
// back unchanged is not written each time.
func (d *doors) claim(ctx context.Context, p proof, a acquaintance, name string) (int64, error) {
	s := a.Session
	switch {
	case p.session == "":
		return 0, nil
	case a.Masked: // its mail is that member's
		return 0, mesh.Errorf(mesh.BadSessionKey, "this session key is a member's")
	case s.N != 0 && s.Member == a.Member.N && s.Name == name && (s.Proved || !p.owned) && (s.Vouch != "" || p.vouch == nil):
		return s.N, nil
	}
	if _, err := seal.ParsePublicKey(string(p.session)); err != nil {
		return 0, mesh.Errorf(mesh.CodeOf(err), "sessionPubkey: %w", err)
	}
	s = store.Session{Mesh: p.mesh, Key: p.session, Member: a.Member.N, Proved: p.owned, Name: name, LastSeen: d.now()}
	if p.vouch != nil {
		text, err := wire.Encode(p.vouch)
		if err != nil {
			return 0, err
		}
		s.Vouch = string(text)
	}
	err := d.db.Write(ctx, func(tx *sqlite.Tx) (err error) {
		s, err = store.ClaimSession(tx, s)
		return err
	})
	return s.N, err
}

// welcome puts together who came in.
func (d *doors) welcome(p proof, a acquaintance) (*guest, error) {
	caps := map[string]bool{}
	var agreed []string
	for _, c := range protocol.Capabilities() {
		if slices.Contains(p.caps, c) {
			agreed, caps[c] = append(agreed, c), true
		}
	}
	name, err := displayName(p.presence.DisplayName, a.Member.Name, caps[protocol.CapGo])
	if err != nil {
		return nil, err
	}
	now, presence := d.now(), tidy(p.presence)
	for _, saved := range a.groups[:min(len(a.groups), queue.MaxGroups)] {
		presence.Groups = append(presence.Groups, protocol.Group{Name: saved.Name, Role: saved.Role})
	}
	g := &guest{seat: p.seat(), proved: p.owned}
	g.session = &session.Session{
		Mesh: a.Mesh.ID, MeshSlug: a.Mesh.Slug, OwnerKey: a.Mesh.OwnerKey, Member: a.Member.ID, MemberKey: a.Member.Key,
		SessionKey: p.session, Name: name, Admin: a.Member.Role == store.RoleAdmin, Go: caps[protocol.CapGo], Caps: caps, PeerRole: roleOf(p),
	}
	g.conn = hub.Conn{
		Mesh: a.Mesh.ID, Member: a.Member.ID, MemberKey: a.Member.Key, SessionKey: p.session, SessionID: presence.SessionID, Name: name,
		Role: roleOf(p), Lease: p.owned || caps[protocol.CapClientAck], Receipts: caps[protocol.CapReceipts], Go: caps[protocol.CapGo],
		Groups: presence.Groups, Status: mesh.Idle, ConnectedAt: now, Presence: presence,
	}
	g.answer = protocol.HelloAnswer{
		PresenceID: string(mesh.NewID()), MemberDisplayName: name, MemberProfile: &protocol.MemberProfile{MessageMode: "push"},
		Capabilities: agreed, ProtocolVersion: protocol.Version, ServerTime: mesh.FormatTime(now), Limits: limits(d.set),
	}
	if len(a.groups) > 0 {
		g.answer.RestoredGroups = presence.Groups // the hello gave none
	}
	if caps[protocol.CapGo] {
		g.answer.Mesh = &protocol.MeshFacts{Slug: a.Mesh.Slug, Name: a.Mesh.Name, Role: a.Member.Role}
	}
	return g, nil
}

// sendWindow is how many sends to one target a client of ours may have under way.
const sendWindow = 64

// envelopeBytes is what a send frame has beside its ciphertext, with room.
const envelopeBytes = 2048

// limits are what a client of ours works with (design B2).
func limits(set config.Broker) *protocol.Limits {
	return &protocol.Limits{
		FrameBytes: set.FrameBytes, BodyBytes: max((set.FrameBytes-envelopeBytes)*3/4-16, 0),
		SendPerSecond: float64(set.SendPerSecond), SendBurst: set.SendBurst,
		MessageTTLMs: set.MessageTTL.Milliseconds(), DedupeTTLMs: set.DedupeTTL.Milliseconds(), SendWindow: sendWindow,
	}
}

// roleOf says what stands behind a connection: what it says itself, else by its channel (design B4). A daemon of the
// first generation is its user's only presence, and has a session key.
func roleOf(p proof) mesh.PeerRole {
	switch said := p.presence.PeerRole; said {
	case mesh.ControlPlane, mesh.SessionRole, mesh.ServiceRole:
		return said
	}
	switch {
	case p.presence.Channel == "claudemesh-daemon" && p.session == "":
		return mesh.ControlPlane
	case p.presence.Channel == "telegram" || p.presence.Channel == "bridge":
		return mesh.ServiceRole
	}
	return mesh.SessionRole
}

// displayName is the name of a connection: the member's where it gives none. A name that could deceive is refused, but
// old clients, which do not know our rules, get one made of it where it is only odd.
func displayName(said, member string, ours bool) (string, error) {
	if said == "" {
		return member, nil
	}
	err := mesh.CheckName(said)
	if err != nil && !ours && !strings.ContainsFunc(said, deceptive) {
		return mesh.SafeName(said, member), nil
	}
	return said, err
}

// deceptive characters command a terminal or reorder what is around them.
func deceptive(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// Bounds of what a connection tells of itself; the rest is cut off.
const maxTextRunes = 256

// tidy cuts and cleans what is shown to others.
func tidy(p protocol.Presence) protocol.Presence {
	for _, text := range []*string{&p.SessionID, &p.CWD, &p.Hostname, &p.PeerType, &p.Channel, &p.Model, &p.Role} {
		*text = clean(*text)
	}
	groups := make([]protocol.Group, 0, len(p.Groups))
	known := map[string]bool{}
	for _, g := range p.Groups[:min(len(p.Groups), queue.MaxGroups)] {
		if name, err := mesh.ParseGroup(g.Name); err == nil && !known[name] {
			known[name] = true
			groups = append(groups, protocol.Group{Name: name, Role: clean(g.Role)})
		}
	}
	p.Groups = groups
	return p
}

func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if deceptive(r) {
			return -1
		}
		return r
	}, text)
	if utf8.RuneCountInString(text) > maxTextRunes {
		text = string([]rune(text)[:maxTextRunes])
	}
	return text
}

// replayTime is how long a hello is remembered: its time may lie a minute off in either direction (design C4).
const replayTime = 2 * seal.Skew
