package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// section is a part of the help page.
type section struct {
	title string
	verbs []verb
}

// verb is a line of the table of contents: the words that name it, as its constructor has them, and how it is made.
type verb struct {
	names []string
	make  func(*app) *cobra.Command
}

// contents lists every verb, in the order of the help page. Those of the last section are not shown.
func contents() []section {
	return []section{
		{"Start", []verb{
			{[]string{"up"}, newUp},
			{[]string{"down"}, newDown},
			{[]string{"demo"}, newDemo},
		}},
		{"Messages", []verb{
			{[]string{"send"}, newSend},
			{[]string{"inbox"}, newInbox},
			{[]string{"message"}, newMessage},
		}},
		{"Meshes and peers", []verb{
			{[]string{"peers"}, newPeers},
			{[]string{"peer"}, newPeer},
			{[]string{"whoami"}, newWhoami},
			{[]string{"list", "ls"}, newList},
			{[]string{"create", "new"}, newCreate},
			{[]string{"share", "invite"}, newShare},
			{[]string{"invites"}, newInvites},
			{[]string{"join", "add"}, newJoin},
			{[]string{"leave"}, newLeave},
		}},
		{"Daemon and broker", []verb{
			{[]string{"daemon"}, newDaemon},
			{[]string{"broker"}, newBroker},
			{[]string{"mcp"}, newMCP},
		}},
		{"Other", []verb{
			{[]string{"config"}, newConfig},
			{[]string{"completions", "completion"}, newCompletions},
			{[]string{"version"}, newVersion},
			{[]string{"help"}, newHelp},
		}},
		{"", []verb{
			{[]string{"msg-status"}, newMsgStatus},
			{[]string{"docs"}, newDocs},
		}},
	}
}

// newTree makes the verb that the arguments name, or all of them where they name none: the whole tree costs each start a
// tenth of its time (decision 0001).
func newTree(a *app) (*cobra.Command, error) {
	root := newRoot(a)
	word := firstWord(a.sys.Args)
	switch word {
	case "", "help", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
		addAll(root, a)
	default:
		v, ok := find(word)
		if !ok {
			return nil, unknown(root, word, allNames())
		}
		root.AddCommand(v.make(a))
		root.SetHelpCommand(&cobra.Command{Hidden: true, Use: "no-help"}) // cobra adds its own otherwise
	}
	root.SetArgs(append([]string{}, a.sys.Args...)) // cobra takes nil for the arguments of the process
	return root, nil
}

// fullTree is every verb.
func fullTree(a *app) *cobra.Command {
	root := newRoot(a)
	addAll(root, a)
	return root
}

func addAll(root *cobra.Command, a *app) {
	for _, s := range contents() {
		for _, v := range s.verbs {
			cmd := v.make(a)
			if cmd.Name() == "help" {
				root.SetHelpCommand(cmd)
			}
			root.AddCommand(cmd)
		}
	}
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
	case "json", "quiet", "q", "verbose", "v", "strict", "no-daemon", "yes", "y", "help", "h", "version", "V":
		return true
	}
	return false
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "claudemesh",
		Short:         "A peer mesh for AI coding sessions",
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
		PersistentPreRunE: a.begin,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknown(cmd, args[0], allNames())
		},
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeHelp(a.out, cmd) })
	root.SetFlagErrorFunc(wrongFlag)
	f := root.PersistentFlags()
	f.Var(&a.global.json, "json", "print JSON; with a list of `fields`, only those")
	f.Lookup("json").NoOptDefVal = "true"
	f.BoolVarP(&a.global.quiet, "quiet", "q", false, "print no notices and warnings")
	f.BoolVarP(&a.global.verbose, "verbose", "v", false, "say more about internal errors")
	f.BoolVar(&a.global.strict, "strict", false, "fail when the daemon does not run, instead of starting it")
	f.BoolVar(&a.global.noDaemon, "no-daemon", false, "do the work in this process; refused while a daemon runs")
	f.BoolVarP(&a.global.yes, "yes", "y", false, "answer yes to questions")
	f.BoolP("help", "h", false, "print help for the verb")
	f.BoolP("version", "V", false, "print the version of this program")
	return root
}

