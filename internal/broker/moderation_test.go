package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// sign signs an operation of this team.
func (m *team) sign(by seal.SecretKey, name string, args any) protocol.SignedOperation {
	op := seal.Operation{
		Host: m.site.host(), MeshID: string(m.id), Name: name, Args: must(seal.ArgsHash(encode(args))), Nonce: mesh.NewToken()[:32], At: m.site.now(),
	}
	return protocol.SignedOperation{
		Nonce: op.Nonce, AtMs: op.At.UnixMilli(), Key: mesh.Key(by.Public().String()), Signature: must(op.Sign(by)).String(),
	}
}

func (m *team) kickFrame(by seal.SecretKey, name string, req protocol.KickRequest) []byte {
	req.Operation = m.sign(by, name, req.Signed())
	if name == "disconnect" {
		return must(protocol.Disconnect.Encode("r", req))
	}
	return must(protocol.Kick.Encode("r", req))
}

func (m *team) banFrame(by seal.SecretKey, target, reason string) []byte {
	req := protocol.BanRequest{Target: target, Reason: reason}
	req.Operation = m.sign(by, "ban", req.Signed())
	return must(protocol.BanMember.Encode("r", req))
}

func (m *team) unbanFrame(by seal.SecretKey, target string) []byte {
	req := protocol.UnbanRequest{Target: target}
	req.Operation = m.sign(by, "unban", req.Signed())
	return must(protocol.Unban.Encode("r", req))
}

// ask sends a frame and returns its answer; what is pushed before it is dropped.
func (c *client) ask(t testing.TB, frame []byte) string {
	t.Helper()
	c.send(t, frame)
	for {
		if got := c.next(t); strings.Contains(got, `"_reqId":"r"`) {
			return got
		}
	}
}

