package registry

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// key is the key of a session in its first mesh; empty without one.
func (g *rig) key(id string) mesh.Key {
	s, ok := g.Find(id)
	if !ok || len(s.Lines) == 0 {
		return ""
	}
	return s.Lines[0].Pubkey()
}

func (g *rig) hear(t *testing.T, id, called, source string) {
	t.Helper()
	if err := (Hooks{g.Registry}).Heard(t.Context(), id, News{Called: called, Source: source}); err != nil {
		t.Fatalf("%s of %s: %v", source, id, err)
	}
}

// hostOf starts a host program and gives a registration of a session in it.
func hostOf(t *testing.T, id string) (localapi.RegisterRequest, Caller) {
	t.Helper()
	cmd := startHost(t)
	req := request(id)
	req.PID = cmd.Process.Pid
	return req, Caller{req.PID, os.Getuid()}
}

// TestIdentity holds who a session is over everything that its host does with its conversation.
func TestIdentity(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	g.run(t)
	req, c := hostOf(t, "first")
	token := g.mustRegister(t, req, c).Token
	key := g.key("first")
	g.lines.took()

	g.hear(t, "first", "first", "compact")
	g.hear(t, "first", "first", "")
	if got := g.lines.took(); g.key("first") != key || got != "" {
		t.Errorf("compacted: got another key, or %q, want nothing changed", got)
	}
	g.hear(t, "first", "cleared", "clear")
	if g.key("first") != key {
		t.Error("cleared: got another key, want the same peer")
	}
	g.hear(t, "first", "forked", "fork")
	fork := g.key("first")
	if fork == key {
		t.Error("forked: got the same key, want a new peer")
	}
	if got := g.lines.took(); got != "+project@work -project@work +project@work" {
		t.Errorf("connections: %q, want that of the peer before closed", got)
	}
	for _, id := range []string{"first", "cleared"} {
		g.hear(t, "first", id, "resume")
		if g.key("first") != key {
			t.Errorf("went on with %s: got another key, want that of the conversation", id)
		}
	}
	g.hear(t, "first", "forked", "resume")
	if g.key("first") != fork {
		t.Error("went back to the copy: got another key")
	}

	again := req
	again.SessionID, again.OldToken = "forked", token
	answer := g.mustRegister(t, again, c)
	if g.key("first") != fork || answer.Sessions[0].SessionPubkey != fork || len(g.List()) != 1 {
		t.Errorf("registered anew by the id that it has now: got %d sessions, want the one that it is", len(g.List()))
	}
	for _, id := range []string{"first", "cleared", "forked"} {
		if got, err := os.ReadFile(g.home.Daemon.SessionToken(id)); strings.TrimSpace(string(got)) != answer.Token {
			t.Errorf("the token of %s is not the new one (%v)", id, err)
		}
	}
	g = newRigOn(g)
	if err := g.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if g.key("first") != fork {
		t.Error("after a restart of the daemon: got another key")
	}
	if _, err := os.Stat(g.home.Daemon.SessionToken("forked")); err != nil {
		t.Errorf("after a restart of the daemon the shell of the session finds no token: %v", err)
	}
}

// TestResumedElsewhere holds that a conversation that is resumed in another process is the same peer, once it is not one any
// more in the process before.
func TestResumedElsewhere(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	g.run(t)
	req, c := hostOf(t, "first")
	token := g.mustRegister(t, req, c).Token
	key := g.key("first")
	g.hear(t, "first", "cleared", "clear")

	twin, other := hostOf(t, "cleared")
	g.mustRegister(t, twin, other)
	if g.key("cleared") == key || g.key("cleared") == "" || g.key("first") != key {
		t.Error("resumed while it lives elsewhere: got one key twice, want a peer of its own")
	}
	second := g.key("cleared")
	if err := g.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Deregister(t.Context(), token, c); err != nil {
		t.Fatal(err)
	}
	if err := g.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if g.key("cleared") != second {
		t.Error("the first one ended: the other became another peer in the middle of its life")
	}
	third, last := hostOf(t, "first")
	g.mustRegister(t, third, last)
	if g.key("first") != key {
		t.Error("resumed when the process before had ended: got another key, want the same peer")
	}
}

