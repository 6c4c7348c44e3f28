//go:build unix

package e2e

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// TestLaunchedSession holds that a session is what `launch` says, for others and for itself, and that it takes its messages
// as it was told to: the mode is enforced by the daemon and can change.
func TestLaunchedSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.home("anna")
	anna.must("up")
	s := anna.launch(uuid.NewString(), "--name", "api", "--role", "reviewer", "--groups", "backend:lead,ops", "--message-mode", "inbox")
	var me struct {
		Session struct {
			Name   string `json:"display_name"`
			Role   string `json:"role"`
			Mode   string `json:"message_mode"`
			PID    int    `json:"pid"`
			Groups []struct{ Name, Role string }
		}
	}
	s.ask(&me, "whoami", "--json")
	got := me.Session
	if got.Name != "api" || got.Role != "reviewer" || got.Mode != "inbox" || len(got.Groups) != 2 || got.Groups[0].Name != "backend" || got.Groups[0].Role != "lead" {
		t.Errorf("the session is %+v, want what launch was told", got)
	}
	if got.PID != s.host.Process.Pid {
		t.Errorf("the session's process is %d, want that of launch, %d", got.PID, s.host.Process.Pid)
	}
	if peers := anna.must("peers"); !strings.Contains(peers, "api") || !strings.Contains(peers, "reviewer") {
		t.Errorf("others see\n%swant api, the reviewer", peers)
	}

	const secret = "the text stays in the inbox"
	anna.must("send", "api", secret, "--wait", "--self")
	anna.must("send", "@backend", "for the group", "--wait", "--self")
	eventually(t, "both are announced", func() bool { return len(s.shown.texts()) == 2 })
	for _, text := range s.shown.texts() {
		if strings.Contains(text, secret) || strings.Contains(text, "for the group") || !strings.Contains(text, "claudemesh inbox") {
			t.Errorf("in the mode inbox the session is shown %q, want where to read it", text)
		}
	}
	if got := s.inbox(); len(got) != 2 || got[0] != secret {
		t.Errorf("the session's inbox has %q", got)
	}

	s.must("profile", "--message-mode", "off")
	anna.must("send", "api", "while off", "--wait", "--self")
	s.must("profile", "--message-mode", "push")
	eventually(t, "what came while it was off is shown", func() bool { return len(s.shown.texts()) == 3 })
	if got := s.shown.texts()[2]; !strings.HasSuffix(got, ": while off") {
		t.Errorf("in the mode push the session is shown %q", got)
	}
	if a := s.run("launch", "--", "-p", "x"); a.Exit != mesh.ExitPermission {
		t.Errorf("a session launched another: exit status %d\n%s%s", a.Exit, a.Out, a.Err)
	}
}

// TestAcceptFrom holds that a session that acts alone is reached by whom its human named when it was started, and by nobody
// else; a session cannot name anybody.
func TestAcceptFrom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.pair()
	cara := w.home("cara")
	cara.must("join", anna.link())
	asks := ben.open(uuid.NewString())
	ben.eventually("knows both", func() bool {
		keys := ben.must("trust", "list")
		return strings.Contains(keys, "anna@") && strings.Contains(keys, "cara@")
	})
	ben.env = append(ben.env, "CLAUDE_BIN="+program)
	ben.exits(mesh.ExitNotFound, "launch", "--accept-from", "nobody", "--", "-p")
	s := ben.launchWith([]string{"--dangerously-skip-permissions"}, uuid.NewString(), "--name", "worker", "--accept-from", anna.address()+",@self")
	other := ben.open(uuid.NewString(), "--dangerously-skip-permissions")
	for _, to := range []*session{s, other} {
		key := string(to.whoami().Key)
		cara.must("send", key, "from cara", "--wait")
		asks.must("send", key, "from my other session", "--wait")
		anna.must("send", key, "from anna", "--wait")
	}
	eventually(t, "the session is shown what those wrote", func() bool { return len(s.shown.texts()) == 2 })
	all := strings.Join(s.shown.texts(), "\n")
	if strings.Contains(all, "from cara") || !strings.Contains(all, "from anna") || !strings.Contains(all, "from my other session") {
		t.Errorf("it is shown\n%s\nwant anna and the own session", all)
	}
	if all := strings.Join(other.shown.texts(), "\n"); strings.Contains(all, "from ") {
		t.Errorf("a session for which nobody was named is shown\n%s", all)
	}
	a, err := s.tell(order{Args: []string{"launch", "--accept-from", "cara", "--", "-p"}, Bare: true})
	if err != nil || a.Exit != mesh.ExitPermission {
		t.Errorf("inside of a session: %+v (%v), want it refused", a, err)
	}
}