// wantAnswer compares an answer with a part of it.
func wantAnswer(t testing.TB, what, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

// joinRole makes a new member of a role.
func (m *team) joinRole(t testing.TB, role, name string) person {
	t.Helper()
	m.role = role
	defer func() { m.role = "" }()
	return m.join(t, m.invite(t, 1), name)
}

// Frames as TypeScript clients send them are forbidden, with their _reqId; reading the bans is not (design C1).
func TestUnsignedModerationIsForbidden(t *testing.T) {
	t.Parallel()
	m := openSite(t, nil).found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	alice := m.enter(t, m.first, func(r *protocol.HelloRequest) { r.Capabilities = nil })
	for _, frame := range []string{
		`{"type":"kick","target":"bob","_reqId":"r"}`, `{"type":"kick","all":true,"_reqId":"r"}`, `{"type":"disconnect","stale":1000,"_reqId":"r"}`,
		`{"type":"ban","target":"bob","reason":"x","_reqId":"r"}`, `{"type":"unban","target":"bob","_reqId":"r"}`, `{"type":"kick","_reqId":"r"}`,
	} {
		wantAnswer(t, frame, alice.ask(t, []byte(frame)), `"code":"forbidden"`)
	}
	wantAnswer(t, "list_bans", alice.ask(t, []byte(`{"type":"list_bans","_reqId":"r"}`)), `{"type":"list_bans_result","_reqId":"r","bans":[]}`)
	bobs := m.enter(t, bob, nil)
	for name, frame := range map[string][]byte{
		"a member's signature":   m.banFrame(bob.key, "alice", ""),
		"another key's":          m.banFrame(seal.NewSecretKey(), "alice", ""),
		"of another operation":   must(protocol.BanMember.Encode("r", protocol.BanRequest{Target: "bob", Operation: m.sign(m.owner, "unban", protocol.UnbanRequest{Target: "bob"})})),
		"for another target":     must(protocol.BanMember.Encode("r", protocol.BanRequest{Target: "alice", Operation: m.sign(m.owner, "ban", protocol.BanRequest{Target: "bob"})})),
		"an admin's, by another": m.banFrame(m.first.key, "bob", ""),
	} {
		wantAnswer(t, name, bobs.ask(t, frame), `"code":"forbidden"`)
	}
	once := m.kickFrame(m.owner, "kick", protocol.KickRequest{Target: "nobody"})
	wantAnswer(t, "once", bobs.ask(t, once), `"kicked":[],"affected":[]`)
	wantAnswer(t, "twice", bobs.ask(t, once), `"code":"forbidden"`)
}

func TestKickAndDisconnect(t *testing.T) {
	t.Parallel()
	m := openSite(t, nil).found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	alice := m.enter(t, m.first, nil)
	daemon := m.enter(t, bob, func(r *protocol.HelloRequest) { r.Presence.PeerRole = mesh.ControlPlane })
	key := seal.NewSecretKey()
	session := m.enterNamed(t, bob, key, "build")
	wantAnswer(t, "disconnect", alice.ask(t, m.kickFrame(m.first.key, "disconnect", protocol.KickRequest{Target: "build"})), `{"type":"disconnect_ack","_reqId":"r","kicked":["build"],"affected":["build"]}`)
	session.wantClose(t, websocket.StatusNormalClosure, "disconnected")

	session = m.enterNamed(t, bob, key, "build")
	wantAnswer(t, "kick", alice.ask(t, m.kickFrame(m.owner, "kick", protocol.KickRequest{Target: key.Public().String()[:20]})), `{"type":"kick_ack","_reqId":"r","kicked":["build"],"affected":["build"]}`)
	session.wantClose(t, 4001, "kicked")

	session = m.enterNamed(t, bob, key, "build")
	twin := m.enterNamed(t, bob, seal.NewSecretKey(), "build")
	got := alice.ask(t, m.kickFrame(m.owner, "kick", protocol.KickRequest{Target: "build"}))
	wantAnswer(t, "two of one name", got, `"code":"ambiguous_target"`)
	if strings.Count(got, `"pubkey"`) != 2 || !strings.Contains(got, key.Public().String()) {
		t.Errorf("got %s, want both candidates", got)
	}
	wantAnswer(t, "a member with a daemon", alice.ask(t, m.kickFrame(m.owner, "kick", protocol.KickRequest{Target: "bob"})), `"skipped_control_plane":["bob"]`)
	session.wantClose(t, 4001, "kicked")
	twin.wantClose(t, 4001, "kicked")
	wantAnswer(t, "nobody", alice.ask(t, m.kickFrame(m.owner, "kick", protocol.KickRequest{Target: "zoe"})), `"kicked":[]`)
	wantAnswer(t, "nothing", alice.ask(t, m.kickFrame(m.owner, "kick", protocol.KickRequest{})), `"code":"invalid"`)
	if daemon.code != 0 {
		t.Error("the daemon was kicked")
	}
}

// The owner is nobody's to kick or ban, an admin only the owner's.
func TestTheOwnerAndAdminsAreSpared(t *testing.T) {
	t.Parallel()
	m := openSite(t, nil).found(t)
	adam, eve, bob := m.joinRole(t, "admin", "adam"), m.joinRole(t, "admin", "eve"), m.join(t, m.invite(t, 1), "bob")
	alice, adams := m.enter(t, m.first, nil), m.enter(t, adam, nil)
	eves, bobs := m.enter(t, eve, nil), m.enter(t, bob, nil)
	for name, frame := range map[string][]byte{
		"ban the owner":                   m.banFrame(adam.key, "alice", ""),
		"kick the owner":                  m.kickFrame(adam.key, "kick", protocol.KickRequest{Target: m.first.pub()}),
		"ban an admin":                    m.banFrame(adam.key, "eve", ""),
		"kick an admin":                   m.kickFrame(adam.key, "kick", protocol.KickRequest{Target: "eve"}),
		"an admin with another's key":     m.banFrame(eve.key, "bob", ""),
		"ban the owner as the owner":      m.banFrame(m.owner, "alice", ""),
		"kick the owner as the owner":     m.kickFrame(m.owner, "kick", protocol.KickRequest{Target: "alice"}),
		"the owner's signature, forged":   m.banFrame(seal.NewSecretKey(), "bob", ""),
		"a signature for somebody else's": must(protocol.Kick.Encode("r", protocol.KickRequest{All: true, Operation: m.sign(adam.key, "kick", protocol.KickRequest{Target: "bob"})})),
	} {
		wantAnswer(t, name, adams.ask(t, frame), `"code":"forbidden"`)
	}
	wantAnswer(t, "an admin kicks all", adams.ask(t, m.kickFrame(adam.key, "kick", protocol.KickRequest{All: true})), `"kicked":["bob"]`)
	bobs.wantClose(t, 4001, "kicked")
	wantAnswer(t, "an admin bans", adams.ask(t, m.banFrame(adam.key, "bob", "noise")), `{"type":"ban_ack","_reqId":"r","banned":"bob","pubkey":"`+bob.pub()+`"}`)
	wantAnswer(t, "an admin bans itself", adams.ask(t, m.banFrame(adam.key, "adam", "")), `"code":"invalid"`)
	wantAnswer(t, "the owner bans an admin", alice.ask(t, m.banFrame(m.owner, eve.pub(), "")), `"banned":"eve"`)
	eves.wantClose(t, 4002, "banned")
	wantAnswer(t, "an admin unbans an admin", adams.ask(t, m.unbanFrame(adam.key, "eve")), `"code":"forbidden"`)
	wantAnswer(t, "again", adams.ask(t, m.banFrame(adam.key, "bob", "")), `"code":"not_found"`)
	var bans protocol.BansAnswer
	if err := json.Unmarshal([]byte(adams.ask(t, []byte(`{"type":"list_bans","_reqId":"r"}`))), &bans); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(bans.Bans, func(b protocol.Ban) bool { return b.Name == "bob" })
	if len(bans.Bans) != 2 || i < 0 || bans.Bans[i].Reason != "noise" || bans.Bans[i].By != mesh.Key(adam.pub()) || bans.Bans[i].RevokedAt == "" {
		t.Errorf("got %+v, want eve and bob, and why", bans)
	}
}

// A ban left sockets, and the way back, open in the reference (lessons 2.2.11, 4.7). Here it holds within a second, and
// until it is lifted.
func TestLesson2211BanEndsEverything(t *testing.T) {
	t.Parallel()
	m := openSite(t, nil).found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	code := m.invite(t, 10)
	alice := m.enter(t, m.first, nil)
	key := seal.NewSecretKey()
	conns := []*client{m.enter(t, bob, nil), m.enterSession(t, bob, key)}
	deaf := m.site.upgradeRaw(t) // never answers a close frame, and reads nothing
	if _, err := deaf.Write(clientFrameOf(m.sessionHello(bob, seal.NewSecretKey(), nil))); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	wantAnswer(t, "ban", alice.ask(t, m.banFrame(m.owner, bob.pub(), "spam")), `"banned":"bob"`)
	for _, c := range conns {
		c.wantClose(t, 4002, "banned")
	}
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("it took %v", took)
	}
	deaf.closeCode(t)
	for name, frame := range map[string][]byte{"hello": m.hello(bob, nil), "session_hello": m.sessionHello(bob, key, nil)} {
		c := m.site.connect(t)
		c.send(t, frame)
		got := c.next(t)
		wantAnswer(t, name, got, `"code":"revoked"`)
		wantAnswer(t, name, got, "banned from team: spam")
		c.wantClose(t, 4002, "banned")
	}
	status, text := m.site.do(t, m.site.request(t, http.MethodPost, "/invites/"+code+"/claim", claimOf(m.site, code, bob.key, "bob")))
	if status != http.StatusForbidden || !strings.Contains(text, `"code":"revoked"`) {
		t.Errorf("claim: got %d %s, want revoked", status, text)
	}
	wantAnswer(t, "roster", alice.ask(t, []byte(`{"type":"list_peers","includeOffline":true,"_reqId":"r"}`)), `"peers":[{`)
	wantAnswer(t, "unban", alice.ask(t, m.unbanFrame(m.owner, "BOB")), `{"type":"unban_ack","_reqId":"r","unbanned":"bob","pubkey":"`+bob.pub()+`"}`)
	m.enter(t, bob, nil)
	wantAnswer(t, "unban again", alice.ask(t, m.unbanFrame(m.owner, "bob")), `"code":"not_found"`)
}

