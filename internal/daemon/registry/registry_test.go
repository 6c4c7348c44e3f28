package registry

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// TestMain is also the host program of these tests: called claude, the binary waits for the end of its input.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "claude" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// startHost starts a host program with a home folder of its own.
func startHost(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Args, cmd.Env = append([]string{"claude"}, args...), []string{"HOME=" + t.TempDir()}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(cmd) })
	return cmd
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // a test may have waited itself
}

// lines remembers what the registry asked for.
type lines struct {
	mu   sync.Mutex
	log  []string
	open map[string]mesh.Key
}

func (l *lines) Attach(s Session, line Line) {
	l.note("+", s, line)
	l.open[s.ID+" "+line.Slug] = line.Pubkey()
}
func (l *lines) Detach(s Session, line Line) {
	l.note("-", s, line)
	delete(l.open, s.ID+" "+line.Slug)
}

func (l *lines) note(sign string, s Session, line Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[string]mesh.Key{}
	}
	l.log = append(l.log, sign+s.Name+"@"+line.Slug)
}

// took returns what was asked for since the last time.
func (l *lines) took() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.Join(l.log, " ")
	l.log = nil
	return text
}

// rig is a registry on real files.
type rig struct {
	*Registry
	home  paths.Home
	book  *membership.Book
	db    *localdb.DB
	lines *lines
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

// newRig makes a registry on the files below root, with the given meshes joined.
func newRig(t *testing.T, root string, slugs ...string) *rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	g := &rig{home: paths.At(root), lines: &lines{}}
	if err := paths.EnsureDir(g.home.Daemon.Dir, paths.DirMode); err != nil {
		t.Fatal(err)
	}
	var err error
	if g.book, err = membership.Open(g.home, log); err != nil {
		t.Fatal(err)
	}
	if g.db, err = localdb.Open(t.Context(), g.home.Daemon.DB(), clock, log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.db.Close() })
	for _, slug := range slugs {
		g.join(t, slug)
	}
	g.Registry = New(Options{Daemon: g.home.Daemon, Book: g.book, DB: g.db, Lines: g.lines, Now: clock, Log: log})
	return g
}

