package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadEnv(t *testing.T) {
	t.Parallel()
	got := ReadEnv(env(
		"CLAUDEMESH_INTERNAL_NO_AUTOSPAWN", "1", "CLAUDEMESH_STRICT_DAEMON", "true", "CLAUDEMESH_NO_DAEMON", "Yes", "CLAUDEMESH_DEBUG", "on",
		"CLAUDEMESH_DISPLAY_NAME", "ada", "USERNAME", "ada-login", "NO_COLOR", "x", "TERM", "xterm", "GITLAB_CI", "true",
		"CLAUDECODE", "1", "CLAUDE_PID", "42", "CLAUDE_CODE_SESSION_ID", "s", "CLAUDE_PROJECT_DIR", "/p", "CLAUDE_CONFIG_DIR", "/c",
		"CLAUDE_CODE_MESSAGING_SOCKET", "/sock", "CLAUDE_CODE_MESSAGING_TOKEN", "hunter2",
	))
	want := Env{
		NoAutospawn: true, StrictDaemon: true, NoDaemon: true, Debug: true, DisplayName: "ada", User: "ada-login",
		NoColor: true, Term: "xterm", CI: "GITLAB_CI",
		Claude: Claude{
			Inside: true, PID: 42, SessionID: "s", ProjectDir: "/p", ConfigDir: "/c",
			MessagingSocket: "/sock", MessagingToken: NewSecret("hunter2"),
		},
	}
	same := cmp.Comparer(func(a, b Secret) bool { return a.Reveal() == b.Reveal() })
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("ReadEnv (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Env{}, ReadEnv(env()), same); diff != "" {
		t.Errorf("empty environment (-want +got):\n%s", diff)
	}
}

func TestReadEnvEdges(t *testing.T) {
	t.Parallel()
	for _, off := range []string{"", "0", "false", "no", "off", "2", " 1"} {
		if ReadEnv(env("CLAUDEMESH_NO_DAEMON", off)).NoDaemon {
			t.Errorf("got a switch on for %q, want it off", off)
		}
	}
	for text, want := range map[string]int{"": 0, "x": 0, "-1": 0, "7": 7} {
		if got := ReadEnv(env("CLAUDE_PID", text)).Claude.PID; got != want {
			t.Errorf("got pid %d for %q, want %d", got, text, want)
		}
	}
	if got := ReadEnv(env("TERM", "dumb")); !got.NoColor {
		t.Error("got colour on a dumb terminal, want none")
	}
	if got := ReadEnv(env("NO_COLOR", "", "CI", "")); got.NoColor || got.CI != "" {
		t.Errorf("got %+v, want empty variables to count as unset", got)
	}
	if got := ReadEnv(env("USER", "a", "USERNAME", "b")).User; got != "a" {
		t.Errorf("got user %q, want USER first", got)
	}
	if got := ReadEnv(env("LOGNAME", "l", "USERNAME", "b")).Login(); got != "l" {
		t.Errorf("got %q, want LOGNAME before USERNAME", got)
	}
	if got := ReadEnv(env()).Login(); got == "" {
		t.Error("got no name without the environment, want that of the system, or a word")
	}
}

// TestSecretStaysSecret prints an environment in every way that a log or an error could.
func TestSecretStaysSecret(t *testing.T) {
	t.Parallel()
	type holder struct{ env Env }
	e := ReadEnv(env("CLAUDE_CODE_MESSAGING_TOKEN", "hunter2"))
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("started", "env", e, "token", e.Claude.MessagingToken)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("started", "env", e, "token", e.Claude.MessagingToken)
	marshalled, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{logged.String(), string(marshalled)}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(format, e), fmt.Sprintf(format, &e), fmt.Sprintf(format, holder{e}), fmt.Sprintf(format, e.Claude.MessagingToken))
	}
	hidden := fmt.Sprintf("%x", "hunter2")
	for _, text := range texts {
		if strings.Contains(text, "hunter2") || strings.Contains(text, hidden) {
			t.Errorf("got the token in %q, want a label", text)
		}
	}
	if !strings.Contains(logged.String(), "[redacted]") || e.Claude.MessagingToken.Reveal() != "hunter2" {
		t.Errorf("got %q, want the label where the token stands and the token when asked for", logged.String())
	}
}
