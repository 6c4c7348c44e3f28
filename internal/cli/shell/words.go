package shell

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// WrongFlag says in our words what is wrong with a flag, naming the nearest.
func WrongFlag(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); len(words) > 0 && cmd.HasParent() && cmd.HasSubCommands() {
		return Unknown(cmd, words[0], SubNames(cmd)) // its flags cannot be known
	}
	var missing *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	var bad *pflag.InvalidValueError
	switch {
	case errors.As(err, &missing):
		return unknownFlag(cmd, missing)
	case errors.As(err, &bare):
		return Usage(cmd, "--%s needs a value", bare.GetFlag().Name)
	case errors.As(err, &bad):
		return Usage(cmd, "--%s: %q is wrong: %w", bad.GetFlag().Name, bad.GetValue(), plainCause(bad))
	}
	return Usage(cmd, "%w", err)
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
		if near := mesh.Nearest(missing.GetSpecifiedName(), names); near != "" {
			return Usage(cmd, "%s; did you mean --%s?", text, near)
		}
	}
	if strings.Contains(cmd.Use, "...") {
		text += "; text that begins with a dash stands behind --"
	}
	return Usage(cmd, "%s", text)
}

// NoArgs accepts nothing but the field list of a spaced `--json a,b` (cli 2.3).
func (a *App) NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && follows(a.Sys.Args, "--json", args[0]) && a.Flags.JSON.Set(args[0]) == nil {
		return nil
	}
	if len(args) > 0 {
		return Usage(cmd, "%q is one word too many", args[0])
	}
	return nil
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

// Exactly accepts as many words as are named.
func Exactly(what ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(what):
			return Usage(cmd, "%s is missing", what[len(args)])
		case len(args) > len(what):
			return Usage(cmd, "%q is one word too many", args[len(what)])
		}
		return nil
	}
}

// AtMost takes up to n words.
func AtMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return Usage(cmd, "%q is one word too many", args[n])
		}
		return nil
	}
}

// CheckRange refuses a number outside its bounds, so that it is never cut in silence.
func CheckRange(cmd *cobra.Command, flag string, n, least, most int) error {
	if n < least || n > most {
		return Usage(cmd, "--%s takes %d to %d, not %d", flag, least, most, n)
	}
	return nil
}

// Offer completes a flag with what fn finds.
func Offer(cmd *cobra.Command, flag string, fn cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, fn); err != nil {
		panic(mesh.Errorf(mesh.Internal, "offer words for --%s: %w", flag, err)) // no such flag: a mistake in the verb
	}
}

// OfferWords completes a flag with fixed words.
func OfferWords(cmd *cobra.Command, flag string, words ...string) {
	Offer(cmd, flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// IsInvite reports whether a word is an invite link: of a page below /i/ or /join/, or of one of the schemes for them
// (cli 12).
func IsInvite(word string) bool {
	scheme, where, ok := strings.Cut(word, "://")
	switch {
	case !ok:
		return false
	case scheme == "ic", scheme == "claudemesh":
		return true
	}
	return (scheme == "https" || scheme == "http") && (strings.Contains(where, "/i/") || strings.Contains(where, "/join/"))
}
