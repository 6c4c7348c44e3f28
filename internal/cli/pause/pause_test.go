package pause_test

import (
	"os"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestMain(m *testing.M) { os.Exit(clitest.Main(m)) }

func TestPause(t *testing.T) {
	t.Parallel()
	nothing := localapi.PausesAnswer{Paused: []localapi.Pause{}, Muted: []localapi.Pause{}, Changed: []localapi.Pause{}}
	ops := localapi.PausesAnswer{Changed: []localapi.Pause{{Mesh: "team", Group: "@ops"}}}
	clitest.Verbs(t, cli.Run, "pause", []clitest.Line{
		{Args: "pause"},
		{Args: "pause --peer bob --mesh team"},
		{Args: "pause --mesh team --json", Given: clitest.Answer(localapi.PauseBegin.Route, nothing)},
		{Args: "pause --mesh team", Given: clitest.Answer(localapi.PauseBegin.Route, nothing)},
		{Args: "pause --peer nobody", Given: clitest.Answer(localapi.PauseBegin.Route, mesh.Errorf(mesh.TargetNotFound, "no key of %q was ever met", "nobody"))},
		{Args: "pause --list"},
		{Args: "pause --list --json=paused"},
		{Args: "pause --list", Given: clitest.Answer(localapi.Pauses.Route, nothing)},
		{Args: "pause --list --peer bob"},
		{Args: "pause bob"},
		{Args: "resume"},
		{Args: "resume --peer bob --mesh team --json"},
		{Args: "resume", Given: clitest.Answer(localapi.PauseEnd.Route, nothing)},
		{Args: "resume --peer bob", Given: clitest.Answer(localapi.PauseEnd.Route, mesh.Errorf(mesh.NotFound, "that is not paused"))},
		{Args: "mute bob"},
		{Args: "mute bob --mesh team --json"},
		{Args: "mute @ops", Given: clitest.Answer(localapi.PauseBegin.Route, ops)},
		{Args: "mute @ops", Given: clitest.Answer(localapi.PauseBegin.Route, nothing)},
		{Args: "mute nobody", Given: clitest.Answer(localapi.PauseBegin.Route, mesh.Errorf(mesh.TargetNotFound, "no key of %q was ever met", "nobody"))},
		{Args: "mute --list"},
		{Args: "mute --list --json"},
		{Args: "mute --list", Given: clitest.Answer(localapi.Pauses.Route, nothing)},
		{Args: "mute --list bob"},
		{Args: "mute"},
		{Args: "mute bob carol"},
		{Args: "unmute bob"},
		{Args: "unmute @ops --mesh team --json"},
		{Args: "unmute"},
		{Args: "unmute bob", Given: clitest.Answer(localapi.PauseEnd.Route, mesh.Errorf(mesh.NotFound, "that is not muted"))},
		{Args: "unmute bob", Given: clitest.Inside(t)},
		{Args: "resume", Given: clitest.Inside(t)},
		{Args: "resume", Given: clitest.Answer(localapi.PauseEnd.Route, mesh.Errorf(mesh.HumanOnly, "this is for the human outside the session"))},
	})
}