// Nothing of a banned member is left after a second: connections that answer and such that do not, what it wrote and
// nobody has, its key in every kind of hello. What was sent to it waits, for the day when it is let in again.
func TestThreat39BannedMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := bubbleSite(t, nil).found(t)
		bob, carol := m.join(t, m.invite(t, 1), "bob"), m.join(t, m.invite(t, 1), "carol")
		alice := m.enter(t, m.first, nil)
		own := seal.NewSecretKey()
		session := m.enterSession(t, bob, own)
		cut := []*client{m.enter(t, bob, func(r *protocol.HelloRequest) { r.Presence.PeerRole = mesh.ControlPlane }), m.enterNamed(t, bob, seal.NewSecretKey(), "two"), session}
		deaf := m.site.upgradeRaw(t) // reads what comes, and never answers a close frame
		if _, err := deaf.Write(clientFrameOf(m.sessionHello(bob, seal.NewSecretKey(), nil))); err != nil {
			t.Fatal(err)
		}
		if ack := session.sendTo(t, carol.pub(), "unread", 10); !ack.Queued {
			t.Fatalf("got %+v, want it queued", ack)
		}
		if ack := alice.sendTo(t, own.Public().String(), "to-bob", 10); !ack.Queued {
			t.Fatalf("got %+v, want it queued", ack)
		}
		begin := time.Now()
		wantAnswer(t, "ban", alice.ask(t, m.banFrame(m.owner, bob.pub(), "")), `"banned":"bob"`)
		for _, c := range cut {
			c.wantClose(t, 4002, "banned")
		}
		if code := deaf.closeCode(t); code != 4002 {
			t.Errorf("deaf: closed with %d, want 4002", code)
		}
		if _, err := deaf.r.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("deaf: got %v, want the end", err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the connections were cut after %v, want a second at most", took)
		}
		carols := m.enter(t, carol, nil)
		synctest.Wait() // what waits for carol has come
		carols.send(t, []byte(`{"type":"list_peers","includeOffline":true,"_reqId":"r"}`))
		if got := carols.next(t); !strings.Contains(got, `"type":"peers_list"`) || strings.Contains(got, bob.pub()) {
			t.Errorf("got %s, want who is there, without bob and what bob wrote", got)
		}
		for what, c := range map[string]*client{"hello": m.site.connect(t), "session_hello": m.site.connect(t), "session_hello of a new session": m.site.connect(t)} {
			frame := m.hello(bob, nil)
			if what != "hello" {
				key := own
				if strings.HasSuffix(what, "new session") {
					key = seal.NewSecretKey()
				}
				frame = m.sessionHello(bob, key, nil)
			}
			c.send(t, frame)
			c.wantError(t, string(mesh.Revoked))
			c.wantClose(t, 4002, "banned")
		}
		wantAnswer(t, "unban", alice.ask(t, m.unbanFrame(m.owner, bob.pub())), `"unbanned":"bob"`)
		if got := m.enterSession(t, bob, own).nextOf(t, "push"); !strings.Contains(got, `"client_message_id":"to-bob"`) {
			t.Errorf("got %s, want what was sent before the ban", got)
		}
	})
}

