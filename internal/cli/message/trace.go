package message

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

func newTrace(a *shell.App) *cobra.Command {
	var req localapi.StatusRequest
	cmd := &cobra.Command{
		Use:   "trace <id>",
		Short: "Show the way of a message, with times",
		Long: "Show the way of a message that was sent from here or arrived here: where it was when, as far as this machine knows it, and who says " +
			"so. <id> is one that send, message status or inbox show. Times are by the clock of who says them, so that they may seem out of " +
			"order between machines. The trace id stands in the logs of every daemon and broker on the way.",
		Example: "claudemesh message trace 0192f0c1-8a3b-7c40-9d2e-5b1f6a7c8d90",
		Args:    shell.Exactly("the message id"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.ID = args[0]
			return runTrace(cmd.Context(), a, req)
		},
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "look in this mesh only, by its short `name`")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// traceView is the JSON of message trace.
type traceView struct {
	shell.Header
	localapi.TraceAnswer
}

func runTrace(ctx context.Context, a *shell.App, req localapi.StatusRequest) error {
	answer, err := shell.Call(ctx, a, localapi.MessageTrace, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(traceView{shell.NewHeader(), answer}, func(s term.Stream) { writeTrace(s, answer, a.Now().Location()) })
}

// writeTrace prints a line for each moment: when, by a place's clock, how long after the one before, where, what, and who
// says so.
func writeTrace(s term.Stream, v localapi.TraceAnswer, zone *time.Location) {
	s.Pairs(
		[2]string{"message", string(v.MessageID)},
		[2]string{"client id", string(v.ClientMessageID)},
		[2]string{"mesh", v.Mesh},
		[2]string{"target", v.TargetSpec},
		[2]string{"trace", v.TraceID},
	)
	s.Blank()
	var last time.Time
	for _, h := range v.Hops {
		at, when, after := moment(h.At), "--:--:--.---", ""
		if !at.IsZero() {
			when = at.In(zone).Format("15:04:05.000")
			if !last.IsZero() {
				after = "+" + at.Sub(last).Round(time.Millisecond).String()
			}
			last = at
		}
		said := ""
		if !h.Verified {
			said = "relay says"
		}
		s.Line("%s  %s  %s  %s  %s", when, s.Paint(term.Dim, term.Pad(after, afterColumn)), term.Pad(term.Clean(h.Where), whereColumn),
			s.Paint(stateStyle(h.State), term.Pad(term.Clean(h.Event), stateColumn)), shell.Facts(h.Who, said, h.Detail))
	}
}

// Widths of the columns of a trace.
const (
	afterColumn = 10
	whereColumn = len("recipient")
)

// moment reads a time; zero for none.
func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}
