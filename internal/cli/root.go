package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/approval"
	"github.com/claudemesh/claudemesh/internal/cli/doctor"
	"github.com/claudemesh/claudemesh/internal/cli/grant"
	"github.com/claudemesh/claudemesh/internal/cli/group"
	"github.com/claudemesh/claudemesh/internal/cli/guard"
	"github.com/claudemesh/claudemesh/internal/cli/launch"
	"github.com/claudemesh/claudemesh/internal/cli/machine"
	"github.com/claudemesh/claudemesh/internal/cli/membership"
	"github.com/claudemesh/claudemesh/internal/cli/message"
	"github.com/claudemesh/claudemesh/internal/cli/moderation"
	"github.com/claudemesh/claudemesh/internal/cli/pause"
	"github.com/claudemesh/claudemesh/internal/cli/peer"
	"github.com/claudemesh/claudemesh/internal/cli/presence"
	"github.com/claudemesh/claudemesh/internal/cli/selftest"
	"github.com/claudemesh/claudemesh/internal/cli/setup"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/statusline"
	"github.com/claudemesh/claudemesh/internal/cli/trust"
	"github.com/claudemesh/claudemesh/internal/cli/upgrade"
	"github.com/claudemesh/claudemesh/internal/policy"
)

// section is a part of the help page.
type section struct {
	title string
	verbs []verb
}

// verb is a line of the table of contents: the words that name it, as its constructor has them, and how it is made.
type verb struct {
	names []string
	make  func(*shell.App) *cobra.Command
}

// contents lists every verb, in the order of the help page. Those of the last section are not shown.
func contents() []section {
	return []section{
		{"Start", []verb{
			{[]string{"up"}, machine.NewUp},
			{[]string{"down"}, machine.NewDown},
			{[]string{"install"}, newInstall},
			{[]string{"uninstall"}, newUninstall},
			{[]string{"demo"}, machine.NewDemo},
		}},
		{"Sessions", []verb{
			{[]string{"launch", "connect"}, newLaunch},
			{[]string{"workspace"}, newWorkspace},
		}},
		{"Messages", []verb{
			{[]string{"send"}, message.NewSend},
			{[]string{"inbox"}, message.NewInbox},
			{[]string{"message"}, message.New},
		}},
		{"Meshes and peers", []verb{
			{[]string{"peers"}, peer.NewPeers},
			{[]string{"peer"}, newPeer},
			{[]string{"group", "groups"}, group.New},
			{[]string{"whoami"}, peer.NewWhoami},
			{[]string{"me"}, presence.NewMe},
			{[]string{"verify"}, peer.NewVerify},
			{[]string{"trust"}, trust.New},
			{[]string{"status"}, presence.NewStatus},
			{[]string{"summary"}, presence.NewSummary},
			{[]string{"visible"}, presence.NewVisible},
			{[]string{"profile"}, presence.NewProfile},
			{[]string{"list", "ls"}, membership.NewList},
			{[]string{"create", "new"}, membership.NewCreate},
			{[]string{"share", "invite"}, membership.NewShare},
			{[]string{"invites"}, membership.NewInvites},
			{[]string{"join", "add"}, membership.NewJoin},
			{[]string{"leave"}, membership.NewLeave},
			{[]string{"info"}, presence.NewInfo},
			{[]string{"stats"}, presence.NewStats},
			{[]string{"ping"}, presence.NewPing},
			{[]string{"rename"}, membership.NewRename},
			{[]string{"delete", "rm"}, membership.NewDelete},
			{[]string{"members"}, membership.NewMembers},
			{[]string{"member"}, membership.NewMember},
		}},
		{"Who may what", powers()},
		{"Daemon and broker", []verb{
			{[]string{"daemon"}, machine.NewDaemon},
			{[]string{"broker"}, machine.NewBroker},
			{[]string{"mcp"}, machine.NewMCP},
		}},
		{"Other", others()},
		{"", []verb{
			{[]string{"msg-status"}, message.NewMsgStatus},
			{[]string{"hook"}, launch.NewHook},
			{[]string{"docs"}, newDocs},
			{[]string{"plugin"}, newPlugin},
		}},
	}
}

// others are the verbs about this program and the files of others.
func others() []verb {
	return []verb{
		{[]string{"doctor"}, newDoctor},
		{[]string{"test"}, selftest.New},
		{[]string{"skill"}, newSkill},
		{[]string{"config"}, machine.NewConfig},
		{[]string{"completions", "completion"}, newCompletions},
		{[]string{"status-line"}, statusline.New},
		{[]string{"upgrade", "update"}, upgrade.New},
		{[]string{"man"}, newMan},
		{[]string{"url-handler"}, setup.NewURLHandler},
		{[]string{"version"}, newVersion},
		{[]string{"help"}, newHelp},
	}
}

// powers are the verbs about what others may do.
func powers() []verb {
	return []verb{
		{[]string{"grant"}, grant.NewGrant},
		{[]string{"revoke"}, grant.NewRevoke},
		{[]string{"block"}, grant.NewBlock},
		{[]string{"unblock"}, grant.NewUnblock},
		{[]string{"grants"}, grant.NewGrants},
		{[]string{"pause"}, pause.NewPause},
		{[]string{"resume"}, pause.NewResume},
		{[]string{"mute"}, pause.NewMute},
		{[]string{"unmute"}, pause.NewUnmute},
		{[]string{"kick"}, moderation.NewKick},
		{[]string{"disconnect"}, moderation.NewDisconnect},
		{[]string{"ban"}, moderation.NewBan},
		{[]string{"unban"}, moderation.NewUnban},
		{[]string{"bans"}, moderation.NewBans},
		{[]string{"approvals"}, approval.New},
		{[]string{"policy"}, guard.NewPolicy},
		{[]string{"audit"}, guard.NewAudit},
	}
}

