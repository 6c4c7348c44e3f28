//go:build unix

package e2e

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write what was printed into the scripts that compare it")

// worldKey is where a script keeps its world.
type worldKey struct{}

// TestScripts runs every script of testdata. Beside the words of testscript they know:
//
//	home USER               what follows runs in the home of USER
//	[!] claudemesh ARG...   runs a verb
//	exits N ARG...          runs a verb that has to end with status N
//	until PATTERN ARG...    runs a verb again and again until it prints what matches PATTERN
//	json PATH VALUE         the field at PATH of the last answer is VALUE: names, indexes and len, with dots between
//	keep NAME PATH          puts the field at PATH of the last answer into the variable NAME
//	mask FILE               writes the last answer into FILE, with words in place of what differs from run to run
//	crash broker|daemon     kills the service of this home as a crash does
//	[!] alive broker|daemon whether the service of this home runs
//	repeat N WORD FILE      writes WORD N times into FILE
//	edit FILE OLD NEW       replaces OLD by NEW in FILE
//	address NAME            puts an address of this machine where nobody listens into the variable NAME
//	flip NAME TEXT          puts TEXT, with the letter behind its # changed, into the variable NAME
//
// $HOST is the name of this machine, $LISTEN the address of the script's broker.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata", UpdateScripts: *update, RequireUniqueNames: true,
		Setup: setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"home": scriptHome, "claudemesh": scriptVerb, "exits": scriptExits, "until": scriptUntil, "json": scriptJSON,
			"keep": scriptKeep, "mask": scriptMask, "crash": scriptCrash, "alive": scriptAlive, "repeat": scriptRepeat,
			"edit": scriptEdit, "flip": scriptFlip, "address": scriptAddress,
		},
	})
}

// Every verb is in a script, but the one that serves a host, which the tests of sessions start.
func TestEveryVerbIsScripted(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var scripts strings.Builder
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		scripts.Write(text)
	}
	verbs := regexp.MustCompile("(?m)^## `claudemesh (.*)`$").FindAllStringSubmatch(string(page), -1)
	if len(verbs) < 20 {
		t.Errorf("docs/cli.md has %d verbs", len(verbs))
	}
	for _, verb := range verbs {
		line := regexp.MustCompile(`(?m)^(claudemesh|exec claudemesh|exits \d+|until \S+) ` + verb[1] + `( |$)`)
		if verb[1] != "mcp" && !line.MatchString(scripts.String()) {
			t.Errorf("no script has the verb %q", verb[1])
		}
	}
}

func setUp(env *testscript.Env) error {
	w := newWorld(env.T().(testing.TB))
	host, err := os.Hostname()
	env.Values[worldKey{}] = w
	env.Setenv("HOST", host)
	env.Setenv("LISTEN", w.listen)
	return err
}

// need ends a script that gives a word too few arguments.
func need(ts *testscript.TestScript, args []string, n int) {
	if len(args) < n {
		ts.Fatalf("%d arguments are too few: read the comment of TestScripts", len(args))
	}
}

func scriptHome(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 1)
	h := ts.Value(worldKey{}).(*world).home(args[0])
	for _, kv := range h.env {
		name, value, _ := strings.Cut(kv, "=")
		ts.Setenv(name, value)
	}
}

// here is the home that the script is in.
func here(ts *testscript.TestScript) *home {
	return ts.Value(worldKey{}).(*world).home(ts.Getenv("USER"))
}

func scriptVerb(ts *testscript.TestScript, neg bool, args []string) {
	switch err := ts.Exec(program, args...); {
	case err == nil && neg:
		ts.Fatalf("it succeeded")
	case err != nil && !neg:
		ts.Fatalf("%v", err)
	}
}

func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 2)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var exit *exec.ExitError
	switch err := ts.Exec(program, args[1:]...); {
	case errors.As(err, &exit) && exit.ExitCode() == want, err == nil && want == 0:
	case err == nil:
		ts.Fatalf("exit status 0, want %d", want)
	default:
		ts.Fatalf("%v, want exit status %d", err, want)
	}
}

