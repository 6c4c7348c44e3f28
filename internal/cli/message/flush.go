package message

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

func newFlush(a *shell.App) *cobra.Command {
	var slug, before string
	var all bool
	cmd := &cobra.Command{
		Use:   "flush",
		Short: "Delete messages that arrived",
		Long: "Delete messages that arrived, read or not: those of a mesh, those before a time, or all. Nothing brings them back. " +
			"Inside a session it deletes what that session may read; what is held for its human stays.",
		Example: "claudemesh inbox flush --before 2026-01-31T08:00:00Z\n" +
			"claudemesh inbox flush --mesh team\n" +
			"claudemesh inbox flush --all",
		Args: func(cmd *cobra.Command, args []string) error {
			switch narrowed := cmd.Flags().Changed("mesh") || cmd.Flags().Changed("before"); {
			case all && narrowed:
				return shell.Usage(cmd, "--all goes with no other flag")
			case !all && !narrowed:
				return shell.Usage(cmd, "--mesh, --before or --all is wanted")
			}
			return a.NoArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if all {
				if err := shell.Confirm(cmd, a, "this deletes every message that arrived, read or not"); err != nil {
					return err
				}
			}
			var req localapi.FlushRequest
			if cmd.Flags().Changed("mesh") {
				req.Mesh = &slug
			}
			if cmd.Flags().Changed("before") {
				req.Before = &before
			}
			return runFlush(cmd.Context(), a, req)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&slug, "mesh", "", "of this mesh only, by its short `name`")
	fl.StringVar(&before, "before", "", "received before this `time`, such as 2026-01-31T08:00:00Z")
	fl.BoolVar(&all, "all", false, "all of them; asks first, or takes --yes")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// flushView is the JSON of inbox flush.
type flushView struct {
	shell.Header
	OK bool `json:"ok"`
	localapi.FlushAnswer
}

func runFlush(ctx context.Context, a *shell.App, req localapi.FlushRequest) error {
	answer, err := shell.Call(ctx, a, localapi.InboxFlush, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(flushView{shell.NewHeader(), true, answer}, func(s term.Stream) {
		s.OK("deleted "+shell.Count(answer.Removed, "message", "messages"), "")
	})
}

func newInboxDelete(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "delete <id>", Aliases: []string{"rm"},
		Short:             "Delete one message that arrived",
		Long:              "Delete one message that arrived. <id> is what the list shows: the broker's id, the row's, or the client message id.",
		Example:           "claudemesh inbox delete 4kQ0pX7mZ2vB9tLw8sYc1nRd6fJh3gUe",
		Args:              shell.Exactly("the message id"),
		ValidArgsFunction: completeInbox(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInboxDelete(cmd.Context(), a, localapi.InboxDeleteRequest{ID: args[0]})
		},
	}
}

// completeInbox offers the ids of the newest messages, with their senders.
func completeInbox(a *shell.App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		keep := false // to complete is not to read
		answer, err := shell.Ask(cmd.Context(), a, localapi.Inbox, shell.ProbeTime, localapi.InboxRequest{MarkSeen: &keep})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // nobody is there to read why
		}
		var words []string
		for _, m := range answer.Items {
			if shell.Completable(m.ID) {
				words = append(words, cobra.CompletionWithDesc(m.ID, shell.Facts(term.Clean(m.SenderName), m.Mesh, shell.Ago(a.Now(), m.ReceivedAt))))
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// inboxDeleteView is the JSON of inbox delete.
type inboxDeleteView struct {
	shell.Header
	OK bool   `json:"ok"`
	ID string `json:"id"`
}

func runInboxDelete(ctx context.Context, a *shell.App, req localapi.InboxDeleteRequest) error {
	answer, err := shell.Call(ctx, a, localapi.InboxDelete, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(inboxDeleteView{shell.NewHeader(), true, answer.ID}, func(s term.Stream) { s.OK("deleted the message", answer.ID) })
}
