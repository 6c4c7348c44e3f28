package launch_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

// with makes a terminal outside every session, with Claude Code in a usual place, and changes it further.
func with(t *testing.T, change ...func(*clitest.World)) func(*clitest.World) {
	return func(w *clitest.World) {
		bin := filepath.Join(w.Root, ".local", "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(bin, "claude"), nil, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, c := range change {
			c(w)
		}
	}
}

func TestLaunch(t *testing.T) {
	t.Parallel()
	env := func(name, value string) func(*clitest.World) {
		return func(w *clitest.World) { w.Env[name] = value }
	}
	told := func(w *clitest.World) {
		if err := os.WriteFile(filepath.Join(w.Root, ".claude.json"), []byte(`{"mcpServers":{"claudemesh":{"command":"x"}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	clitest.Verbs(t, cli.Run, "launch", []clitest.Line{
		{Args: "launch -- -p hi", Given: with(t, clitest.OneMesh)},
		{Args: "launch -y -- -p hi", Given: with(t, told)},
		{Args: "launch -- -p hi", Given: with(t)},
		{Args: "launch", Given: with(t)},
		{Args: "connect team --name api --role reviewer --groups backend:lead,@ops --message-mode inbox --system-prompt be␣brief --resume 5f --continue -- -p --name Y --version", Given: with(t, told, env("CLAUDEMESH_ROLE", "other"))},
		{Args: "launch --quiet --yes -- -p hi", Given: with(t, told, env("CLAUDEMESH_ROLE", "other"), env("CLAUDEMESH_DISPLAY_NAME", "kept"))},
		{Args: "launch --join https://mesh.example/i/Code#own -- -p hi", Given: with(t, told)},
		{Args: "launch --join https://mesh.example/i/Code#own -- -p hi"},
		{Args: "launch -r 5f -c --mesh team -- -p hi", Given: with(t, told)},
		{Args: "launch team --accept-from @self,ben -- -p hi --permission-mode bypassPermissions", Given: with(t, told)},
		{Args: "launch team --accept-from bne -- -p hi", Given: with(t, told, clitest.Answer(localapi.SessionLaunch.Route, mesh.Errorf(mesh.TargetNotFound, `no key of "bne" was ever met`)))},
		{Args: "launch team --accept-from= -- -p hi", Given: with(t, told)},
		{Args: "launch nowhere -- -p hi", Given: with(t)},
		{Args: "launch one two"},
		{Args: "launch team --join https://mesh.example/i/Code"},
		{Args: "launch --name all"},
		{Args: "launch --groups a//b"},
		{Args: "launch --message-mode loud"},
		{Args: "launch -- -p hi", Given: with(t, clitest.Answer(localapi.Meshes.Route, localapi.MeshesAnswer{}))},
		{Args: "launch -- -p hi", Given: with(t, clitest.Answer(localapi.Meshes.Route, mesh.Errorf(mesh.Internal, "no luck")))},
		{Args: "launch -- -p hi", Given: with(t, env("CLAUDE_BIN", "/nowhere/claude"))},
		{Args: "launch -- -p hi"},
		{Args: "launch -- -p hi", Given: env("CLAUDECODE", "1")},
		{Args: "launch -- -p hi", Given: clitest.Inside(t)},
	})
}