// TestOneConversationInTwoProcesses holds that who takes up a conversation that goes on elsewhere is a peer of its own: whether its
// program begins with it or comes to it, the token of each finds it by the id that both have, and neither takes anything from
// the other.
func TestOneConversationInTwoProcesses(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	g.run(t)
	req, first := hostOf(t, "shared")
	a := g.mustRegister(t, req, first)
	twin, second := hostOf(t, "shared")
	twin.OldToken = a.Token // it finds the file
	b := g.mustRegister(t, twin, second)
	other, third := hostOf(t, "own")
	c := g.mustRegister(t, other, third)
	g.hear(t, "own", "shared", "resume")
	finds := func(when string, want map[Caller]string) {
		t.Helper()
		tokens, err := os.ReadFile(g.home.Daemon.SessionToken("shared"))
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		keys := map[mesh.Key]bool{}
		for caller, key := range want {
			s, err := g.ByToken(strings.TrimSpace(string(tokens)), caller)
			if err != nil || key != "" && string(s.Lines[0].Pubkey()) != key || keys[s.Lines[0].Pubkey()] {
				t.Errorf("%s: a verb of process %d is of %+v (%v), want its own session with a key of its own", when, caller.PID, s.Lines, err)
				continue
			}
			keys[s.Lines[0].Pubkey()] = true
		}
	}
	keyOf := func(answer localapi.RegisterAnswer) string { return string(answer.Sessions[0].SessionPubkey) }
	finds("all three", map[Caller]string{first: keyOf(a), second: keyOf(b), third: ""})

	twin.OldToken = a.Token + "," + b.Token
	again := g.mustRegister(t, twin, second)
	if keyOf(again) != keyOf(b) || len(g.List()) != 3 {
		t.Errorf("started again in its process: %d sessions, want the same peer", len(g.List()))
	}
	g = newRigOn(g)
	if err := g.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	finds("after a restart of the daemon", map[Caller]string{first: keyOf(a), second: keyOf(b), third: ""})
	if _, err := g.Deregister(t.Context(), a.Token, first); err != nil {
		t.Fatal(err)
	}
	finds("the first has ended", map[Caller]string{second: keyOf(b), third: ""})
	for _, last := range []struct {
		token string
		of    Caller
	}{{again.Token, second}, {c.Token, third}} {
		if _, err := g.Deregister(t.Context(), last.token, last.of); err != nil {
			t.Fatal(err)
		}
	}
	if files, err := os.ReadDir(g.home.Daemon.Sessions()); err != nil || len(files) > 0 {
		t.Errorf("all have ended: %v stay (%v)", files, err)
	}
}

// TestHooksInsideOfAnotherHost holds that a hook belongs to the session around it, and not where another Claude Code stands in
// between: what that one does is not the session's, also before it is registered, or where it never is.
func TestHooksInsideOfAnotherHost(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	g.mustRegister(t, request("outer"), self())
	for name, want := range map[string]bool{"sh": true, "claude": false} {
		cmd := exec.Command("sleep", "60")
		cmd.Args[0] = name
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if s, ok := (Hooks{g.Registry}).Around(cmd.Process.Pid); ok != want || ok && s.ID != "outer" {
			t.Errorf("a hook below %s: got %q, %t, want %t", name, s.ID, ok, want)
		}
		end(cmd)
	}
}

// TestDepartedByEveryID holds that what a peer left behind finds it, by whichever id its key is kept.
func TestDepartedByEveryID(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	token := g.mustRegister(t, request("first"), self()).Token
	s, _ := g.Find("first")
	key := g.key("first")
	g.hear(t, "first", "cleared", "clear")
	g.hear(t, "first", "forked", "fork")
	fork := g.key("first")
	if _, err := g.Deregister(t.Context(), token, self()); err != nil {
		t.Fatal(err)
	}
	for _, k := range []mesh.Key{key, fork} {
		ids, _, err := g.book.FindSession(s.Lines[0].MeshID, k)
		if err != nil {
			t.Fatal(err)
		}
		if was, err := localdb.FindDeparted(t.Context(), g.db, ids...); err != nil || was.Name != s.Name {
			t.Errorf("%q: got %+v and %v, want the name of the session", ids, was, err)
		}
	}
}

