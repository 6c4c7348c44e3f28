package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/launch"
	"github.com/claudemesh/claudemesh/internal/cli/machine"
	"github.com/claudemesh/claudemesh/internal/cli/membership"
	"github.com/claudemesh/claudemesh/internal/cli/presence"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
)

// launchParts are what launch does with the verbs of other nouns.
func launchParts() launch.Parts { return launch.Parts{SetUp: machine.SetUp} }

func newLaunch(a *shell.App) *cobra.Command { return launch.New(a, launchParts()) }

// newWorkspace is the noun workspace: another word for mesh, with the verbs about it (cli 14). Alone it launches.
func newWorkspace(a *shell.App) *cobra.Command {
	cmd := launch.NewBare(a, launchParts())
	cmd.AddCommand(launch.NewUnder(a, launchParts()),
		shell.CopyOf("list", membership.NewList(a)), shell.CopyOf("info", presence.NewInfo(a)), shell.CopyOf("create", membership.NewCreate(a)),
		shell.CopyOf("join", membership.NewJoin(a)), shell.CopyOf("delete", membership.NewDelete(a)), shell.CopyOf("rename", membership.NewRename(a)),
		shell.CopyOf("share", membership.NewShare(a)), shell.CopyOf("me", presence.NewOverview(a)))
	return cmd
}

// bareCall gives a command line that begins with a verb where its user left it out (cli 12): on a terminal Claude Code is to be
// launched, and where a link stands, after joining its mesh. Without a terminal a link is joined, and nothing at all gets the
// help page, unless a flag says that something is to be launched.
func bareCall(a *shell.App, args []string) (line []string, word string) {
	word = firstWord(args)
	terminal := a.Out.TTY && a.Err.TTY
	switch {
	case has(args, "-h", "--help"):
	case word == "" && (terminal || has(args, "--", "--name", "--join") || has(args, launchOnly()...)):
		return slices.Insert(args, 0, "launch"), "launch"
	case !shell.IsInvite(word):
	case has(args, "--broker") || !terminal && !has(args, launchOnly()...):
		return slices.Insert(args, slices.Index(args, word), "join"), "join"
	default:
		at := slices.Index(args, word)
		return slices.Concat([]string{"launch"}, args[:at], []string{"--join", word}, args[at+1:]), "launch"
	}
	return args, word
}

// launchOnly are words of launch that join does not take.
func launchOnly() []string {
	return []string{
		"--", "--role", "--groups", "--message-mode", "--system-prompt", "--resume", "-r", "--continue", "-c", "--mesh", "--accept-from",
	}
}

// has reports whether one of the words stands on a command line, with a value behind = or not.
func has(args []string, words ...string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		if arg != "--" {
			arg, _, _ = strings.Cut(arg, "=")
		}
		return slices.Contains(words, arg)
	})
}