// newInstall is the verb install, which gives the skill to who can use it.
func newInstall(a *shell.App) *cobra.Command {
	return setup.NewInstall(a, func() map[string]string { return skillFiles(fullTree(a)) }, machine.PutUnit)
}

// newDoctor is the verb doctor.
func newDoctor(a *shell.App) *cobra.Command {
	return doctor.New(a, func() map[string]string { return skillFiles(fullTree(a)) }, machine.PutUnit)
}

func newUninstall(a *shell.App) *cobra.Command {
	return setup.NewUninstall(a, machine.DropUnit, machine.StopAll)
}

// newPeer is the noun peer: who is there, and who is not to be.
func newPeer(a *shell.App) *cobra.Command {
	cmd := peer.New(a)
	cmd.AddCommand(moderation.Under(a)...)
	return cmd
}

// newTree makes the verb that the arguments name, or all of them where they name none: the whole tree costs each start a
// tenth of its time (decision 0001).
func newTree(a *shell.App) (*cobra.Command, error) {
	root := newRoot(a)
	args := append([]string{}, a.Sys.Args...) // cobra takes nil for the arguments of the process
	args, word := bareCall(a, args)
	switch word {
	case "", "help", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
		addAll(root, a)
	default:
		v, ok := find(word)
		if !ok {
			return nil, shell.Unknown(root, word, allNames())
		}
		root.AddCommand(v.make(a))
		root.SetHelpCommand(&cobra.Command{Hidden: true, Use: "no-help"}) // cobra adds its own otherwise
	}
	root.SetArgs(args)
	return root, nil
}

// fullTree is every verb.
func fullTree(a *shell.App) *cobra.Command {
	root := newRoot(a)
	addAll(root, a)
	return root
}

func addAll(root *cobra.Command, a *shell.App) {
	for _, s := range contents() {
		for _, v := range s.verbs {
			cmd := v.make(a)
			if cmd.Name() == "help" {
				root.SetHelpCommand(cmd)
			}
			root.AddCommand(cmd)
		}
	}
	offerNoFiles(root)
	shell.OfferWords(root, "approval-mode", policy.Modes()...)
}

func find(word string) (verb, bool) {
	for _, s := range contents() {
		for _, v := range s.verbs {
			if slices.Contains(v.names, word) {
				return v, true
			}
		}
	}
	return verb{}, false
}

// allNames lists the words that begin a command line.
func allNames() []string {
	var all []string
	for _, s := range contents() {
		for _, v := range s.verbs {
			if s.title != "" {
				all = append(all, v.names...)
			}
		}
	}
	return all
}

// firstWord is the word that names the verb, found as cobra finds it: flags before it that are not known to be switches
// take the word behind them.
func firstWord(args []string) string {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return ""
		case arg == "" || strings.Contains(arg, "=") && arg[0] == '-':
		case arg[0] != '-':
			return arg
		case strings.HasPrefix(arg, "--") && !isSwitch(arg[2:]), len(arg) == 2 && !isSwitch(arg[1:]):
			i++
		}
	}
	return ""
}

// isSwitch reports whether a flag of every verb takes no word behind it.
func isSwitch(name string) bool {
	switch name {
	case "json", "quiet", "q", "verbose", "v", "strict", "no-daemon", "yes", "y", "help", "h", "version", "V", "continue", "c":
		return true
	}
	return false
}

func newRoot(a *shell.App) *cobra.Command {
	root := &cobra.Command{
		Use:           "claudemesh",
		Short:         "A peer mesh for AI coding sessions",
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
		PersistentPreRunE: a.Begin,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return shell.Unknown(cmd, args[0], allNames())
		},
	}
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeHelp(a.Out, cmd) })
	root.SetFlagErrorFunc(shell.WrongFlag)
	f := root.PersistentFlags()
	f.Var(&a.Flags.JSON, "json", "print JSON; with a list of `fields`, only those")
	f.Lookup("json").NoOptDefVal = "true"
	f.BoolVarP(&a.Flags.Quiet, "quiet", "q", false, "print no notices and warnings")
	f.BoolVarP(&a.Flags.Verbose, "verbose", "v", false, "say more about internal errors")
	f.BoolVar(&a.Flags.Strict, "strict", false, "fail when the daemon does not run, instead of starting it")
	f.BoolVar(&a.Flags.NoDaemon, "no-daemon", false, "do the work in this process; refused while a daemon runs")
	f.BoolVarP(&a.Flags.Yes, "yes", "y", false, "answer yes to questions")
	f.StringVar(&a.Flags.Mode, "approval-mode", "", "plan, read-only, write or yolo: what this `mode` lets the verb do")
	f.StringVar(&a.Flags.Policy, "policy", "", "ask this `file`, too, what verbs may do")
	f.BoolP("help", "h", false, "print help for the verb")
	f.BoolP("version", "V", false, "print the version of this program")
	return root
}
