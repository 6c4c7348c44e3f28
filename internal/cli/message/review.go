package message

import (
	"bufio"
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// newReview is for the human: what is held, and what is to become of it.
func newReview(a *shell.App) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "review [<id> once|always|unattended|block]",
		Short: "Read what is held from sessions, and decide about it",
		Long: "Read the unread messages that some session is not shown, with the reason, and say what is to become of them. On a terminal each is asked about; with an id " +
			"and a word one is decided, for scripts of yours.\n\n" +
			"once lets this message through to the sessions that it is for. always does that and accepts its sender's key, as `claudemesh trust accept`. unattended " +
			"also lets the sender's messages reach sessions that act without asking, as `trust accept --unattended`; only who proves who it is can be trusted so. " +
			"block blocks the sender, as `claudemesh block`.\n\n" +
			"What the host's own settings hold, or a pause, stays held. This is for a human in a terminal: a host session is refused.",
		Example: "claudemesh inbox review\n" +
			"claudemesh inbox review 4kQ0pX7mZ2vB9tLw8sYc1nRd6fJh3gUe once",
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 1:
				return shell.Usage(cmd, "the decision is missing: %s", strings.Join(localapi.Reviews(), ", "))
			case len(args) > 2:
				return shell.Usage(cmd, "%q is one word too many", args[2])
			case len(args) == 2 && !slices.Contains(localapi.Reviews(), args[1]):
				return shell.Usage(cmd, "a decision is one of %s, not %q", strings.Join(localapi.Reviews(), ", "), args[1])
			}
			return shell.CheckRange(cmd, "limit", limit, 1, 1000)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return runDecision(cmd.Context(), a, localapi.ReviewRequest{ID: args[0], Decision: args[1]})
			}
			return runReview(cmd.Context(), a, limit)
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return localapi.Reviews(), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "at most so many, 1 to 1000")
	return cmd
}

// reviewedView is the JSON of one decision.
type reviewedView struct {
	shell.Header
	OK bool `json:"ok"`
	localapi.ReviewAnswer
}

func runDecision(ctx context.Context, a *shell.App, req localapi.ReviewRequest) error {
	answer, err := shell.Call(ctx, a, localapi.InboxReview, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(reviewedView{shell.NewHeader(), true, answer}, func(s term.Stream) {
		s.OK(decided(answer), shell.Facts(term.Clean(answer.Mesh), answer.Pubkey.Short()))
	})
}

// decided says what was done.
func decided(r localapi.ReviewAnswer) string {
	name := term.Clean(r.SenderName)
	switch r.Decision {
	case localapi.ReviewAlways:
		return "let through; the key of " + name + " is accepted"
	case localapi.ReviewUnattended:
		return "let through; " + name + " also reaches sessions that act without asking"
	case localapi.ReviewBlock:
		return name + " is blocked"
	}
	return "let through, this once: the message of " + name
}

// heldView is the JSON of inbox review.
type heldView struct {
	shell.Header
	localapi.HeldAnswer
}

func runReview(ctx context.Context, a *shell.App, limit int) error {
	answer, err := shell.Call(ctx, a, localapi.InboxHeld, shell.CallTime, localapi.HeldRequest{Limit: limit})
	if err != nil {
		return err
	}
	if a.Flags.JSON.On || !a.Out.TTY || !a.Err.TTY || len(answer.Held) == 0 {
		return a.Print(heldView{shell.NewHeader(), answer}, func(s term.Stream) { writeHeld(s, answer.Held, a.Now()) })
	}
	lines := bufio.NewReader(a.Sys.Stdin)
	for _, h := range answer.Held {
		writeHeld(a.Out, []localapi.HeldMessage{h}, a.Now())
		word, err := askReview(a, lines)
		switch {
		case err != nil || word == "quit":
			return err
		case word == "skip":
			continue
		}
		if err := runDecision(ctx, a, localapi.ReviewRequest{ID: h.Message.ID, Decision: word}); err != nil {
			a.Warn("%s", mesh.PublicText(err)) // the next one may go better
		}
	}
	return nil
}

// reviewKeys are what is typed for a decision.
var reviewKeys = [][2]string{{"o", localapi.ReviewOnce}, {"a", localapi.ReviewAlways}, {"u", localapi.ReviewUnattended}, {"b", localapi.ReviewBlock}, {"s", "skip"}, {"q", "quit"}}

// askReview reads a decision. The end of input is quit; another word is asked for again.
func askReview(a *shell.App, lines *bufio.Reader) (string, error) {
	for {
		_, _ = io.WriteString(a.Err, "  [o]nce, [a]lways, [u]nattended, [b]lock, [s]kip, [q]uit? ") // the answer decides
		line, err := lines.ReadString('\n')
		typed := strings.ToLower(strings.TrimSpace(line))
		for _, k := range reviewKeys {
			if typed == k[0] || typed == k[1] {
				return k[1], nil
			}
		}
		if err == io.EOF {
			return "quit", nil
		}
		if err != nil {
			return "", mesh.Errorf(mesh.IOError, "read the answer: %w", err)
		}
	}
}

func writeHeld(s term.Stream, held []localapi.HeldMessage, now time.Time) {
	if len(held) == 0 {
		s.Empty("nothing is held")
		return
	}
	for _, h := range held {
		writeInbox(s, []localapi.InboxItem{h.Message}, now)
		for _, from := range h.From {
			s.Line("    %s", s.Paint(term.Yellow, "not shown to "+term.Clean(from.DisplayName)+": "+reasonText(from.Reason)))
		}
	}
}

// reasonText says why a session is not shown a message.
func reasonText(reason string) string {
	switch reason {
	case "unattended":
		return "it acts without asking"
	case "unproved":
		return "its sender is claimed by the relay"
	case "loop":
		return "the two have exchanged many without a human"
	case "paused":
		return "you have paused it (claudemesh resume)"
	case "host_holds", "host_refuses":
		return "its host's own settings keep it (crossSessionInbound)"
	}
	return term.Clean(reason)
}
