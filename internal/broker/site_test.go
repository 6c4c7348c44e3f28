package broker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// site is a broker under test, over loopback or over a memory network.
type site struct {
	set   config.Broker
	base  string // http://host:port
	data  paths.Broker
	dial  func(context.Context) (net.Conn, error)
	web   *http.Client
	token string
	now   mesh.Clock
	stop  func() error // ends the broker and gives what Run returned
}

// openSite starts a broker on a port of its own. It ends with the test, without an error.
func openSite(t testing.TB, edit func(*Options)) *site {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	return startSite(t, addr, listener, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}, func(o *Options) {
		o.Settings.HelloTimeout = patience // the machine may be busy
		if edit != nil {
			edit(o)
		}
	})
}

// bubbleSite starts a broker on a memory network, for a synctest bubble.
func bubbleSite(t testing.TB, edit func(*Options)) *site {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	return startSite(t, "127.0.0.1:7900", l, l.dial, edit)
}

func startSite(t testing.TB, addr string, l net.Listener, dial func(context.Context) (net.Conn, error), edit func(*Options)) *site {
	t.Helper()
	opt := Options{
		Settings: config.DefaultBroker(), Data: paths.At(t.TempDir()).Broker, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Listener: l,
	}
	opt.Settings.ShutdownGrace = 200 * time.Millisecond // connections by hand do not answer a close frame
	if edit != nil {
		edit(&opt)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	opt.Ready = func(a net.Addr) { ready <- a }
	go func() { done <- Run(ctx, opt) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("the broker did not start: %v", err)
	}
	s := &site{set: opt.Settings, base: "http://" + addr, data: opt.Data, dial: dial, now: opt.Now}
	s.web = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}
	s.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("the broker ended with %v", err)
		}
	})
	text, _, err := paths.ReadSecret(opt.Data.CreateToken())
	if err != nil {
		t.Fatal(err)
	}
	s.token = strings.TrimSpace(string(text))
	return s
}

// pipes is a listener on a memory network.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// host is the name of the broker as signatures write it.
func (s *site) host() string { return s.base[strings.Index(s.base, "//")+2:] }

// do makes a plain request and returns its status and body.
func (s *site) do(t testing.TB, req *http.Request) (int, string) {
	t.Helper()
	resp, err := s.web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// request makes a request of a body; JSON when it is not nil.
func (s *site) request(t testing.TB, method, path string, body any) *http.Request {
	t.Helper()
	var r io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.base+path, r)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// post sends a body and decodes the answer, which must have the wanted status.
func (s *site) post(t testing.TB, path string, body, answer any, status int) {
	t.Helper()
	req := s.request(t, http.MethodPost, path, body)
	if path == protocol.PathMeshes {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	got, text := s.do(t, req)
	if got != status {
		t.Fatalf("POST %s: got %d %s, want %d", path, got, text, status)
	}
	if err := json.Unmarshal([]byte(text), answer); err != nil {
		t.Fatal(err)
	}
}

// team is a mesh on a site.
type team struct {
	site  *site
	id    mesh.ID
	owner seal.SecretKey
	first person
	role  string // of those who are invited next; empty means member
}

// person is a member of a team.
type person struct {
	name string
	id   mesh.ID
	key  seal.SecretKey
}

func (p person) pub() string { return p.key.Public().String() }

// found makes a mesh; its first member is alice.
func (s *site) found(t testing.TB) *team {
	t.Helper()
	owner, member := seal.NewSecretKey(), seal.NewSecretKey()
	return s.foundAs(t, owner, person{name: "alice", key: member})
}

func (s *site) foundAs(t testing.TB, owner seal.SecretKey, first person) *team {
	t.Helper()
	now := s.now()
	text := seal.MeshCreate{Host: s.host(), Slug: "team", Owner: owner.Public(), Member: first.key.Public(), CreatedAt: now}
	req := protocol.MeshCreateRequest{
		Name: "Team", Slug: "team", OwnerPubkey: owner.Public().String(), Member: protocol.NewMember{Pubkey: first.pub(), DisplayName: first.name},
		RootKey: seal.Base64URL(make([]byte, 32)), CreatedAtMs: now.UnixMilli(),
		OwnerSignature: must(text.Sign(owner)).String(), MemberSignature: must(text.Sign(first.key)).String(),
	}
	var made protocol.MeshCreateAnswer
	s.post(t, protocol.PathMeshes, req, &made, http.StatusCreated)
	first.id = made.MemberID
	return &team{site: s, id: made.MeshID, owner: owner, first: first}
}

// invite makes an invite with some uses and returns its code.
func (m *team) invite(t testing.TB, uses int) string {
	t.Helper()
	code, now := mesh.NewInviteCode(), m.site.now()
	sum := seal.CodeHash(code)
	req := protocol.InviteCreateRequest{
		InviteID: mesh.NewID(), CodeHash: hexOf(sum[:]), ExpiresAt: now.Add(time.Hour).Unix(), MaxUses: uses, Role: cmp.Or(m.role, "member"),
	}
	signed := seal.Capability{
		MeshID: string(m.id), InviteID: string(req.InviteID), ExpiresAt: time.Unix(req.ExpiresAt, 0), Role: req.Role, Owner: m.owner.Public(),
	}
	req.Signature = must(signed.Sign(m.owner)).String()
	op := seal.Operation{
		Host: m.site.host(), MeshID: string(m.id), Name: "invite_create", Args: must(seal.ArgsHash(encode(req.Signed()))), Nonce: mesh.NewToken()[:32], At: now,
	}
	req.Operation = protocol.SignedOperation{
		Nonce: op.Nonce, AtMs: now.UnixMilli(), Key: mesh.Key(m.owner.Public().String()), Signature: must(op.Sign(m.owner)).String(),
	}
	c := m.enter(t, m.first, nil)
	defer c.leave(t)
	c.send(t, must(protocol.InviteCreate.Encode("r1", req)))
	if got := c.next(t); !strings.Contains(got, `"invite_created"`) {
		t.Fatalf("got %s, want invite_created", got)
	}
	return code
}

// join makes a new member by a code.
func (m *team) join(t testing.TB, code, name string) person {
	t.Helper()
	return m.joinAs(t, code, person{name: name, key: seal.NewSecretKey()})
}

func (m *team) joinAs(t testing.TB, code string, p person) person {
	t.Helper()
	var got protocol.ClaimAnswer
	m.site.post(t, "/invites/"+code+"/claim", claimOf(m.site, code, p.key, p.name), &got, http.StatusOK)
	p.id = got.MemberID
	return p
}

// claimOf is a claim with its proof.
func claimOf(s *site, code string, key seal.SecretKey, name string) protocol.ClaimRequest {
	exchange := seal.NewX25519Secret()
	proof := must(seal.Claim{Host: s.host(), CodeHash: seal.CodeHash(code), Recipient: exchange.Public(), Peer: key.Public()}.Sign(key))
	return protocol.ClaimRequest{
		RecipientX25519: exchange.Public().String(), PeerPubkey: key.Public().String(), DisplayName: name, Proof: proof.String(),
	}
}
