package cli

import (
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
)

func newHelp(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use:   "help [verb...]",
		Short: "Print help for a verb",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := verbAt(cmd.Root(), args)
			if err != nil {
				return err
			}
			writeHelp(a.Out.Plainly(), at) // this verb never paints (cli 11)
			return nil
		},
		ValidArgsFunction: completeVerbs,
	}
}

// writeHelp writes the page of a verb, or the root page.
func writeHelp(s term.Stream, cmd *cobra.Command) {
	if !cmd.HasParent() {
		writeRootHelp(s, cmd)
		return
	}
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	s.Blank()
	for _, line := range term.Wrap(text, term.Columns-4) {
		if line == "" {
			s.Blank()
			continue
		}
		s.Line("%s", line)
	}
	title(s, "Usage")
	s.Line("%s", s.Paint(term.Cyan, shell.UseLine(cmd)))
	if also := otherForms(cmd); len(also) > 0 {
		for _, line := range term.Wrap("also: "+strings.Join(also, ", "), term.Columns-4) {
			s.Line("%s", s.Paint(term.Dim, line))
		}
	}
	if rows := verbRows(cmd); len(rows) > 0 {
		title(s, "Verbs")
		writeRows(s, rows)
	}
	if cmd.Example != "" {
		title(s, "Examples")
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			s.Line("%s", line)
		}
	}
	if rows := flagRows(cmd.NonInheritedFlags()); len(rows) > 0 {
		title(s, "Flags")
		writeRows(s, rows)
	}
	s.Blank()
	s.Line("%s", s.Paint(term.Dim, "Every verb takes --json, -q, -v, -y, --strict, --no-daemon: claudemesh --help"))
}

// writeRootHelp writes the page of the program (cli 11).
func writeRootHelp(s term.Stream, root *cobra.Command) {
	s.Blank()
	s.Line("%s %s %s", s.Paint(term.Orange, "claudemesh"), s.Paint(term.Dim, "v"+trimV(buildinfo.Version())), "— a peer mesh for AI coding sessions")
	title(s, "Usage")
	for _, form := range []string{"claudemesh <verb> [words] [flags]", "claudemesh <verb> --help", "claudemesh --version"} {
		s.Line("%s", s.Paint(term.Cyan, form))
	}
	for _, sec := range contents() {
		if sec.title == "" {
			continue
		}
		var rows []helpRow
		for _, v := range sec.verbs {
			i := slices.IndexFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == v.names[0] })
			if i >= 0 {
				rows = append(rows, leafRows(root.Commands()[i])...)
			}
		}
		title(s, sec.title)
		writeRows(s, rows)
	}
	title(s, "Flags of every verb")
	writeRows(s, flagRows(root.PersistentFlags()))
}

func title(s term.Stream, text string) {
	s.Blank()
	s.Plain("%s", s.Paint(term.Title, text))
}

// otherForms lists the other words for a verb, with the program's name.
func otherForms(cmd *cobra.Command) []string {
	var all []string
	for _, alias := range cmd.Aliases {
		all = append(all, cmd.Parent().CommandPath()+" "+alias)
	}
	if original := cmd.Annotations[shell.CopyKey]; original != "" {
		all = append(all, "claudemesh "+original)
	}
	if long := cmd.Annotations[shell.AlsoKey]; long != "" {
		all = append(all, "claudemesh "+long)
	}
	return all
}

// helpRow is a line of a help page: what to type, what it does, and other words for it.
type helpRow struct{ syntax, text, also string }

// verbRows lists what stands under a noun.
func verbRows(cmd *cobra.Command) []helpRow {
	var rows []helpRow
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			rows = append(rows, helpRow{sub.Use, lower(sub.Short), strings.Join(sub.Aliases, ", ")})
		}
	}
	return rows
}

// leafRows lists the verbs that can be run, with their nouns before them; those that repeat another are named there.
func leafRows(cmd *cobra.Command) []helpRow {
	if cmd.HasSubCommands() {
		var rows []helpRow
		if cmd.Annotations[shell.SelfKey] != "" {
			rows = append(rows, helpRow{syntax: nounOf(cmd) + cmd.Use, text: lower(cmd.Short)})
		}
		for _, sub := range cmd.Commands() {
			if sub.Annotations[shell.CopyKey] == "" {
				rows = append(rows, leafRows(sub)...)
			}
		}
		return rows
	}
	var also []string
	for _, form := range otherForms(cmd) {
		words := strings.Fields(form)
		also = append(also, strings.Join(words[min(len(words)-1, strings.Count(shell.PathOf(cmd), " ")+1):], " "))
	}
	return []helpRow{{nounOf(cmd) + cmd.Use, lower(cmd.Short), strings.Join(also, ", ")}}
}

// nounOf is the path of the noun under which a verb stands, with a space behind it; empty for one that stands alone.
func nounOf(cmd *cobra.Command) string {
	return strings.TrimLeft(strings.TrimPrefix(shell.PathOf(cmd.Parent()), cmd.Root().Name())+" ", " ")
}

// lower begins a text with a small letter, unless it begins with a word in capitals.
func lower(text string) string {
	runes := []rune(text)
	if len(runes) < 2 || unicode.IsUpper(runes[1]) {
		return text
	}
	runes[0] = unicode.ToLower(runes[0])
	return string(runes)
}

// flagRows lists the flags of a set that are shown, in the order of their names.
func flagRows(set *pflag.FlagSet) []helpRow {
	var rows []helpRow
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, text := pflag.UnquoteUsage(f)
		syntax := "    --" + f.Name
		if f.Shorthand != "" {
			syntax = "-" + f.Shorthand + ", --" + f.Name
		}
		switch {
		case f.Value.Type() == "bool":
		case f.NoOptDefVal != "":
			syntax += "[=" + value + "]"
		default:
			syntax += " " + value
		}
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "0s" && d != "[]" {
			text += " (default " + d + ")"
		}
		rows = append(rows, helpRow{syntax: syntax, text: text})
	})
	return rows
}

// maxSyntax is the widest first column; what is longer has a line of its own.
const maxSyntax = 28

// writeRows writes two columns, the second wrapped.
func writeRows(s term.Stream, rows []helpRow) {
	width := 0
	for _, r := range rows {
		if n := term.Width(r.syntax); n <= maxSyntax {
			width = max(width, n)
		}
	}
	for _, r := range rows {
		text := r.text
		if r.also != "" {
			text += " (" + r.also + ")"
		}
		lines := term.Wrap(text, term.Columns-width-4)
		first := s.Paint(term.Cyan, r.syntax)
		switch n := term.Width(r.syntax); {
		case n > width:
			s.Line("%s", first)
		case len(lines) > 0:
			s.Line("%s%s%s", first, strings.Repeat(" ", width-n+2), lines[0])
			lines = lines[1:]
		}
		for _, line := range lines {
			s.Line("%s%s", strings.Repeat(" ", width+2), line)
		}
	}
}