// unknown refuses a word that is no verb, naming the nearest.
func unknown(cmd *cobra.Command, word string, names []string) error {
	if strings.Contains(word, "://") {
		return usage(cmd, "a link is no verb; to join its mesh: claudemesh join '%s'", word)
	}
	text := fmt.Sprintf("there is no verb %q", word)
	if cmd.HasParent() {
		text += " of " + pathOf(cmd)
	}
	if near := nearest(word, names); near != "" {
		text += "; did you mean " + near + "?"
	}
	return usage(cmd, "%s", text)
}

// noun is a verb that only holds others.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usage(cmd, "%s needs one of: %s", pathOf(cmd), strings.Join(subNames(cmd), ", "))
			case args[0] == "help":
				return cmd.Help()
			}
			return unknown(cmd, args[0], subNames(cmd))
		},
	}
	cmd.AddCommand(verbs...)
	return cmd
}

func subNames(cmd *cobra.Command) []string {
	var all []string
	for _, c := range cmd.Commands() {
		all = append(all, c.Name())
	}
	return all
}

// Annotations of a verb that stands in two places: the one that the root page shows names the other, which names it.
const (
	alsoKey = "also"
	copyKey = "copy"
)

// copyOf makes the other one of a verb.
func copyOf(original string, cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{copyKey: original}
	return cmd
}

// wrongFlag says in our words what is wrong with a flag, naming the nearest.
func wrongFlag(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); len(words) > 0 && cmd.HasParent() && cmd.HasSubCommands() {
		return unknown(cmd, words[0], subNames(cmd)) // its flags cannot be known
	}
	var missing *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	var bad *pflag.InvalidValueError
	switch {
	case errors.As(err, &missing):
		return unknownFlag(cmd, missing)
	case errors.As(err, &bare):
		return usage(cmd, "--%s needs a value", bare.GetFlag().Name)
	case errors.As(err, &bad):
		return usage(cmd, "--%s: %q is wrong: %w", bad.GetFlag().Name, bad.GetValue(), plainCause(bad))
	}
	return usage(cmd, "%w", err)
}

// plainCause is why a value was refused, without the names of Go functions.
func plainCause(bad *pflag.InvalidValueError) error {
	switch bad.GetFlag().Value.Type() {
	case "int":
		return errors.New("a whole number is wanted")
	case "bool":
		return errors.New("true or false is wanted")
	case "duration":
		return errors.New("a length of time is wanted, such as 30s")
	}
	return bad.Unwrap()
}

func unknownFlag(cmd *cobra.Command, missing *pflag.NotExistError) error {
	text := "there is no flag --" + missing.GetSpecifiedName()
	if short := missing.GetSpecifiedShortnames(); short != "" {
		text = "there is no flag -" + missing.GetSpecifiedName()
	} else {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if near := nearest(missing.GetSpecifiedName(), names); near != "" {
			return usage(cmd, "%s; did you mean --%s?", text, near)
		}
	}
	if strings.Contains(cmd.Use, "...") {
		text += "; text that begins with a dash stands behind --"
	}
	return usage(cmd, "%s", text)
}

// noArgs accepts nothing but the field list of a spaced `--json a,b` (cli 2.3).
func noArgs(a *app) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 && follows(a.sys.Args, "--json", args[0]) && a.global.json.Set(args[0]) == nil {
			return nil
		}
		if len(args) > 0 {
			return usage(cmd, "%q is one word too many", args[0])
		}
		return nil
	}
}

// follows reports whether word stands right behind flag.
func follows(args []string, flag, word string) bool {
	for i := 1; i < len(args); i++ {
		if args[i-1] == flag && args[i] == word {
			return true
		}
	}
	return false
}

// exactly accepts as many words as are named.
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

// checkRange refuses a number outside its bounds, so that it is never cut in silence.
func checkRange(cmd *cobra.Command, flag string, n, least, most int) error {
	if n < least || n > most {
		return usage(cmd, "--%s takes %d to %d, not %d", flag, least, most, n)
	}
	return nil
}

// offer completes a flag with fixed words, or with what fn finds.
func offer(cmd *cobra.Command, flag string, fn cobra.CompletionFunc, words ...string) {
	if fn == nil {
		fn = cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	}
	if err := cmd.RegisterFlagCompletionFunc(flag, fn); err != nil {
		panic(mesh.Errorf(mesh.Internal, "offer words for --%s: %w", flag, err)) // no such flag: a mistake in the verb
	}
}
