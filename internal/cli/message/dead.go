package message

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func newDead(a *shell.App) *cobra.Command {
	var req localapi.LettersRequest
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "List messages that got nowhere",
		Long: "List dead letters, newest first: what came and could not be opened, has no proof of its sender, or was refused here; and " +
			"what left and expired, was refused or given up, in the last 30 days. Inside a session it lists that session's.\n\n" +
			"`claudemesh message redeliver` tries one again. `claudemesh inbox delete` takes one that came off the list, " +
			"`claudemesh daemon outbox cancel` one that was given up here.",
		Example: "claudemesh message dead\n" +
			"claudemesh message dead --json=id,direction,reason",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := shell.CheckRange(cmd, "limit", req.Limit, 1, 1000); err != nil {
				return err
			}
			return a.NoArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return runDead(cmd.Context(), a, req) },
	}
	fl := cmd.Flags()
	fl.StringVar(&req.Mesh, "mesh", "", "of this mesh only, by its short `name`")
	fl.IntVar(&req.Limit, "limit", 100, "at most so many, 1 to 1000")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

func runDead(ctx context.Context, a *shell.App, req localapi.LettersRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Letters, shell.CallTime, req)
	if err != nil {
		return err
	}
	if answer.HeldCount > 0 {
		a.Warn("%s held for your human, to be read in a terminal outside this session", shell.Count(answer.HeldCount, "letter is", "letters are"))
	}
	return a.Print(answer.Letters, func(s term.Stream) { writeDead(s, answer.Letters, a.Now()) })
}

func writeDead(s term.Stream, letters []localapi.DeadLetter, now time.Time) {
	if len(letters) == 0 {
		s.Empty("no dead letters")
		return
	}
	again := false
	for _, l := range letters {
		way, open := "from ", ""
		if l.Direction == "out" {
			way = "to "
		}
		if l.Redeliverable {
			again, open = true, "can be redelivered"
		}
		who := cmp.Or(l.Name, l.Target, l.Pubkey.Short())
		s.Line("%s  %s  %s", s.Paint(term.Red, term.Pad(term.Clean(l.Reason), len("undecryptable"))), s.Paint(term.Bold, way+term.Clean(who)),
			s.Paint(term.Dim, shell.Facts(shell.Ago(now, l.At), l.Mesh, open)))
		if text := cmp.Or(goneText(l.Detail), l.Detail, deadText(l.Reason)); text != "" {
			s.Line("               %s", s.Paint(term.Yellow, term.Clean(text)))
		}
		s.Line("               %s", s.Paint(term.Dim, "id "+term.Clean(l.ID)))
	}
	if again {
		s.Hint("claudemesh message redeliver <id> tries one again")
	}
}

// goneText says why a message was given up here, which its row keeps as a code.
func goneText(detail string) string {
	switch mesh.Code(detail) {
	case mesh.NoBrokerForMesh:
		return "its mesh was left before it was sent"
	case mesh.MaxAge:
		return "its broker was away for too long"
	case mesh.LegacyUnroutable:
		return "nobody knows to whom it was to go"
	}
	return ""
}

// deadText says what a reason means.
func deadText(reason string) string {
	switch reason {
	case "undecryptable":
		return "it opens with no key of this machine"
	case "unproved":
		return "it is in the inbox; the proof of its sender did not hold"
	case "blocked":
		return "you do not let its sender write"
	case "replayed":
		return "a copy, under another id, of a message that came before"
	case "reflected":
		return "your own message to somebody else, sent back to you"
	case "malformed":
		return "it does not say what every message says"
	}
	return ""
}

func newRedeliver(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use:   "redeliver <id>",
		Short: "Try a dead letter again",
		Long: "Try a dead letter again. One that came is opened with the keys of now: after a key came back, a peer was unblocked or " +
			"proved, or this machine's clock was set; what opens is in the inbox like one that has just come. One that left is sent again " +
			"under a new id, when it is certain that nobody has it. Nobody is shown a message twice.\n\n" +
			"<id> is what `claudemesh message dead` shows.",
		Example:           "claudemesh message redeliver 0192f0c1-8a3b-7c40-9d2e-5b1f6a7c8d90",
		Args:              shell.Exactly("the letter's id"),
		ValidArgsFunction: completeLetters(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRedeliver(cmd.Context(), a, localapi.RedeliverRequest{ID: args[0], NewClientMessageID: mesh.NewClientID(a.Now())})
		},
	}
}

// completeLetters offers what can be redelivered.
func completeLetters(a *shell.App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		answer, err := shell.Ask(cmd.Context(), a, localapi.Letters, shell.ProbeTime, localapi.LettersRequest{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // nobody is there to read why
		}
		var words []string
		for _, l := range answer.Letters {
			if l.Redeliverable && shell.Completable(l.ID) {
				words = append(words, cobra.CompletionWithDesc(l.ID, shell.Facts(l.Reason, term.Clean(l.Name), l.Mesh)))
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// redeliverView is the JSON of message redeliver.
type redeliverView struct {
	shell.Header
	OK bool `json:"ok"`
	localapi.RedeliverAnswer
}

func runRedeliver(ctx context.Context, a *shell.App, req localapi.RedeliverRequest) error {
	answer, err := shell.Insist(ctx, a, localapi.Redeliver, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(redeliverView{shell.NewHeader(), true, answer}, func(s term.Stream) {
		switch answer.Outcome {
		case "verified":
			s.OK("its sender is proved now", answer.Mesh+", it was in the inbox before")
		case "queued":
			s.OK("queued again as "+answer.MessageID, answer.Mesh)
		default:
			s.OK("it is in the inbox now", answer.Mesh)
		}
	})
}
