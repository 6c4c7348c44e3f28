package machine

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// outboxStatuses are the flags of outbox and the statuses that they ask for; failed is what people call dead.
func outboxStatuses() [][2]string {
	return [][2]string{{"pending", "pending"}, {"inflight", "inflight"}, {"done", "done"}, {"failed", "dead"}, {"aborted", "aborted"}}
}

func newOutbox(a *shell.App) *cobra.Command {
	cmd := newOutboxList(a)
	cmd.Use, cmd.Short = "outbox", "See what was sent, and change what has not left"
	cmd.Annotations = map[string]string{shell.SelfKey: "outbox"}
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			if len(args) > 0 {
				return shell.Unknown(cmd, args[0], shell.SubNames(cmd))
			}
			return err
		}
		return nil
	}
	cmd.AddCommand(newOutboxList(a), newInspect(a), newRequeue(a), newCancel(a))
	return cmd
}

func newOutboxList(a *shell.App) *cobra.Command {
	var req localapi.OutboxRequest
	var wanted [5]bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what was sent, newest first",
		Long: "List what this machine sent, newest first, with what became of it at the broker; `claudemesh message status` tells the " +
			"rest. At most one status is asked for.",
		Example: "claudemesh daemon outbox list --failed",
		Args: func(cmd *cobra.Command, args []string) error {
			for i, s := range outboxStatuses() {
				switch {
				case wanted[i] && req.Status != "":
					return shell.Usage(cmd, "--%s goes with no other status", s[0])
				case wanted[i]:
					req.Status = s[1]
				}
			}
			if err := shell.CheckRange(cmd, "limit", req.Limit, 1, 500); err != nil {
				return err
			}
			return a.NoArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return runOutbox(cmd.Context(), a, req) },
	}
	fl := cmd.Flags()
	fl.StringVar(&req.Mesh, "mesh", "", "of this mesh only, by its short `name`")
	fl.IntVar(&req.Limit, "limit", 50, "at most so many, 1 to 500")
	for i, s := range outboxStatuses() {
		fl.BoolVar(&wanted[i], s[0], false, "only those that are "+s[1])
	}
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// outboxView is the JSON of daemon outbox.
type outboxView struct {
	shell.Header
	localapi.OutboxAnswer
}

func runOutbox(ctx context.Context, a *shell.App, req localapi.OutboxRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Outbox, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(outboxView{shell.NewHeader(), answer}, func(s term.Stream) { writeOutbox(s, answer.Items, a.Now()) })
}

func writeOutbox(s term.Stream, items []localapi.OutboxItem, now time.Time) {
	if len(items) == 0 {
		s.Empty("empty")
	}
	for _, r := range items {
		attempts, plain := "", ""
		if !r.Encrypted {
			plain = "not encrypted"
		}
		if r.Attempts > 1 {
			attempts = shell.Count(r.Attempts, "attempt", "attempts")
		}
		s.Line("%s %s", s.Paint(outboxStyle(r.Status), term.Pad(term.Clean(r.Status), len("inflight"))), s.Paint(term.Bold, string(r.ClientMessageID)))
		s.Line("         %s", s.Paint(term.Dim, shell.Facts(
			shell.Ago(now, shell.Deref(r.EnqueuedAt)), r.Mesh, "to "+cmp.Or(r.TargetName, term.Short(r.TargetSpec, 16)), plain, attempts, shell.Prefixed("broker id ", shell.Deref(r.BrokerMessageID)))))
		if r.LastError != nil {
			s.Line("         %s", s.Paint(term.Yellow, term.Short(*r.LastError, 60)))
		}
	}
}

func outboxStyle(status string) term.Style {
	switch status {
	case "done":
		return term.Green
	case "dead":
		return term.Red
	}
	return term.Yellow
}
