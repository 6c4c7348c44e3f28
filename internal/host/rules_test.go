package host

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestModes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Mode{
		"plan": Plan, "default": Default, "manual": Default, "acceptEdits": AcceptEdits, "auto": Auto, "dontAsk": DontAsk,
		"bypassPermissions": Bypass, "": Bypass, "Plan": Bypass, "yolo": Bypass,
	} {
		if got := ParseMode(text); got != want {
			t.Errorf("ParseMode(%q) = %s, want %s", text, got, want)
		}
	}
	for i, m := range modes {
		if got, want := m.Unattended(), m == DontAsk || m == Bypass; got != want {
			t.Errorf("%s.Unattended() = %v, want %v", m, got, want)
		}
		for j, other := range modes {
			if got := m.AtLeast(other); got != (i >= j) {
				t.Errorf("%s.AtLeast(%s) = %v", m, other, got)
			}
		}
	}
}

func TestIsClaude(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args string
		want bool
	}{
		{"claude", true},
		{"/usr/local/bin/claude --resume", true},
		{`C:\Users\a\claude.exe`, true},
		{"/home/a/.local/share/claude/versions/2.1.330 -p x", true},
		{"node --max-old-space-size=8192 /usr/lib/node_modules/@anthropic-ai/claude-code/cli.js", true},
		{"node /x/node_modules/@anthropic-ai/claude-agent-sdk/cli.js --permission-mode plan", true},
		{"node", false},
		{"node /srv/claude-code/server.js", false},
		{"/home/claude/bin/sh -c claude", false},
		{"sh -c claude", false},
		{"codex", false},
	}
	for _, tt := range tests {
		if got := isClaude(strings.Fields(tt.args)); got != tt.want {
			t.Errorf("isClaude(%s) = %v, want %v", tt.args, got, tt.want)
		}
	}
}

func TestParseFlags(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args string
		want flags
	}{
		{"", flags{}},
		{"-p hello", flags{}},
		{"--dangerously-skip-permissions", flags{mode: Bypass}},
		{"--permission-mode plan --allow-dangerously-skip-permissions", flags{mode: Bypass}},
		{"--dangerously-skip-permissions --permission-mode plan", flags{mode: Bypass}},
		{"--permission-mode=acceptEdits", flags{mode: AcceptEdits}},
		{"--permission-mode plan --permission-mode auto --permission-mode default", flags{mode: Auto}},
		{"--permission-mode", flags{mode: Bypass}},
		{"--permission-mode new", flags{mode: Bypass}},
		{"-- --dangerously-skip-permissions", flags{}},
		{"--settings a.json --settings={}", flags{settings: []string{"a.json", "{}"}}},
		{"--setting-sources user,local", flags{sources: []string{"user", "local"}}},
	}
	for _, tt := range tests {
		got := parseFlags(strings.Fields(tt.args))
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(flags{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.args, diff)
		}
	}
}

// scene is a machine with settings files and one Claude Code process.
type scene struct {
	args  []string          // behind "claude"
	files map[string]string // below the root: home, config, project, managed
}

// reader writes the files below a new root.
func (s scene) reader(t *testing.T) (r *Reader, root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range s.files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r = NewReader(Subject{Program: "claude-code", WorkDir: filepath.Join(root, "project")})
	r.managed = filepath.Join(root, "managed")
	return r, root
}

