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
		w.daemon.answers[localapi.Whoami.Route] = mesh.Errorf(row.Code, "%s", sentence)
		want := "claudemesh: " + sentence + "\n"
		if row.Hint != "" {
			want += "hint: " + row.Hint + "\n"
		}
		if r := w.run("whoami"); r.exit != row.Exit || r.out != "" || r.err != want {
			t.Errorf("got exit %d, %q and %q for %s, want %d, nothing and %q", r.exit, r.out, r.err, row.Code, row.Exit, want)
		}
		r := w.run("whoami", "--json")
		if r.exit != row.Exit || r.err != "" || !strings.HasPrefix(r.out, "{\n  \"schema_version\": \"1.0\",\n  \"ok\": false,\n") {
			t.Errorf("got exit %d, %q and %q for %s, want %d and an object that begins with schema_version and ok", r.exit, r.out, r.err, row.Code, row.Exit)
		}
		var v struct{ Error, Code, Hint string }
		if err := json.Unmarshal([]byte(r.out), &v); err != nil {
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
		if exit := Run(t.Context(), w.system(args, failing{}, &stderr)); exit != mesh.ExitIO {
			t.Errorf("got exit %d and %q for %q, want 10", exit, stderr.String(), args)
		}
	}
	for _, asked := range w.daemon.recorded() {
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
	if r := w.runIn(ctx, "list"); r.exit != mesh.ExitCancelled || r.out != "" || r.err != "" {
		t.Errorf("got exit %d, %q and %q, want 1 and no word", r.exit, r.out, r.err)
	}
	if r := w.runIn(ctx, "send", "backend", "hi", "--json"); r.exit != mesh.ExitCancelled || !strings.Contains(r.out, `"code": "cancelled"`) {
		t.Errorf("got exit %d and %q, want 1 and an object", r.exit, r.out)
	}
}

// TestUnknownErrorsStayInside: an error that has no code tells people nothing of its cause, unless they ask.
func TestUnknownErrorsStayInside(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	for verbose, want := range map[bool]string{false: "internal error", true: "secret cause"} {
		var out, stderr strings.Builder
		a := newApp(w.system(nil, &out, &stderr))
		a.global.verbose = verbose
		if exit := a.finish(t.Context(), errors.New("secret cause")); exit != mesh.ExitInternal || !strings.HasPrefix(stderr.String(), "claudemesh: "+want+"\n") {
			t.Errorf("got exit %d and %q, want 8 and %q", exit, stderr.String(), want)
		}
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
			r := w.run(append(strings.Fields(path+" "+words), "--json")...)
			var v any
			if err := json.Unmarshal([]byte(r.out), &v); err != nil {
				t.Errorf("got %q from %s %s, want JSON: %v", r.out, path, words, err)
			}
			if _, object := v.(map[string]any); object && !strings.HasPrefix(r.out, "{\n  \"schema_version\": \"1.0\"") {
				t.Errorf("got %q from %s %s, want schema_version first", r.out, path, words)
			}
		}
	}
}
