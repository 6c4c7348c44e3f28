package upgrade

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

// source is a source of releases on this machine, which counts how often it is asked.
func source(t *testing.T, answer string) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "http://releases.example/", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, answer) // the verb reads what it gets
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// app is a run of the program in a home of its own.
func app(t *testing.T, env map[string]string) *shell.App {
	t.Helper()
	w := clitest.New(t, nil)
	for name, value := range env {
		w.Env[name] = value
	}
	a := shell.New(w.System(nil, io.Discard, io.Discard))
	if err := a.Begin(New(a), nil); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestCLILesson238AskedOnceADay: --check asks at most once a day, and nobody is asked where no source is set.
func TestCLILesson238AskedOnceADay(t *testing.T) {
	t.Parallel()
	url, asked := source(t, `{"version":"v9.9.9","more":1}`)
	a := app(t, map[string]string{"CLAUDEMESH_UPGRADE_SOURCE": url})
	for want := range []int{0, 1} { // once, though it is run twice
		if err := run(t.Context(), a, true); err != nil || asked.Load() != 1 {
			t.Errorf("run %d: got %v and %d questions, want one in all", want, err, asked.Load())
		}
	}
	if err := run(t.Context(), a, false); err != nil || asked.Load() != 2 {
		t.Errorf("got %v and %d questions, want another one without --check", err, asked.Load())
	}
	if err := run(t.Context(), app(t, nil), false); err != nil {
		t.Errorf("without a source: %v", err)
	}
}

// TestUpgrade: what is newer is said with the command that gets it; nothing of an answer but a version is printed.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{``, `{}`, `{"version":"9.9.9"}`, `{"version":"v1; reboot"}`, `{"version":"v1\u001b[2K"}`, `{"version":"v` + strings.Repeat("1", maxVersion) + `"}`, `<html>`} {
		url, _ := source(t, answer)
		if _, err := ask(t.Context(), url); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("%q: got %v, want it refused", answer, err)
		}
	}
	url, _ := source(t, `{"version":"v1.2.3-rc.1"}`)
	if v, err := ask(t.Context(), url); err != nil || v != "v1.2.3-rc.1" {
		t.Errorf("got %q, %v, want the version", v, err)
	}
	for _, wrong := range []string{"http://releases.example/x", "ftp://127.0.0.1/", "file:///etc/passwd", url + "/away", "x"} {
		if _, err := ask(t.Context(), wrong); err == nil {
			t.Errorf("%s was asked", wrong)
		}
	}
	for _, tc := range []struct {
		v    view
		want string
	}{
		{view{Version: "v1.0.0", Newest: "v1.1.0", Newer: true, Command: "get v1.1.0"}, "v1.1.0 is there (this is v1.0.0)\n  → get v1.1.0, then"},
		{view{Version: "v1.1.0", Newest: "v1.1.0"}, "nothing newer is there (this is v1.1.0 · the newest release is v1.1.0)"},
		{view{Version: "v1.1.0", Command: "get it"}, "no source of releases is set (upgrade_source); this is v1.1.0\n  → get it"},
	} {
		var out strings.Builder
		show(term.NewStream(&out, true), tc.v)
		if !strings.Contains(out.String(), tc.want) {
			t.Errorf("got %q, want %q", out.String(), tc.want)
		}
	}
}