func (g *rig) join(t *testing.T, slug string) {
	t.Helper()
	id := mesh.NewID()
	err := g.book.Add(membership.Mesh{
		ID: id, MemberID: mesh.NewID(), Slug: slug, Name: slug, Secret: seal.NewSecretKey(), BrokerURL: "ws://127.0.0.1:7900/ws", JoinedAt: noon,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run runs the registry until the test ends.
func (g *rig) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// request is that of a session of this process.
func request(id string) localapi.RegisterRequest {
	return localapi.RegisterRequest{SessionID: id, PID: os.Getpid(), CWD: "/src/project", Host: localapi.Host{Name: "claude-ai", Version: "1"}}
}

// self is a caller that is this process.
func self() Caller { return Caller{PID: os.Getpid(), UID: os.Getuid()} }

func (g *rig) mustRegister(t *testing.T, req localapi.RegisterRequest, c Caller) localapi.RegisterAnswer {
	t.Helper()
	a, err := g.Register(t.Context(), req, c)
	if err != nil {
		t.Fatalf("register %s: %v", req.SessionID, err)
	}
	return a
}

func TestRegister(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "home", "work")
	changed := g.Changed()
	req := request("s1")
	req.Role, req.Groups = "reviewer", []protocol.Group{{Name: "@dev", Role: "lead"}}
	a := g.mustRegister(t, req, self())
	select {
	case <-changed:
	default:
		t.Error("nobody was told of the new session")
	}
	if !a.OK || len(a.Token) != 64 || len(a.Sessions) != 2 || a.Sessions[0].Mesh != "home" || a.Sessions[0].DisplayName != "project" {
		t.Fatalf("answer %+v", a)
	}
	if got := g.lines.took(); got != "+project@home +project@work" {
		t.Errorf("connections: %q", got)
	}
	s, err := g.ByToken(a.Token, self())
	if err != nil || s.ID != "s1" || s.Role != "reviewer" || s.MessageMode != "push" || s.Groups[0] != (protocol.Group{Name: "dev", Role: "lead"}) {
		t.Fatalf("session %+v, %v", s, err)
	}
	if keys := s.Keys(); len(keys) != 4 || !slices.Contains(keys, s.Lines[0].Member) || !slices.Contains(keys, a.Sessions[0].SessionPubkey) {
		t.Errorf("keys %v", keys)
	}
	if found, ok := g.ByKey(s.Lines[1].MeshID, s.Lines[1].Pubkey()); !ok || found.ID != "s1" {
		t.Errorf("by its key: %+v, %v", found, ok)
	}
	if _, ok := g.ByKey(s.Lines[0].MeshID, s.Lines[1].Pubkey()); ok {
		t.Error("the key of another mesh finds the session")
	}
	data, warning, err := paths.ReadSecret(g.home.Daemon.SessionToken("s1"))
	if err != nil || warning != "" || strings.TrimSpace(string(data)) != a.Token {
		t.Errorf("token file: %q %q %v", data, warning, err)
	}
	if rows, err := g.db.ListSessions(t.Context()); err != nil || len(rows) != 1 || strings.Contains(rows[0].TokenHash, a.Token) {
		t.Errorf("rows %+v, %v", rows, err)
	}
}

func TestRegisterAgainKeepsKeysAndName(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	first := g.mustRegister(t, request("s1"), self())
	g.mustRegister(t, request("s2"), self())
	g.lines.took()
	since := g.List()[0].Registered
	g.Registry.opt.Now = func() time.Time { return noon.Add(time.Hour) }
	req := request("s1")
	req.OldToken = first.Token
	second := g.mustRegister(t, req, self())
	if s, _ := g.Find("s1"); !s.Registered.Equal(since) {
		t.Errorf("registered at %v, want %v as before", s.Registered, since)
	}
	if diff := cmp.Diff(first.Sessions, second.Sessions); diff != "" {
		t.Errorf("the session changed (-first +second):\n%s", diff)
	}
	if got := g.lines.took(); got != "+project@work" {
		t.Errorf("connections: %q, want the same one to be told again", got)
	}
	if _, err := g.ByToken(first.Token, self()); !mesh.IsCode(err, mesh.SessionUnknown) {
		t.Errorf("the old token: %v, want session_unknown", err)
	}
	if _, err := g.ByToken(second.Token, self()); err != nil {
		t.Errorf("the new token: %v", err)
	}
	if names := []string{g.List()[0].Name, g.List()[1].Name}; !slices.Equal(names, []string{"project", "project-2"}) {
		t.Errorf("names %v", names)
	}
}

func TestReplacingALiveSessionTakesItsToken(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	first := g.mustRegister(t, request("s1"), self())
	for _, old := range []string{"", "wrong", first.Token[:63]} {
		req := request("s1")
		req.OldToken = old
		if _, err := g.Register(t.Context(), req, self()); !mesh.IsCode(err, mesh.Forbidden) {
			t.Errorf("old token %q: got %v, want forbidden", old, err)
		}
	}
	if _, err := g.ByToken(first.Token, self()); err != nil {
		t.Errorf("the token after refusals: %v", err)
	}
}

func TestReplacingADeadSessionTakesNothing(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	cmd := startHost(t)
	req := request("s1")
	req.PID = cmd.Process.Pid
	first := g.mustRegister(t, req, Caller{cmd.Process.Pid, os.Getuid()})
	end(cmd)
	second := g.mustRegister(t, request("s1"), self())
	if first.Sessions[0].SessionPubkey != second.Sessions[0].SessionPubkey {
		t.Error("a resumed session has another key")
	}
}

func TestOnlyAProcessOfTheSessionRegistersIt(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	cmd := startHost(t)
	ofChild := request("s1")
	ofChild.PID = cmd.Process.Pid
	gone := request("s1")
	gone.PID = 1 << 30
	tests := []struct {
		name string
		req  localapi.RegisterRequest
		Caller
	}{
		{"its parent", ofChild, self()},
		{"another user", request("s1"), Caller{os.Getpid(), os.Getuid() + 1}},
		{"nobody", gone, self()},
	}
	for _, tt := range tests {
		if _, err := g.Register(t.Context(), tt.req, tt.Caller); !mesh.IsCode(err, mesh.Forbidden) {
			t.Errorf("%s: got %v, want forbidden", tt.name, err)
		}
	}
	a := g.mustRegister(t, ofChild, Caller{cmd.Process.Pid, os.Getuid()})
	if _, err := g.ByToken(a.Token, self()); !mesh.IsCode(err, mesh.SessionUnknown) {
		t.Errorf("the token from outside of the session: got %v, want session_unknown", err)
	}
	if g.Inside(os.Getpid()) || !g.Inside(cmd.Process.Pid) {
		t.Errorf("inside: this process %v, the host %v; want false, true", g.Inside(os.Getpid()), g.Inside(cmd.Process.Pid))
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	tests := []struct {
		name   string
		change func(*localapi.RegisterRequest)
		code   mesh.Code
	}{
		{"no id", func(r *localapi.RegisterRequest) { r.SessionID = "" }, mesh.BadRequest},
		{"long id", func(r *localapi.RegisterRequest) { r.SessionID = strings.Repeat("x", 129) }, mesh.BadRequest},
		{"id with a line feed", func(r *localapi.RegisterRequest) { r.SessionID = "a\nb" }, mesh.BadRequest},
		{"relative folder", func(r *localapi.RegisterRequest) { r.CWD = "src" }, mesh.BadRequest},
		{"mode", func(r *localapi.RegisterRequest) { r.MessageMode = "loud" }, mesh.BadRequest},
		{"role", func(r *localapi.RegisterRequest) { r.Role = "a\x1b[2J" }, mesh.BadRequest},
		{"host", func(r *localapi.RegisterRequest) { r.Host.Name = strings.Repeat("x", 300) }, mesh.BadRequest},
		{"group", func(r *localapi.RegisterRequest) { r.Groups = []protocol.Group{{Name: "a b"}} }, mesh.BadName},
		{"groups", func(r *localapi.RegisterRequest) { r.Groups = make([]protocol.Group, 65) }, mesh.BadRequest},
		{"mesh", func(r *localapi.RegisterRequest) { r.Mesh = "other" }, mesh.MeshNotAttached},
	}
	for _, tt := range tests {
		req := request("s1")
		tt.change(&req)
		if _, err := g.Register(t.Context(), req, self()); !mesh.IsCode(err, tt.code) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.code)
		}
	}
	if len(g.List()) != 0 {
		t.Errorf("%d sessions after refusals", len(g.List()))
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir())
	long := strings.Repeat("n", 64)
	tests := []struct{ id, name, cwd, want string }{
		{"1", "alice", "/x", "alice"},
		{"2", "Alice", "/x", "Alice-2"},
		{"3", "", "/src/alice", "alice-3"},
		{"4", "user", "/src/tool", "tool"},
		{"5", "", "/", "session"},
		{"6", "@dev", "/x", "dev"},
		{"7", long, "/x", long},
		{"8", long, "/x", long[:62] + "-2"},
	}
	for _, tt := range tests {
		req := request(tt.id)
		req.DisplayName, req.CWD = tt.name, tt.cwd
		g.mustRegister(t, req, self())
		if s, _ := g.Find(tt.id); s.Name != tt.want || mesh.CheckName(s.Name) != nil {
			t.Errorf("%s: got %q, want %q", tt.id, s.Name, tt.want)
		}
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir())
	for i := range maxSessions {
		g.table.change(string(rune('a'+i)), &entry{Session: Session{ID: string(rune('a' + i))}})
	}
	if _, err := g.Register(t.Context(), request("one more"), self()); !mesh.IsCode(err, mesh.Capacity) {
		t.Errorf("got %v, want capacity", err)
	}
}

func TestRulesOfASession(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir())
	cmd := startHost(t, "--dangerously-skip-permissions")
	req := request("s1")
	req.PID, req.Host.Name = cmd.Process.Pid, "claude-code"
	g.mustRegister(t, req, Caller{cmd.Process.Pid, os.Getuid()})
	g.mustRegister(t, request("s2"), self())
	for id, want := range map[string]host.Mode{"s1": host.Bypass, "s2": host.Default, "unknown": host.Bypass} {
		if got := g.Rules(id).Mode; got != want {
			t.Errorf("%s: got %s, want %s", id, got, want)
		}
	}
}