// TestNamesFollowTheHost holds that a session is called as its host calls it, unless its user has said otherwise, also after
// its conversation was cleared.
func TestNamesFollowTheHost(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	g.run(t)
	cmd := startHost(t)
	_, home, _ := strings.Cut(cmd.Env[0], "=")
	folder := filepath.Join(home, ".claude")
	said := func(id, name string) {
		t.Helper()
		path := filepath.Join(folder, "sessions", strconv.Itoa(cmd.Process.Pid)+".json")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(`{"sessionId":"`+id+`","name":"`+name+`"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	register := func(given string) {
		t.Helper()
		req := request("first")
		req.PID, req.DisplayName, req.Host.Name = cmd.Process.Pid, given, "claude-code"
		if s, ok := g.Find("first"); ok {
			data, err := os.ReadFile(g.home.Daemon.SessionToken(s.ID))
			if err != nil {
				t.Fatal(err)
			}
			req.OldToken = strings.TrimSpace(string(data))
		}
		g.mustRegister(t, req, Caller{req.PID, os.Getuid()})
	}
	want := func(name string) {
		t.Helper()
		followNames(t.Context(), g.Registry)
		if s, _ := g.Find("first"); s.Name != name {
			t.Errorf("got %q, want %q", s.Name, name)
		}
	}
	said("first", "project-c2")
	register("")
	want("project-c2")
	said("first", "backend api")
	want("backend api")
	said("other", "of another session")
	want("backend api")
	g.hear(t, "first", "other", "clear")
	want("of another session")
	if err := g.Amend(t.Context(), "first", Amendment{Name: new("mine")}); err != nil {
		t.Fatal(err)
	}
	said("other", "again")
	want("mine")
	if err := g.Amend(t.Context(), "first", Amendment{Name: new("")}); err != nil {
		t.Fatal(err)
	}
	want("again")
	register("given")
	want("given")
	if err := g.Amend(t.Context(), "first", Amendment{Role: new("reviewer")}); err != nil {
		t.Fatal(err)
	}
	want("given")
}

// TestHeardModes holds that a mode is kept over a registration anew of the same process.
func TestHeardModes(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	req := request("first")
	req.OldToken = g.mustRegister(t, req, self()).Token
	if err := (Hooks{g.Registry}).Heard(t.Context(), "first", News{Mode: host.Plan}); err != nil {
		t.Fatal(err)
	}
	g.mustRegister(t, req, self())
	if got := g.Rules("first").Mode; got != host.Plan {
		t.Errorf("got %s, want what the hook said", got)
	}
	if err := (Hooks{g.Registry}).Heard(t.Context(), "gone", News{}); !mesh.IsCode(err, mesh.SessionUnknown) {
		t.Errorf("got %v, want session_unknown", err)
	}
}

func TestNumbered(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, from string
		want       bool
	}{{"api", "api", true}, {"api-2", "api", true}, {"api-1", "api", false}, {"api-x", "api", false}, {"apis", "api", false}, {"web", "api", false}} {
		if got := numbered(tt.name, tt.from); got != tt.want {
			t.Errorf("%s of %s: got %t", tt.name, tt.from, got)
		}
	}
}

// TestLaunchedAccepts holds that only the process which its human started is reached by whom the human named, also under
// another id and after a restart of the daemon; what it starts itself is not.
func TestLaunchedAccepts(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	g.run(t)
	req, c := hostOf(t, "first")
	ben := localapi.Accepted{Mesh: "m1", Member: "ben", Name: "ben"}
	if err := (Hooks{g.Registry}).Launch(c, []localapi.Accepted{ben}); err != nil {
		t.Fatal(err)
	}
	g.mustRegister(t, req, c)
	g.mustRegister(t, request("other"), self())
	want := func(when, id, member string, ok bool) {
		t.Helper()
		if got := (Hooks{g.Registry}).Accepts(id, "m1", mesh.Key(member)); got != ok {
			t.Errorf("%s: %s by %s: got %t", when, id, member, got)
		}
	}
	want("launched", "first", "ben", true)
	want("launched", "first", "cara", false)
	want("not launched", "other", "ben", false)
	want("unknown", "third", "ben", false)
	g.hear(t, "first", "cleared", "clear")
	want("cleared", "first", "ben", true)
	g = newRigOn(g)
	if err := g.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("after a restart", "first", "ben", true)
	again, other := hostOf(t, "cleared")
	g.mustRegister(t, again, other)
	want("resumed without a word of its human", "cleared", "ben", false)
}