func TestRulesOfClaudeCode(t *testing.T) {
	t.Parallel()
	const (
		user     = "home/.claude/settings.json"
		project  = "project/.claude/settings.json"
		local    = "project/.claude/settings.local.json"
		managed  = "managed/managed-settings.json"
		remote   = "home/.claude/remote-settings.json"
		acceptEd = `{"permissions":{"defaultMode":"acceptEdits","allow":["Bash"]},"env":{"A":"b"}}`
		bypass   = `{"permissions":{"defaultMode":"bypassPermissions"}}`
		plan     = `{"permissions":{"defaultMode":"plan"}}`
	)
	inbound := func(v string) string { return `{"crossSessionInbound":` + v + `}` }
	tests := []struct {
		name string
		scene
		want Rules
	}{
		{"nothing set", scene{}, Rules{Mode: Default}},
		{"flag", scene{args: []string{"--dangerously-skip-permissions"}}, Rules{Mode: Bypass}},
		{"flag over files", scene{args: []string{"--permission-mode", "plan"}, files: map[string]string{user: bypass}}, Rules{Mode: Plan}},
		{"user", scene{files: map[string]string{user: bypass}}, Rules{Mode: Bypass}},
		{"project over user", scene{files: map[string]string{user: bypass, project: plan}}, Rules{Mode: Plan}},
		{"local over project", scene{files: map[string]string{local: acceptEd, project: plan}}, Rules{Mode: AcceptEdits}},
		{"managed over all", scene{files: map[string]string{managed: plan, local: bypass}}, Rules{Mode: Plan}},
		{"fetched over managed", scene{files: map[string]string{managed: plan, remote: acceptEd}}, Rules{Mode: AcceptEdits}},
		{"later managed file wins", scene{files: map[string]string{
			managed: plan, "managed/managed-settings.d/10.json": acceptEd, "managed/managed-settings.d/20.json": bypass}}, Rules{Mode: Bypass}},
		{"settings flag over local", scene{args: []string{"--settings", bypass}, files: map[string]string{local: plan}}, Rules{Mode: Bypass}},
		{"settings file", scene{args: []string{"--settings", "more.json"}, files: map[string]string{"project/more.json": acceptEd}}, Rules{Mode: AcceptEdits}},
		{"settings file is missing", scene{args: []string{"--settings", "more.json"}}, Rules{Bypass, Held, true}},
		{"sources", scene{args: []string{"--setting-sources", "user"}, files: map[string]string{local: bypass, user: plan}}, Rules{Mode: Plan}},
		{"other mode", scene{files: map[string]string{user: `{"permissions":{"defaultMode":"new"}}`}}, Rules{Mode: Bypass}},
		{"damaged", scene{files: map[string]string{user: `{"permissions":`}}, Rules{Bypass, Held, true}},
		{"damaged below a flag", scene{args: []string{"--permission-mode", "plan"}, files: map[string]string{user: "x"}}, Rules{Plan, Held, true}},
		{"empty file", scene{files: map[string]string{user: " \n"}}, Rules{Mode: Default}},
		{"accept", scene{files: map[string]string{user: inbound(`"accept"`)}}, Rules{Default, Accept, false}},
		{"a project cannot accept", scene{files: map[string]string{project: inbound(`"accept"`), user: inbound(`"hold"`)}}, Rules{Default, Held, false}},
		{"a project can refuse", scene{files: map[string]string{project: inbound(`"refuse"`), managed: inbound(`"accept"`)}}, Rules{Default, Refuse, false}},
		{"first trusted wins", scene{args: []string{"--settings", inbound(`"accept"`)}, files: map[string]string{user: inbound(`"refuse"`)}}, Rules{Default, Accept, false}},
		{"bad value", scene{files: map[string]string{managed: inbound(`"accept"`), user: inbound(`"never"`)}}, Rules{Default, Held, false}},
		{"empty value", scene{files: map[string]string{user: inbound(`""`)}}, Rules{Default, Held, false}},
		{"isolate", scene{files: map[string]string{managed: `{"isolatePeerMachines":false}`, project: `{"isolatePeerMachines":true}`}}, Rules{Mode: Default, IsolateMachines: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, root := tt.reader(t)
			f := parseFlags(tt.args)
			if got := resolve(f, r.layers(f, filepath.Join(root, "home", ".claude"))); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestRulesOfAProcess(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"home/.claude/settings.json": `{"permissions":{"defaultMode":"acceptEdits"}}`,
		"config/settings.json":       `{"permissions":{"defaultMode":"plan"}}`,
	}
	tests := []struct {
		name string
		args []string
		env  []string
		want Rules
	}{
		{"home", nil, []string{"HOME=ROOT/home"}, Rules{Mode: AcceptEdits}},
		{"config folder", nil, []string{"HOME=ROOT/home", "CLAUDE_CONFIG_DIR=ROOT/config"}, Rules{Mode: Plan}},
		{"flag", []string{"--dangerously-skip-permissions"}, []string{"HOME=ROOT/home"}, Rules{Mode: Bypass}},
		{"no home", nil, []string{"A=b"}, Strictest()},
		{"overwritten arguments", []string{"", "", ""}, []string{"HOME=ROOT/home"}, Strictest()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, root := scene{files: files}.reader(t)
			for i, kv := range tt.env {
				tt.env[i] = strings.ReplaceAll(kv, "ROOT", root)
			}
			r.subject.PID = startChild(t, tt.env, append([]string{"claude"}, tt.args...)...).Process.Pid
			if got := r.Rules(); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestRulesOfOthers(t *testing.T) {
	t.Parallel()
	claude := startChild(t, []string{"HOME=" + t.TempDir()}, "claude")
	tests := []struct {
		name string
		Subject
		want Rules
	}{
		{"known to have no modes", Subject{Program: "claude-ai", PID: os.Getpid()}, Rules{Mode: Default}},
		{"another program", Subject{Program: "codex", PID: claude.Process.Pid}, Rules{Mode: Bypass}},
		{"no name", Subject{PID: claude.Process.Pid}, Rules{Mode: Bypass}},
		{"gone", Subject{Program: "claude-code", PID: 1 << 30}, Strictest()},
		{"not Claude Code", Subject{Program: "claude-code", PID: os.Getpid()}, Strictest()},
	}
	for _, tt := range tests {
		if got := NewReader(tt.Subject).Rules(); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestRulesFollowTheFiles(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	path := filepath.Join(home, ".claude", "settings.json")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	c := startChild(t, []string{"HOME=" + home}, "claude")
	r := NewReader(Subject{Program: "claude-code", PID: c.Process.Pid, WorkDir: t.TempDir()})
	r.managed = t.TempDir()
	for _, want := range []Inbound{Unset, Accept, Refuse, Accept} { // accept and refuse are of one length
		if want != Unset {
			if err := os.WriteFile(path, []byte(`{"crossSessionInbound":"`+want+`"}`), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if got := r.Rules(); got != (Rules{Mode: Default, Inbound: want}) {
				t.Errorf("got %+v, want %s", got, want)
			}
		}
	}
}

func TestSessionName(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	c := startChild(t, []string{"HOME=" + home}, "claude")
	dir := filepath.Join(home, ".claude", "sessions")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r := NewReader(Subject{Program: "claude-code", PID: c.Process.Pid})
	if got := r.SessionName("s1"); got != "" {
		t.Errorf("without a file: got %q", got)
	}
	path := filepath.Join(dir, strconv.Itoa(c.Process.Pid)+".json")
	if err := os.WriteFile(path, []byte(`{"pid":1,"sessionId":"s1","name":"fix the build","status":"idle"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"s1": "fix the build", "s2": ""} {
		if got := r.SessionName(id); got != want {
			t.Errorf("session %s: got %q, want %q", id, got, want)
		}
	}
}

func TestClaudeAncestor(t *testing.T) {
	t.Parallel()
	c := startChild(t, nil, "claude")
	if p, ok := ClaudeAncestor(c.Process.Pid); !ok || p.PID != c.Process.Pid {
		t.Errorf("got %+v, %v; want the process itself", p, ok)
	}
}
