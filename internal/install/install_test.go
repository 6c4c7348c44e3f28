package install

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

var update = flag.Bool("update", false, "write the golden files")

// newInstaller works in an empty home.
func newInstaller(t *testing.T) *Installer {
	t.Helper()
	root := t.TempDir()
	return &Installer{
		Places: Places{Home: filepath.Join(root, "home"), System: "linux"}, Program: `/opt/claude mesh/claudemesh`,
		State: paths.At(filepath.Join(root, "state")).Config.Install(), Skill: map[string]string{"SKILL.md": "# one\n", "more.md": "# two\n"},
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "(none)"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func client(t *testing.T, id string) []Client {
	t.Helper()
	i := slices.IndexFunc(Clients(), func(c Client) bool { return c.ID == id })
	if i < 0 {
		t.Fatalf("no client %q", id)
	}
	return Clients()[i : i+1]
}

// run installs or uninstalls and returns what was done.
func run(t *testing.T, do func() ([]Step, error)) (actions []Action) {
	t.Helper()
	steps, err := do()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		actions = append(actions, s.Action)
	}
	return actions
}

// TestEachClientInItsOwnFormat holds what is written for each program into a file that is not there, and that nothing
// is left of it afterwards.
func TestEachClientInItsOwnFormat(t *testing.T) {
	t.Parallel()
	for _, c := range Clients() {
		in := newInstaller(t)
		one := []Client{c}
		if got := run(t, func() ([]Step, error) { return in.Install(t.Context(), one, true) }); slices.ContainsFunc(got, func(a Action) bool { return a != Added }) {
			t.Errorf("%s: a dry run says %v, want all added", c.ID, got)
		}
		if _, err := os.Stat(in.Places.Home); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a dry run wrote something", c.ID)
		}
		steps, err := in.Install(t.Context(), one, false)
		if err != nil {
			t.Errorf("%s: %v", c.ID, err)
			continue
		}
		var all strings.Builder
		for _, s := range steps {
			path, _ := filepath.Rel(in.Places.Home, s.Path)
			all.WriteString("-- " + s.What + " in ~/" + path + " --\n" + read(t, s.Path))
		}
		golden := filepath.Join("testdata", c.ID+".golden")
		if *update {
			write(t, golden, all.String())
		}
		if diff := cmp.Diff(read(t, golden), all.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.ID, diff)
		}
		if got := run(t, func() ([]Step, error) { return in.Install(t.Context(), one, false) }); slices.ContainsFunc(got, func(a Action) bool { return a != Unchanged }) {
			t.Errorf("%s: installing twice says %v, want all unchanged", c.ID, got)
		}
		if got := run(t, func() ([]Step, error) { return in.Uninstall(t.Context(), one, false) }); slices.ContainsFunc(got, func(a Action) bool { return a != Removed }) {
			t.Errorf("%s: uninstalling says %v, want all removed", c.ID, got)
		}
		for _, s := range steps {
			if got := read(t, s.Path); got != "(none)" {
				t.Errorf("%s: %s is left with %q", c.ID, s.Path, got)
			}
		}
		if got := run(t, func() ([]Step, error) { return in.Uninstall(t.Context(), one, false) }); slices.ContainsFunc(got, func(a Action) bool { return a != Absent }) {
			t.Errorf("%s: uninstalling twice says %v, want all absent", c.ID, got)
		}
	}
}

// theirs is a file in a style that no encoder writes.
const theirs = "{\"numStartups\":3,\n\n   \"mcpServers\" : { \"other\": {\"command\":\"x\"} },\n   \"z\": [1,2 ,3]   }"

func TestUninstallRestoresEachByte(t *testing.T) {
	t.Parallel()
	for _, text := range []string{theirs, "{}", "{\n}\n", "", "{\"mcpServers\":{}}", "{ // c\n}"} {
		in := newInstaller(t)
		path := in.Places.claudeFile()
		write(t, path, text)
		for range 2 {
			if _, err := in.Install(t.Context(), client(t, "claude"), false); err != nil {
				t.Fatal(err)
			}
		}
		in.Program = "/elsewhere/claudemesh"
		if got := run(t, func() ([]Step, error) { return in.Install(t.Context(), client(t, "claude"), false) }); got[0] != Updated {
			t.Errorf("installing another program says %v, want %s", got, Updated)
		}
		if !strings.Contains(read(t, path), in.Program) {
			t.Errorf("the program is not in %q", read(t, path))
		}
		if _, err := in.Uninstall(t.Context(), client(t, "claude"), false); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text, read(t, path)); diff != "" {
			t.Errorf("restored (-want +got):\n%s", diff)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("the file's mode is %v, %v, want it kept", info.Mode(), err)
		}
	}
}

