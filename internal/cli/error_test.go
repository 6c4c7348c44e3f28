package cli

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// TestEveryCode has the daemon refuse with each code of the table: status, sentence and hint come from there, as text and
// as JSON.
func TestEveryCode(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	for _, row := range mesh.Codes {
		sentence := "this is why"
		if row.Code == mesh.Internal {
			sentence = "internal error"
		}
		w.Daemon.Answers[localapi.Whoami.Route] = mesh.Errorf(row.Code, "%s", sentence)
		want := "claudemesh: " + sentence + "\n"
		if row.Hint != "" {
			want += "hint: " + row.Hint + "\n"
		}
		if r := w.Run("whoami"); r.Exit != row.Exit || r.Out != "" || r.Err != want {
			t.Errorf("got exit %d, %q and %q for %s, want %d, nothing and %q", r.Exit, r.Out, r.Err, row.Code, row.Exit, want)
		}
		r := w.Run("whoami", "--json")
		if r.Exit != row.Exit || r.Err != "" || !strings.HasPrefix(r.Out, "{\n  \"schema_version\": \"1.0\",\n  \"ok\": false,\n") {
			t.Errorf("got exit %d, %q and %q for %s, want %d and an object that begins with schema_version and ok", r.Exit, r.Out, r.Err, row.Code, row.Exit)
		}
		var v struct{ Error, Code, Hint string }
		if err := json.Unmarshal([]byte(r.Out), &v); err != nil {
			t.Fatal(err)
		}
		if v.Error != sentence || v.Code != string(row.Code) || v.Hint != row.Hint {
			t.Errorf("got %+v for %s, want the sentence, the code and the hint of the table", v, row.Code)
		}
	}
}

// failing refuses everything that is written to it.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAnswerThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	for _, args := range [][]string{{"inbox"}, {"inbox", "--json"}, {"version"}} {
		var stderr strings.Builder
		if exit := Run(t.Context(), w.System(args, failing{}, &stderr)); exit != mesh.ExitIO {
			t.Errorf("got exit %d and %q for %q, want 10", exit, stderr.String(), args)
		}
	}
	for _, asked := range w.Daemon.Recorded() {
		if strings.Contains(asked, "seen ") {
			t.Errorf("got %q, want messages that nobody saw to stay unread", asked)
		}
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := w.RunIn(ctx, "list"); r.Exit != mesh.ExitCancelled || r.Out != "" || r.Err != "" {
		t.Errorf("got exit %d, %q and %q, want 1 and no word", r.Exit, r.Out, r.Err)
	}
	if r := w.RunIn(ctx, "send", "backend", "hi", "--json"); r.Exit != mesh.ExitCancelled || !strings.Contains(r.Out, `"code": "cancelled"`) {
		t.Errorf("got exit %d and %q, want 1 and an object", r.Exit, r.Out)
	}
}

// TestJSONOfEveryVerb wants valid JSON and nothing else on standard output, whatever becomes of a verb.
func TestJSONOfEveryVerb(t *testing.T) {
	t.Parallel()
	_, root := tree(newWorld(t))
	for path := range leaves(root) {
		switch path {
		case "help", "mcp", "demo", "broker serve", "docs", "up", "down", "daemon down":
			continue // they speak something else, or are tried elsewhere
		}
		for _, words := range []string{needed[path], needed[path] + " --no-such-flag"} {
			w := withDaemon(t)
			r := w.Run(append(strings.Fields(path+" "+words), "--json")...)
			var v any
			if err := json.Unmarshal([]byte(r.Out), &v); err != nil {
				t.Errorf("got %q from %s %s, want JSON: %v", r.Out, path, words, err)
			}
			if _, object := v.(map[string]any); object && !strings.HasPrefix(r.Out, "{\n  \"schema_version\": \"1.0\"") {
				t.Errorf("got %q from %s %s, want schema_version first", r.Out, path, words)
			}
		}
	}
}
