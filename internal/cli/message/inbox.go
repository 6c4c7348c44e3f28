package message

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// NewInbox shows the messages that arrived, and clears them away.
func NewInbox(a *shell.App) *cobra.Command {
	cmd := newInboxList(a)
	cmd.Use = "inbox"
	cmd.Annotations = map[string]string{shell.AlsoKey: "message inbox", shell.SelfKey: "inbox"}
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
	cmd.AddCommand(newInboxList(a), newReview(a), newFlush(a), newInboxDelete(a))
	return cmd
}

func newInboxList(a *shell.App) *cobra.Command {
	var req localapi.InboxRequest
	var peek bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Read the messages that arrived",
		Long: "Read the messages that arrived, newest first. Unread ones become read once they are printed.\n\n" +
			"Inside a session it shows that session's messages, outside all of this user's. A verified message is signed by a key that " +
			"you have met; of others the sender is claimed by the relay.",
		Example: "claudemesh inbox --unread\n" +
			"claudemesh inbox --search \"release notes\" --peek\n" +
			"claudemesh inbox --json=sender_name,body --peek",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := shell.CheckRange(cmd, "limit", req.Limit, 1, 1000); err != nil {
				return err
			}
			return a.NoArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return runInbox(cmd.Context(), a, req, peek) },
	}
	fl := cmd.Flags()
	fl.StringVar(&req.Mesh, "mesh", "", "of this mesh only, by its short `name`")
	fl.IntVar(&req.Limit, "limit", 100, "at most so many, 1 to 1000")
	fl.BoolVar(&req.UnreadOnly, "unread", false, "unread ones only")
	fl.StringVar(&req.From, "from", "", "from this `sender` only: a name, or a key")
	fl.StringVar(&req.Since, "since", "", "received at or after this `time`, such as 2026-01-31T08:00:00Z")
	fl.StringVar(&req.Search, "search", "", "those whose sender, group or text has this `text`, whatever its case")
	fl.BoolVar(&peek, "peek", false, "leave unread messages unread")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	shell.Offer(cmd, "from", a.CompletePeers)
	return cmd
}

func runInbox(ctx context.Context, a *shell.App, req localapi.InboxRequest, peek bool) error {
	mark := false
	req.MarkSeen = &mark // after they are printed, not before: what nobody saw stays unread (cli-lessons 1.2)
	answer, err := shell.Call(ctx, a, localapi.Inbox, shell.CallTime, req)
	if err != nil {
		return err
	}
	if answer.HeldCount > 0 {
		a.Warn("%s held for your human, to be read in a terminal outside this session", shell.Count(answer.HeldCount, "message is", "messages are"))
	}
	ids := unread(answer.Items)
	err = a.Print(answer.Items, func(s term.Stream) {
		writeInbox(s, answer.Items, a.Now())
		if more := answer.Unread - len(ids) - answer.HeldCount; more > 0 && !peek {
			s.Hint(shell.Count(more, "other message is", "other messages are") + " unread: claudemesh inbox --unread")
		}
	})
	if err != nil || peek {
		return err
	}
	if len(ids) == 0 {
		return nil
	}
	if _, err := shell.Call(ctx, a, localapi.InboxSeen, shell.CallTime, localapi.SeenRequest{IDs: ids}); err != nil {
		a.Warn("the messages stay unread: %s", mesh.PublicText(err)) // the answer is printed: no second document
		return shell.Exit(mesh.CodeOf(err).Exit())
	}
	return nil
}

// unread lists the rows that became read by being printed: those with a text, and those that will never have one.
func unread(items []localapi.InboxItem) []string {
	var ids []string
	for _, m := range items {
		if m.SeenAt == nil && (m.Body != nil || m.Undecryptable) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// writeInbox prints messages: who, when, how sure that is, the text, and the id to answer to.
func writeInbox(s term.Stream, items []localapi.InboxItem, now time.Time) {
	if len(items) == 0 {
		s.Empty("no messages")
		return
	}
	for i, m := range together(items) {
		if i > 0 {
			s.Blank()
		}
		mark := " "
		if m.SeenAt == nil {
			mark = s.Paint(term.Green, "●")
		}
		s.Line("%s %s  %s", mark, s.Paint(term.Bold, m.SenderName), s.Paint(term.Dim, inboxFacts(m.InboxItem, m.copies, now)))
		switch {
		case m.Undecryptable:
			s.Line("    %s", s.Paint(term.Yellow, "this message does not open with any key of this machine"))
		case m.Held:
			s.Line("    %s", s.Paint(term.Yellow, "held for your human"))
		case m.Body == nil:
			s.Line("    %s", s.Paint(term.Dim, "its text is not for this caller"))
		default:
			s.Block("    ", *m.Body)
		}
		s.Line("    %s", s.Paint(term.Dim, shell.Facts("id "+string(m.BrokerMessageID), shell.Prefixed("answers ", shell.Deref(m.ReplyToID)))))
	}
}

// message is what came. One to a group has a copy for each of this user's sessions in it.
type message struct {
	localapi.InboxItem
	copies int
}

// together makes one of the copies of a message, which stands where the first of them stood. It is unread while one of
// them is.
func together(items []localapi.InboxItem) []message {
	type face struct {
		id          mesh.ID
		topic, text string
		held        bool
	}
	var all []message
	known := map[face]int{}
	for _, m := range items {
		f := face{m.BrokerMessageID, shell.Deref(m.Topic), shell.Deref(m.Body), m.Held}
		i, found := known[f]
		if !found || m.BrokerMessageID == "" || m.Topic == nil {
			known[f] = len(all)
			all = append(all, message{m, 1})
			continue
		}
		if all[i].copies++; m.SeenAt == nil {
			all[i].SeenAt = nil
		}
	}
	return all
}

func inboxFacts(m localapi.InboxItem, copies int, now time.Time) string {
	urgent, muted, encrypted, proof, several := "", "", "", "verified", ""
	if copies > 1 {
		several = strconv.Itoa(copies) + " copies"
	}
	if m.Priority == mesh.Now {
		urgent = "urgent"
	}
	if m.Muted {
		muted = "muted"
	}
	if !m.Encrypted && !m.Undecryptable {
		encrypted = notEncrypted
	}
	if !m.Verified {
		proof = "claimed by the relay"
	}
	return shell.Facts(shell.Ago(now, m.ReceivedAt), m.Mesh, shell.Prefixed("to ", shell.Deref(m.Topic)), several, m.Subtype, urgent, muted, encrypted, proof)
}