func scriptUntil(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 2)
	pattern := regexp.MustCompile(args[0])
	deadline := time.Now().Add(longTime)
	for {
		err := ts.Exec(program, args[1:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not within %s (%v)", longTime, err)
		}
		<-time.After(pollStep)
	}
}

// field finds a part of the last answer.
func field(ts *testscript.TestScript, path string) string {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for name := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[name]
		case []any:
			if name == "len" {
				v = len(in)
				continue
			}
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(in) {
				ts.Fatalf("%s: there is no %q in a list of %d", path, name, len(in))
			}
			v = in[i]
		default:
			ts.Fatalf("%s: there is no %q in %v", path, name, v)
		}
	}
	return fmt.Sprint(v)
}

func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2)
	if got := field(ts, args[0]); (got == args[1]) == neg {
		ts.Fatalf("%s is %q", args[0], got)
	}
}

func scriptKeep(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 2)
	ts.Setenv(args[0], field(ts, args[1]))
}

// masks are the parts of an answer that differ from run to run.
var masks = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`), "<uuid>"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "<key>"},
	{regexp.MustCompile(`"pubkey_prefix": "[0-9a-f]{12}"`), `"pubkey_prefix": "<prefix>"`},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "<time>"},
	{regexp.MustCompile(`/i/[0-9A-Za-z]{12}#[\w-]{22}`), "/i/<code>#<fingerprint>"},
	{regexp.MustCompile(`"code": "[0-9A-Za-z]{12}"`), `"code": "<code>"`},
	{regexp.MustCompile(`"owner_fingerprint": "[\w-]{22}"`), `"owner_fingerprint": "<fingerprint>"`},
	{regexp.MustCompile(`\b[0-9A-Za-z]{32}\b`), "<id>"},
	{regexp.MustCompile(`pid": \d+`), `pid": <pid>`},
	{regexp.MustCompile(`"((?:daemon_)?version)": "[\w.-]+"`), `"$1": "<version>"`},
	{regexp.MustCompile(`"(uptime_s|expires_at|created_at|expiresAt|createdAt|seq|payload_bytes)": \d+`), `"$1": <number>`},
}

func scriptMask(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 1)
	text := ts.ReadFile("stdout")
	text = strings.ReplaceAll(text, here(ts).dir, "<home>")
	text = strings.ReplaceAll(text, ts.Getenv("LISTEN"), "<broker>")
	text = strings.ReplaceAll(text, "@"+ts.Getenv("HOST"), "@<host>")
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.word)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

func scriptService(ts *testscript.TestScript, name string) service {
	switch name {
	case "broker":
		return here(ts).broker()
	case "daemon":
		return here(ts).daemon()
	}
	ts.Fatalf("%q is no service", name)
	return service{}
}

func scriptCrash(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 1)
	s := scriptService(ts, args[0])
	if !s.signal(sigKill) {
		ts.Fatalf("the %s does not run", args[0])
	}
	deadline := time.Now().Add(longTime)
	for s.pid() != 0 {
		if time.Now().After(deadline) {
			ts.Fatalf("the %s is still there", args[0])
		}
		<-time.After(pollStep)
	}
}

func scriptAlive(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 1)
	if pid := scriptService(ts, args[0]).pid(); (pid != 0) == neg {
		ts.Fatalf("the pid of the %s is %d", args[0], pid)
	}
}

func scriptRepeat(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 3)
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.Repeat(args[1], n)), 0o600))
}

func scriptEdit(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 3)
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	edited := strings.ReplaceAll(string(data), args[1], args[2])
	if edited == string(data) {
		ts.Fatalf("there is no %q in %s", args[1], filepath.Base(path))
	}
	ts.Check(os.WriteFile(path, []byte(edited), 0o600))
}

func scriptFlip(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 2)
	text := []byte(args[1])
	i := strings.Index(args[1], "#") + 1
	if text[i] == 'A' {
		text[i] = 'B'
	} else {
		text[i] = 'A'
	}
	ts.Setenv(args[0], string(text))
}

func scriptAddress(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], ln.Addr().String())
	ts.Check(ln.Close())
}
