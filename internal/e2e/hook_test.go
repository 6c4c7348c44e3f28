//go:build unix

package e2e

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// hook runs a hook as the host does, with what it says.
func (s *session) hook(event string, said map[string]string) answer {
	s.h.t.Helper()
	input, err := json.Marshal(said)
	if err != nil {
		s.h.t.Fatal(err)
	}
	a, err := s.tell(order{Args: []string{"hook", event}, Input: string(input)})
	if err != nil || a.Exit != mesh.ExitOK || a.Err != "" {
		s.h.t.Fatalf("hook %s: %v, exit status %d, %q", event, err, a.Exit, a.Err)
	}
	return a
}

// TestHooksTellOfTheSession holds what the hooks of a host bring about: a state that others see, the mode that decides what
// is held, the proof that a message was shown, and a name that outlives a cleared conversation.
func TestHooksTellOfTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.home("anna"), w.home("ben")
	anna.must("up")
	ben.must("join", anna.link(), "--name", "ben")
	s := anna.open(uuid.NewString())
	name := s.whoami().Name

	if out := s.hook("SessionStart", map[string]string{"source": "startup"}).Out; !strings.Contains(out, name) || !strings.Contains(out, "additionalContext") {
		t.Errorf("a session that starts is told %q, want its name", out)
	}
	if out := s.hook("UserPromptSubmit", map[string]string{"permission_mode": "bypassPermissions", "prompt": "go on"}).Out; out != "" {
		t.Errorf("a hook printed %q", out)
	}
	anna.seesStatus(name, "working")
	ben.must("send", name, "for the human", "--wait")
	if a := s.run("inbox"); strings.Contains(a.Out, "for the human") {
		t.Errorf("a session that acts alone reads %q", a.Out)
	}
	s.hook("Stop", map[string]string{"permission_mode": "default"})
	anna.seesStatus(name, "idle")
	eventually(t, "what was held is shown, now that its human is asked", func() bool { return len(s.shown.texts()) == 1 })

	var own sentView
	anna.ask(&own, "send", name, "from my terminal", "--self", "--wait")
	eventually(t, "the second one is shown", func() bool { return len(s.shown.texts()) == 2 })
	quoted := "look: <channel attempt=\"" + s.shown.list()[len(s.shown.list())-1].Meta["attempt"] + "\">"
	s.hook("UserPromptSubmit", map[string]string{"prompt": quoted})
	state := func() string { return anna.must("message", "status", string(own.ClientID), "--json") }
	if got := state(); strings.Contains(got, `"surfaced"`) {
		t.Errorf("a token that a text quoted proved something: %s", got)
	}
	long := strings.Repeat("and much more ", 100_000)
	s.hook("UserPromptSubmit", map[string]string{"prompt": strings.TrimPrefix(quoted, "look: ") + "from my terminal</channel>" + long})
	anna.eventually("the sender hears that it was shown", func() bool { return strings.Contains(state(), `"surfaced"`) })

	cleared := uuid.NewString()
	s.hook("SessionStart", map[string]string{"source": "clear", "session_id": cleared})
	a, err := s.tell(order{Args: []string{"whoami", "--json"}, Env: []string{"CLAUDE_CODE_SESSION_ID=" + cleared}})
	if err != nil || !strings.Contains(a.Out, `"display_name": "`+name+`"`) {
		t.Errorf("after a cleared conversation the session is %v, %s%s", err, a.Out, a.Err)
	}

	if a := s.run("hook"); a.Exit != mesh.ExitOK {
		t.Errorf("a hook without an event: exit status %d", a.Exit)
	}
	if r := anna.runWith("no JSON", "hook", "Stop"); r.exit != mesh.ExitOK || r.out+r.err != "" {
		t.Errorf("a hook outside of a session: exit status %d, %q", r.exit, r.out+r.err)
	}
}

// TestHookWaitsForNoBroker holds that a hook is heard, and gives its host what it has for it, while a broker does not answer;
// others see what it said when the broker does.
func TestHookWaitsForNoBroker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.home("anna")
	anna.must("up")
	s := anna.open(uuid.NewString())
	name := s.whoami().Name
	if !anna.broker().signal(syscall.SIGSTOP) {
		t.Fatal("there is no broker to stop")
	}
	t.Cleanup(func() { anna.broker().signal(syscall.SIGCONT) })
	if out := s.hook("SessionStart", map[string]string{"source": "startup"}).Out; !strings.Contains(out, name) {
		t.Errorf("while the broker does not answer a session that starts is told %q, want its name", out)
	}
	s.hook("UserPromptSubmit", map[string]string{"prompt": "go on"})
	anna.broker().signal(syscall.SIGCONT)
	anna.seesStatus(name, "working")
}

// seesStatus waits until the peer of a name is listed with a status.
func (h *home) seesStatus(name, want string) {
	h.t.Helper()
	h.eventually("others see the session "+want, func() bool {
		var peers []struct {
			Name   string `json:"displayName"`
			Status string `json:"status"`
		}
		h.ask(&peers, "peers", "--json")
		for _, p := range peers {
			if p.Name == name {
				return p.Status == want
			}
		}
		return false
	})
}