// TestUninstallKeepsWhatOthersChanged holds that a file which its program has written since loses our part alone.
func TestUninstallKeepsWhatOthersChanged(t *testing.T) {
	t.Parallel()
	in := newInstaller(t)
	path := in.Places.claudeFile()
	write(t, path, "{\n  \"numStartups\": 3\n}\n")
	if _, err := in.Install(t.Context(), client(t, "claude"), false); err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.Replace(read(t, path), "3", "4", 1))
	if _, err := in.Install(t.Context(), client(t, "claude"), false); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Uninstall(t.Context(), client(t, "claude"), false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("{\n  \"numStartups\": 4\n}\n", read(t, path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOneBadFileChangesNothing(t *testing.T) {
	t.Parallel()
	in := newInstaller(t)
	bad := filepath.Join(in.Places.Home, ".cursor", "mcp.json")
	write(t, bad, `{"mcpServers":`)
	clients := append(client(t, "claude"), client(t, "cursor")...)
	_, err := in.Install(t.Context(), clients, false)
	if !mesh.IsCode(err, mesh.ConfigUnreadable) || !strings.Contains(err.Error(), bad) {
		t.Errorf("got %v, want %s with the path", err, mesh.ConfigUnreadable)
	}
	if got := read(t, in.Places.claudeFile()); got != "(none)" {
		t.Errorf("the other program was told: %s", got)
	}
}

// TestLinksAreFollowed holds that a link to a file of settings stays one, and is told of.
func TestLinksAreFollowed(t *testing.T) {
	t.Parallel()
	in := newInstaller(t)
	link, target := in.Places.claudeFile(), filepath.Join(in.Places.Home, "dotfiles", "claude.json")
	write(t, target, "{}\n")
	if err := os.Symlink(target, link); err != nil {
		t.Skip(err)
	}
	steps, err := in.Install(t.Context(), client(t, "claude"), false)
	if err != nil {
		t.Fatal(err)
	}
	target, _ = filepath.EvalSymlinks(target)
	if steps[0].Path != target || steps[0].Link != link {
		t.Errorf("got %+v, want the link and where it leads", steps[0])
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	if !strings.Contains(read(t, target), "claudemesh") {
		t.Errorf("the target was not written: %s", read(t, target))
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Install(t.Context(), client(t, "claude"), false); err == nil {
		t.Error("a link that leads nowhere was written through, want an error")
	}
}

func TestInUse(t *testing.T) {
	t.Parallel()
	in := newInstaller(t)
	for _, c := range Clients() {
		if c.InUse(in.Places) {
			t.Errorf("%s is in use in an empty home", c.ID)
		}
	}
	for id, path := range map[string]string{
		"claude": ".claude.json", "codex": ".codex/config.toml", "gemini": ".gemini/x", "opencode": ".config/opencode/x",
		"cursor": ".cursor/x", "vscode": ".config/Code/User/x", "copilot": ".copilot/x",
	} {
		write(t, filepath.Join(in.Places.Home, path), "")
		if !client(t, id)[0].InUse(in.Places) {
			t.Errorf("%s is not found by %s", id, path)
		}
	}
	in = newInstaller(t)
	bin := t.TempDir()
	write(t, filepath.Join(bin, "codex"), "")
	in.Places.Path = t.TempDir() + string(filepath.ListSeparator) + bin
	if client(t, "codex")[0].InUse(in.Places) {
		t.Error("a file that cannot be run is taken for the program")
	}
	if err := os.Chmod(filepath.Join(bin, "codex"), 0o755); err != nil {
		t.Fatal(err)
	}
	if !client(t, "codex")[0].InUse(in.Places) {
		t.Error("a program on PATH is not found")
	}
}

// TestSkillComesAndGoes holds that a skill of another version is replaced whole, that somebody else's is given back, and
// that no folder is left.
func TestSkillComesAndGoes(t *testing.T) {
	t.Parallel()
	in := newInstaller(t)
	claude := client(t, "claude")
	folder := in.Places.skillFolder()
	if _, err := in.Install(t.Context(), claude, false); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "SKILL.md"), "# edited by the user\n")
	in.Skill = map[string]string{"SKILL.md": "# new\n", "other.md": "# three\n"}
	if got := run(t, func() ([]Step, error) { return in.Install(t.Context(), claude, false) }); !slices.Equal(got, []Action{Unchanged, Unchanged, Unchanged, Updated, Added, Removed}) {
		t.Errorf("a newer version says %v", got)
	}
	if got := read(t, filepath.Join(folder, "SKILL.md")) + read(t, filepath.Join(folder, "more.md")); got != "# new\n(none)" {
		t.Errorf("the skill is %q", got)
	}
	in.Skill = nil
	if _, err := in.Uninstall(t.Context(), claude, false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(in.Places.claude()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("folders are left: %v", err)
	}

	in = newInstaller(t)
	in.Skip = []string{Skill}
	theirs := filepath.Join(in.Places.skillFolder(), "SKILL.md")
	write(t, theirs, "# of another program\n")
	for _, skip := range [][]string{{Skill}, nil} {
		in.Skip = skip
		if _, err := in.Install(t.Context(), claude, false); err != nil {
			t.Fatal(err)
		}
		if got, want := read(t, theirs) == "# one\n", skip == nil; got != want {
			t.Errorf("with %v skipped the skill is ours: %v, want %v", skip, got, want)
		}
	}
	if _, err := in.Uninstall(t.Context(), claude, false); err != nil {
		t.Fatal(err)
	}
	if got := read(t, theirs); got != "# of another program\n" {
		t.Errorf("their skill is %q", got)
	}
}

// TestHooksOfOthersStay holds that ours stand behind those of others, replace those of older versions, and go alone.
func TestHooksOfOthersStay(t *testing.T) {
	t.Parallel()
	in := newInstaller(t)
	path := filepath.Join(in.Places.claude(), "settings.json")
	const theirs = `{
  "model": "opus", // mine
  "hooks": {
    "Stop": [
      {"hooks": [{"type": "command", "command": "claudemesh hook idle"}]},
      {"hooks": [{"type": "command", "command": "say done"}, {"type": "command", "command": "claudemesh hook idle"}]}
    ]
  }
}
`
	write(t, path, theirs)
	for range 2 {
		if _, err := in.Install(t.Context(), client(t, "claude"), false); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, path)
	if strings.Count(got, "claudemesh' hook Stop") != 1 || strings.Count(got, "claudemesh hook idle") != 1 || !strings.Contains(got, "say done") || !strings.Contains(got, "// mine") {
		t.Errorf("the hooks are\n%s", got)
	}
	write(t, path, strings.Replace(got, "opus", "haiku", 1))
	if _, err := in.Uninstall(t.Context(), client(t, "claude"), false); err != nil {
		t.Fatal(err)
	}
	want := `{
  "model": "haiku", // mine
  "hooks": {
    "Stop": [
      {"hooks": [{"type": "command", "command": "say done"}, {"type": "command", "command": "claudemesh hook idle"}]}
    ]
  }
}
`
	if diff := cmp.Diff(want, read(t, path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestStatusLine: ours is put in where there is none, follows the program when it moves, and goes; one of somebody else stays
// as it is.
func TestStatusLine(t *testing.T) {
	t.Parallel()
	claude := client(t, "claude")
	in := newInstaller(t)
	path := filepath.Join(in.Places.claude(), "settings.json")
	const before = "{\n  \"model\": \"opus\"\n}\n"
	write(t, path, before)
	actions := func(do func(*Installer) ([]Step, error)) (of Action) {
		t.Helper()
		steps, err := do(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if s.What == StatusLine {
				of = s.Action
			}
		}
		return of
	}
	install := func(in *Installer) ([]Step, error) { return in.Install(t.Context(), claude, false) }
	uninstall := func(in *Installer) ([]Step, error) { return in.Uninstall(t.Context(), claude, false) }
	in.Skip = []string{StatusLine}
	if got := actions(install); got != "" || strings.Contains(read(t, path), "status-line") {
		t.Errorf("not asked for: got %q, want none", got)
	}
	in.Skip = nil
	if got := actions(install); got != Added || !strings.Contains(read(t, path), `"command": "'/opt/claude mesh/claudemesh' status-line"`) {
		t.Errorf("asked for: got %q and %s", got, read(t, path))
	}
	in.Skip, in.Program = []string{StatusLine}, "/elsewhere/claudemesh"
	if got := actions(install); got != Updated || !strings.Contains(read(t, path), `"command": "/elsewhere/claudemesh status-line"`) {
		t.Errorf("moved: got %q and %s", got, read(t, path))
	}
	if got := actions(uninstall); got != Removed || read(t, path) != before {
		t.Errorf("uninstalled: got %q and %q, want what it was", got, read(t, path))
	}

	const theirs = `{"statusLine":{"type":"command","command":"claudemesh-status"}}`
	write(t, path, theirs)
	in.Skip = nil
	if got := actions(install); got != Kept || !strings.Contains(read(t, path), theirs[1:len(theirs)-1]) {
		t.Errorf("another one there: got %q and %s, want it kept", got, read(t, path))
	}
	write(t, path, strings.Replace(read(t, path), "claudemesh-status", "another", 1))
	if got := actions(uninstall); got != Absent || read(t, path) != strings.Replace(theirs, "claudemesh-status", "another", 1) {
		t.Errorf("uninstalled beside another one: got %q and %s", got, read(t, path))
	}
}

// TestCLILesson237NoPermissionIsAdded: whatever is put in, nothing allows a tool or a command.
func TestCLILesson237NoPermissionIsAdded(t *testing.T) {
	t.Parallel()
	in := newInstaller(t)
	steps, err := in.Install(t.Context(), Clients(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		text := strings.ReplaceAll(strings.ToLower(read(t, s.Path)), "permissionrequest", "") // the hook that hears of one
		for _, word := range []string{"allow", "permission", "trust", "approv", "bypass"} {
			if strings.Contains(text, word) {
				t.Errorf("%s has %q:\n%s", s.Path, word, read(t, s.Path))
			}
		}
	}
}
