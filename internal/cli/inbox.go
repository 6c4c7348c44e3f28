package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

type inboxFlags struct {
	limit  int
	unread bool
	from   string
	since  string
	peek   bool
}

func newInbox(a *app) *cobra.Command {
	var f inboxFlags
	cmd := &cobra.Command{
		Use:   "inbox",
		Short: "Read the messages that arrived",
		Long: "Read the messages that arrived, newest first. Unread ones become read.\n\n" +
			"Inside a session it shows that session's messages, outside all of this user's.",
		Args: a.noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.inbox(cmd.Context(), f) },
	}
	fl := cmd.Flags()
	fl.IntVar(&f.limit, "limit", 100, "at most this many, 1 to 1000")
	fl.BoolVar(&f.unread, "unread", false, "unread ones only")
	fl.StringVar(&f.from, "from", "", "from this `key` only")
	fl.StringVar(&f.since, "since", "", "received at or after this ISO `time`")
	fl.BoolVar(&f.peek, "peek", false, "leave unread messages unread")
	return cmd
}

func (a *app) inbox(ctx context.Context, f inboxFlags) error {
	mark := !f.peek
	answer, err := call(ctx, a, localapi.Inbox, callTime, localapi.InboxRequest{
		Mesh: a.global.mesh, Limit: f.limit, UnreadOnly: f.unread, From: f.from, Since: f.since, MarkSeen: &mark,
	})
	if err != nil {
		return err
	}
	if answer.HeldCount > 0 && !a.global.quiet {
		a.err.Warn("messages are held for your human: they are read in a terminal outside this session")
	}
	return a.print(answer.Items, func(s term.Stream) { writeInbox(s, answer.Items) })
}

// writeInbox prints messages: who, how sure that is, when, and the text under it.
func writeInbox(s term.Stream, items []localapi.InboxItem) {
	if len(items) == 0 {
		s.Empty("no messages")
		return
	}
	for _, m := range items {
		mark := " "
		if m.SeenAt == nil {
			mark = s.Paint(term.Green, "●")
		}
		s.Line("%s %s %s", mark, s.Paint(term.Bold, m.SenderName), s.Paint(term.Dim, strings.Join(inboxFacts(m), " · ")))
		switch {
		case m.Undecryptable:
			s.Line("    %s", s.Paint(term.Yellow, "this message does not open with any key of this machine"))
		case m.Held:
			s.Line("    %s", s.Paint(term.Yellow, "held for your human"))
		case m.Body == nil:
			s.Line("    %s", s.Paint(term.Dim, "no text"))
		default:
			for line := range strings.SplitSeq(strings.TrimRight(*m.Body, "\n"), "\n") {
				s.Line("    %s", term.CleanBlock(line))
			}
		}
	}
}

func inboxFacts(m localapi.InboxItem) []string {
	facts := []string{m.Mesh, m.ReceivedAt}
	if m.Priority == "now" {
		facts = append(facts, "urgent")
	}
	if !m.Encrypted && !m.Undecryptable {
		facts = append(facts, "not encrypted")
	}
	if !m.Verified {
		facts = append(facts, "name claimed by the relay")
	}
	return append(facts, term.Short(string(m.BrokerMessageID), 12))
}