// Kicking, banning and replacing leaked a place each, in the reference, until the mesh was full (lessons 2.3.1).
func TestLesson231ModerationLeaksNoPlaces(t *testing.T) {
	t.Parallel()
	m := openSite(t, func(o *Options) { o.Settings.MeshConnections = 3 }).found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	alice := m.enter(t, m.first, nil)
	for i := range 6 {
		c := m.enterSession(t, bob, seal.NewSecretKey())
		switch i % 3 {
		case 0:
			alice.ask(t, m.kickFrame(m.owner, "kick", protocol.KickRequest{Target: bob.pub()}))
		case 1:
			alice.ask(t, m.kickFrame(m.owner, "disconnect", protocol.KickRequest{All: true}))
		default:
			alice.ask(t, m.banFrame(m.owner, bob.pub(), ""))
			alice.ask(t, m.unbanFrame(m.owner, bob.pub()))
		}
		<-c.closed
		m.settle(t, 1)
	}
}

// settle waits until a number of connections is left.
func (m *team) settle(t testing.TB, want int) {
	t.Helper()
	for range 1000 {
		if _, text := m.site.do(t, m.site.request(t, http.MethodGet, protocol.PathMetrics, nil)); strings.Contains(text, fmt.Sprintf("broker_connections_active %d\n", want)) {
			return
		}
	}
	t.Fatalf("there are not %d connections", want)
}

// Stale are those of whom nothing was heard, whatever their name.
func TestKickStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := bubbleSite(t, nil).found(t)
		bob := m.join(t, m.invite(t, 1), "bob")
		alice := m.enter(t, m.first, nil)
		quiet := m.site.upgradeRaw(t) // answers no ping
		if err := quiet.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := quiet.Write(clientFrameOf(m.sessionHello(bob, seal.NewSecretKey(), func(r *protocol.SessionHelloRequest) { r.Presence.DisplayName = "quiet" }))); err != nil {
			t.Fatal(err)
		}
		gone := make(chan int, 1)
		go func() { gone <- quiet.closeCode(t) }()
		lively := m.enterNamed(t, bob, seal.NewSecretKey(), "lively")
		for range 5 {
			<-time.After(10 * time.Second)
			lively.ask(t, []byte(`{"type":"list_bans","_reqId":"r"}`))
		}
		wantAnswer(t, "kick", alice.ask(t, m.kickFrame(m.owner, "kick", protocol.KickRequest{Stale: 40_000})), `"kicked":["quiet"]`)
		if code := <-gone; code != 4001 {
			t.Errorf("closed with %d, want 4001", code)
		}
	})
}

// enterNamed connects and says hello as a session with a name.
func (m *team) enterNamed(t testing.TB, p person, session seal.SecretKey, name string) *client {
	t.Helper()
	for range 100 {
		c := m.site.connect(t)
		c.send(t, m.sessionHello(p, session, func(r *protocol.SessionHelloRequest) { r.Presence.DisplayName = name }))
		got := c.next(t)
		if strings.Contains(got, `"type":"hello_ack"`) {
			return c
		}
		if !strings.Contains(got, `"code":"replay"`) {
			t.Fatalf("got %s, want hello_ack", got)
		}
		<-c.closed
		<-time.After(time.Millisecond) // the clock of a bubble stands still
	}
	t.Fatal("every hello was a replay")
	return nil
}

// clientFrameOf is a text message of a client.
func clientFrameOf(payload []byte) []byte {
	return append(clientFrame(0x81, uint64(len(payload)), 0), payload...)
}
