package registry

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestSessionsOfEndedProcessesAreForgotten(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	g.run(t)
	cmd := startHost(t)
	caller := Caller{cmd.Process.Pid, os.Getuid()}
	for _, id := range []string{"s1", "s2"} {
		req := request(id)
		req.PID = cmd.Process.Pid
		g.mustRegister(t, req, caller)
	}
	g.mustRegister(t, request("s3"), self())
	g.lines.took()
	end(cmd)
	g.await(t, 1)
	if s := g.List()[0]; s.ID != "s3" {
		t.Errorf("%s stays, want s3", s.ID)
	}
	for _, id := range []string{"s1", "s2"} {
		if _, err := os.Stat(g.home.Daemon.SessionToken(id)); !os.IsNotExist(err) {
			t.Errorf("the token file of %s: %v", id, err)
		}
	}
	if rows, err := g.db.ListSessions(t.Context()); err != nil || len(rows) != 1 {
		t.Errorf("rows %+v, %v; want one", rows, err)
	}
	if got := g.lines.took(); got != "-project@work -project-2@work" {
		t.Errorf("connections: %q", got)
	}
}

// await waits until n sessions are left; 5 s are what daemon 18.2 allows.
func (g *rig) await(t *testing.T, n int) {
	t.Helper()
	late := time.After(5 * time.Second)
	for {
		changed := g.Changed()
		if len(g.List()) == n {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%d sessions after 5 s, want %d", len(g.List()), n)
		}
	}
}

func TestAProcessThatCameBackIsWatchedAgain(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir())
	g.run(t)
	for range 2 {
		cmd := startHost(t)
		req := request("s1")
		req.PID = cmd.Process.Pid
		g.mustRegister(t, req, Caller{cmd.Process.Pid, os.Getuid()})
		end(cmd)
		g.await(t, 0)
	}
	g.watched.mu.Lock()
	defer g.watched.mu.Unlock()
	if n := len(g.watched.all); n != 0 {
		t.Errorf("%d ended processes are watched still", n)
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	g := newRig(t, root, "work", "home")
	cmd := startHost(t)
	dead := request("dead")
	dead.PID = cmd.Process.Pid
	g.mustRegister(t, dead, Caller{cmd.Process.Pid, os.Getuid()})
	alive := request("alive")
	alive.Mesh = "work"
	a := g.mustRegister(t, alive, self())
	before := g.List()[0]
	if before.ID != "alive" {
		before = g.List()[1]
	}
	end(cmd)
	stray := []string{filepath.Join(g.home.Daemon.Sessions(), "0123.token"), g.home.Daemon.SessionLock("dead", cmd.Process.Pid)}
	for _, path := range append(stray, g.home.Daemon.SessionLock("alive", os.Getpid())) {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.db.Close(); err != nil {
		t.Fatal(err)
	}

	g = newRig(t, root)
	if err := g.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := g.lines.took(); got != "+project-2@work" {
		t.Errorf("connections: %q", got)
	}
	s, err := g.ByToken(a.Token, self())
	if err != nil {
		t.Fatalf("the token of before: %v", err)
	}
	opts := cmp.Comparer(func(x, y Line) bool { return x.MeshID == y.MeshID && x.Pubkey() == y.Pubkey() && x.Member == y.Member })
	if diff := cmp.Diff(before, s, opts); diff != "" {
		t.Errorf("the session changed (-before +after):\n%s", diff)
	}
	if _, err := os.Stat(g.home.Daemon.SessionLock("alive", os.Getpid())); err != nil {
		t.Errorf("the lock of a living session: %v", err)
	}
	for _, path := range append(stray, g.home.Daemon.SessionToken("dead")) {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s stays: %v", path, err)
		}
	}
	if rows, err := g.db.ListSessions(t.Context()); err != nil || len(rows) != 1 {
		t.Errorf("rows %+v, %v; want one", rows, err)
	}
}

func TestRestoreRefusesAnotherProcessOfTheSameID(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	g := newRig(t, root)
	g.mustRegister(t, request("s1"), self())
	row := g.table.find("s1").row()
	row.StartTime += "1"
	if err := g.db.SaveSession(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	again := newRigOn(g)
	if err := again.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(again.List()) != 0 {
		t.Error("a session of a process with another start was restored")
	}
}

// newRigOn is a second registry on the files of g.
func newRigOn(g *rig) *rig {
	again := *g
	again.Registry = New(g.opt)
	return &again
}

func TestRefreshFollowsTheMeshes(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	limited := request("s1")
	limited.Mesh = "work"
	g.mustRegister(t, limited, self())
	g.mustRegister(t, request("s2"), self())
	g.lines.took()
	g.join(t, "home")
	if err := g.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := g.lines.took(); got != "+project-2@home +project-2@work" {
		t.Errorf("after joining: %q", got)
	}
	if err := g.Refresh(t.Context()); err != nil || g.lines.took() != "" {
		t.Errorf("without a change something was done, or failed: %v", err)
	}
	if _, err := g.book.Remove("work"); err != nil {
		t.Fatal(err)
	}
	if err := g.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := g.lines.took(); got != "-project@work -project-2@work +project-2@home" {
		t.Errorf("after leaving: %q", got)
	}
	if len(g.lines.open) != 1 {
		t.Errorf("open connections: %v, want one", g.lines.open)
	}
}

func TestDeregister(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	a := g.mustRegister(t, request("s1"), self())
	if _, err := g.Deregister(t.Context(), mesh.NewToken(), self()); !mesh.IsCode(err, mesh.SessionUnknown) {
		t.Errorf("another token: got %v, want session_unknown", err)
	}
	if s, err := g.Deregister(t.Context(), a.Token, self()); err != nil || s.ID != "s1" {
		t.Fatalf("got %+v, %v", s, err)
	}
	if _, err := g.ByToken(a.Token, self()); !mesh.IsCode(err, mesh.SessionUnknown) {
		t.Errorf("the token afterwards: got %v, want session_unknown", err)
	}
	if len(g.lines.open) != 0 || g.Inside(os.Getpid()) {
		t.Errorf("something is left: %v", g.lines.open)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	g.run(t)
	done := make(chan error)
	for i := range 8 {
		go func() {
			a, err := g.Register(t.Context(), request(string(rune('a'+i))), self())
			if err == nil {
				_, err = g.ByToken(a.Token, self())
			}
			if err == nil && i%2 == 0 {
				_, err = g.Deregister(t.Context(), a.Token, self())
			}
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	names := map[string]bool{}
	for _, s := range g.List() {
		names[s.Name] = true
	}
	if len(names) != 4 || len(g.lines.open) != 4 {
		t.Errorf("names %v, connections %v; want four", names, g.lines.open)
	}
}
