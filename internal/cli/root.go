package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// The groups of the help page, in its order.
const (
	groupStart   = "start"
	groupMessage = "message"
	groupMesh    = "mesh"
	groupDaemon  = "daemon"
	groupOther   = "other"
)

// newRoot lists every verb. The order is that of the help page.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "claudemesh",
		Short: "A peer mesh for AI coding sessions",
		Long: "claudemesh connects AI coding sessions: each has a name, a key and a presence, and they send each other\n" +
			"end-to-end encrypted messages across terminals, machines and people.",
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknown(cmd, args[0])
		},
	}
	root.AddGroup(
		&cobra.Group{ID: groupStart, Title: "Start"},
		&cobra.Group{ID: groupMessage, Title: "Messages"},
		&cobra.Group{ID: groupMesh, Title: "Meshes and peers"},
		&cobra.Group{ID: groupDaemon, Title: "Daemon and broker"},
		&cobra.Group{ID: groupOther, Title: "Other"},
	)
	root.SetHelpCommandGroupID(groupOther)
	root.SetCompletionCommandGroupID(groupOther)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, "%s", err) })
	a.globalFlags(root)
	add(root, groupStart, newUp(a), newDown(a), newDemo(a))
	add(root, groupMessage, newSend(a), newInbox(a), newMessage(a), newMessageStatus(a, "msg-status <id>", true))
	add(root, groupMesh, newCreate(a), newShare(a), newJoin(a), newLeave(a), newList(a), newInvites(a), newPeers(a), newPeer(a), newWhoami(a))
	add(root, groupDaemon, newDaemon(a), newBroker(a), newMCP(a))
	add(root, groupOther, newConfig(a), newVersion(a), newDocs(a, root))
	root.Version = "-" // makes cobra add the flag; newVersion prints
	root.SetVersionTemplate(versionLine())
	return root
}

func add(root *cobra.Command, group string, verbs ...*cobra.Command) {
	for _, v := range verbs {
		v.GroupID = group
		root.AddCommand(v)
	}
}

func (a *app) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&a.global.json, "json", "", "print JSON; `fields` keeps only those of a list, as in --json=name,status")
	f.Lookup("json").NoOptDefVal = allFields
	f.StringVar(&a.global.mesh, "mesh", "", "the mesh, by its short `name`")
	f.BoolVarP(&a.global.quiet, "quiet", "q", false, "print no notices")
	f.BoolVarP(&a.global.verbose, "verbose", "v", false, "say more about errors")
	f.BoolVar(&a.global.strict, "strict", false, "fail when the daemon does not run, instead of starting it")
	f.BoolVar(&a.global.noDaemon, "no-daemon", false, "do the work in this process; refused while a daemon runs")
	f.BoolVarP(&a.global.yes, "yes", "y", false, "answer yes to questions")
}

// unknown refuses a word that is no verb, naming the nearest.
func unknown(cmd *cobra.Command, word string) error {
	near := cmd.SuggestionsFor(word)
	if len(near) == 0 {
		return mesh.Errorf(mesh.Usage, "%q is not a verb of %s", word, cmd.CommandPath())
	}
	return mesh.Errorf(mesh.Usage, "%q is not a verb of %s; did you mean %s?", word, cmd.CommandPath(), strings.Join(near, ", "))
}

// noun is a verb that only holds others.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, "%s needs one of: %s", cmd.CommandPath(), names(cmd))
			}
			return unknown(cmd, args[0])
		},
	}
	cmd.AddCommand(verbs...)
	return cmd
}

func names(cmd *cobra.Command) string {
	var all []string
	for _, c := range cmd.Commands() {
		all = append(all, c.Name())
	}
	return strings.Join(all, ", ")
}

// noArgs accepts nothing but the field list of a spaced `--json a,b` (cli 2.3).
func (a *app) noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && a.global.json == allFields && fieldList(args[0]) {
		a.global.json = args[0]
		return nil
	}
	if len(args) > 0 {
		return usage(cmd, "%q is one word too many", args[0])
	}
	return nil
}

// exactly accepts n words, named for the error.
func exactly(what ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(what):
			return usage(cmd, "%s is missing", what[len(args)])
		case len(args) > len(what):
			return usage(cmd, "%q is one word too many", args[len(what)])
		}
		return nil
	}
}
