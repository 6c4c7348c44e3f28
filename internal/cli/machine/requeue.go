package machine

import (
	"cmp"
	"context"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// which says how a message of the outbox is named.
const which = "<id> is what the list or send printed, the id of the row, or the first 8 or more characters of one of them."

func newInspect(a *shell.App) *cobra.Command {
	var req localapi.InspectRequest
	cmd := &cobra.Command{
		Use:   "inspect <id>",
		Short: "Show one message of the outbox, with its text",
		Long: "Show one message of the outbox: its row, its text while that is kept, and how far it has come. A session is shown what it " +
			"sent itself.\n\n" + which,
		Example:           "claudemesh daemon outbox inspect 0192f0c1-8a3b",
		Args:              shell.Exactly("the id"),
		ValidArgsFunction: completeRows(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.ID = args[0]
			return runInspect(cmd.Context(), a, req)
		},
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "look in this mesh only, by its short `name`")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

// completeRows offers the rows that can still be changed.
func completeRows(a *shell.App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var ids []string
		if len(args) == 0 {
			answer, err := shell.Ask(cmd.Context(), a, localapi.Outbox, shell.ProbeTime, localapi.OutboxRequest{})
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, r := range answer.Items {
				if r.Status != "done" && r.Status != "aborted" {
					ids = append(ids, term.Clean(string(r.ClientMessageID)))
				}
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// inspectView is the JSON of daemon outbox inspect.
type inspectView struct {
	shell.Header
	localapi.InspectAnswer
}

func runInspect(ctx context.Context, a *shell.App, req localapi.InspectRequest) error {
	v, err := shell.Call(ctx, a, localapi.OutboxInspect, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(inspectView{shell.NewHeader(), v}, func(s term.Stream) { writeInspect(s, a, v) })
}

func writeInspect(s term.Stream, a *shell.App, v localapi.InspectAnswer) {
	ago := func(at *string) string {
		if at == nil {
			return ""
		}
		return shell.Ago(a.Now(), *at)
	}
	attempts, plain, doubt := "", "", ""
	if v.Attempts > 0 {
		attempts = strconv.Itoa(v.Attempts)
	}
	if !v.Encrypted {
		plain = "not encrypted: the broker's operator can read it"
	}
	if v.MayBeSent {
		doubt = "it was under way and no answer came: the broker may have it"
	}
	s.Pairs(
		[2]string{"status", v.Status},
		[2]string{"state", string(v.State)},
		[2]string{"in doubt", doubt},
		[2]string{"row", v.ID},
		[2]string{"client id", string(v.ClientMessageID)},
		[2]string{"broker id", shell.Deref(v.BrokerMessageID)},
		[2]string{"mesh", v.Mesh},
		[2]string{"target", v.TargetSpec},
		[2]string{"name", v.TargetName},
		[2]string{"encryption", plain},
		[2]string{"priority", string(v.Priority)},
		[2]string{"answers", v.ReplyToID},
		[2]string{"queued", ago(v.EnqueuedAt)},
		[2]string{"taken", ago(v.DeliveredAt)},
		[2]string{"refusals", attempts},
		[2]string{"last error", shell.Deref(v.LastError)},
		[2]string{"aborted", shell.Facts(ago(v.AbortedAt), shell.Prefixed("by ", shell.Deref(v.AbortedBy)))},
		[2]string{"replaced by", shell.Deref(v.SupersededBy)},
		[2]string{"trace", v.TraceID},
	)
	s.Blank()
	if v.Body == nil {
		s.Line("%s", s.Paint(term.Dim, "the text, "+shell.Count(int(v.PayloadBytes), "byte", "bytes")+", is not kept any more"))
		return
	}
	s.Plain("%s", term.Clean(*v.Body))
}

func newRequeue(a *shell.App) *cobra.Command {
	var req localapi.RequeueRequest
	var newID, text string
	cmd := &cobra.Command{
		Use:   "requeue <id>",
		Short: "Send a message that waits or failed again, under a new id",
		Long: "Send a message that waits or failed again, under a new id: the old row ends, its id stays taken, and the text is encrypted " +
			"anew for whom it went to, and for nobody else. Was it under way without an answer, then the broker may have it, and its " +
			"recipient may get it twice. What came back with a backup leaves as it is, under its own id.\n\n" + which,
		Example: "claudemesh daemon outbox requeue 0192f0c1-8a3b\n" +
			"claudemesh daemon outbox requeue 0192f0c1-8a3b --patch-payload \"shorter now\"",
		Args:              shell.Exactly("the id"),
		ValidArgsFunction: completeRows(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.ID, req.NewClientMessageID = args[0], cmp.Or(mesh.ClientID(newID), mesh.NewClientID(a.Now()))
			if cmd.Flags().Changed("patch-payload") {
				var err error
				if req.Payload, err = payload(a.Sys.Stdin, text); err != nil {
					return err
				}
			}
			return runRequeue(cmd.Context(), a, req)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&newID, "new-client-id", "", "the new client message `id`; the same one again requeues nothing twice")
	fl.StringVar(&text, "patch-payload", "", "another `text` in place of the old one; - reads it from standard input")
	return cmd
}

// maxPayload bounds a text read from standard input; the daemon refuses long before it.
const maxPayload = 1 << 20

// payload is the text of a flag, or of standard input.
func payload(stdin io.Reader, text string) (*string, error) {
	if text != "-" {
		return &text, nil
	}
	data, err := io.ReadAll(io.LimitReader(stdin, maxPayload+1))
	switch {
	case err != nil:
		return nil, mesh.Errorf(mesh.IOError, "read the text: %w", err)
	case len(data) > maxPayload:
		return nil, mesh.Errorf(mesh.PayloadTooLarge, "the text is over %d bytes", maxPayload).With(mesh.Details{LimitBytes: maxPayload})
	}
	text = string(data)
	return &text, nil
}

// requeueView is the JSON of daemon outbox requeue.
type requeueView struct {
	shell.Header
	localapi.RequeueAnswer
}

func runRequeue(ctx context.Context, a *shell.App, req localapi.RequeueRequest) error {
	v, err := shell.Insist(ctx, a, localapi.OutboxRequeue, shell.CallTime, req)
	if err != nil {
		return err
	}
	if v.MayBeDoubled {
		a.Warn("the broker may have had the message: no answer came to it; its recipient may get it twice")
	}
	return a.Print(requeueView{shell.NewHeader(), v}, func(s term.Stream) {
		plain := ""
		if !v.Encrypted {
			plain = "not encrypted"
		}
		s.OK("queued again as "+string(v.NewClientMessageID), shell.Facts(v.Mesh, "to "+term.Short(v.TargetSpec, 16), plain))
	})
}

func newCancel(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel <id>",
		Short: "End a message that waits or failed",
		Long: "End a message that waits or failed: it is not sent, and its text is forgotten some days later. One that the broker has " +
			"cannot be called back.\n\n" + which,
		Example:           "claudemesh daemon outbox cancel 0192f0c1-8a3b",
		Args:              shell.Exactly("the id"),
		ValidArgsFunction: completeRows(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCancel(cmd.Context(), a, localapi.CancelRequest{ID: args[0]})
		},
	}
}

// cancelView is the JSON of daemon outbox cancel.
type cancelView struct {
	shell.Header
	localapi.CancelAnswer
}

func runCancel(ctx context.Context, a *shell.App, req localapi.CancelRequest) error {
	v, err := shell.Insist(ctx, a, localapi.OutboxCancel, shell.CallTime, req)
	if err != nil {
		return err
	}
	if v.MayBeSent {
		a.Warn("the broker may have had the message: it was under way before, and no answer came to it")
	}
	return a.Print(cancelView{shell.NewHeader(), v}, func(s term.Stream) {
		s.OK("cancelled "+string(v.ClientMessageID), shell.Facts(v.Mesh, "to "+term.Short(v.TargetSpec, 16)))
	})
}
