package message

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// maxStdin bounds a message read from standard input; the daemon refuses long before it.
const maxStdin = 1 << 20

type sendFlags struct {
	to        []string
	mesh      string
	priority  string
	replyTo   string
	id        string
	self      bool
	wait      string
	timeout   time.Duration
	encrypted bool
	downgrade bool
}

// NewSend sends a message.
func NewSend(a *shell.App) *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send <to>[,<to>...] <message...>",
		Short: "Send a message to peers, a @group or everyone (*)",
		Long: "Send a message. <to> is a name, a key, the first 16 or more characters of a key, @group or *; several stand with " +
			"commas between, or each behind a --to, and get a message each: all of them, or none when one cannot be found. A message " +
			"of - is read from standard input; one that begins with a dash stands behind --.\n\n" +
			"What goes to one peer is encrypted for it. What goes to a @group or to everyone is not: the broker's operator can read it, " +
			"which --require-encrypted refuses, as does the setting require_encrypted for all messages of a mesh.\n\n" +
			"\"queued\" means that it is on this machine's disk and leaves as soon as it can, also after a crash or a reboot. " +
			"--wait waits until it has come further, and fails when it does not.",
		Example: "claudemesh send alice \"the tests are green\"\n" +
			"git diff | claudemesh send alice - --wait\n" +
			"claudemesh send alice,bob \"the build is yours\"\n" +
			"claudemesh send @ops \"deploy stops at noon\" --wait --timeout 10s\n" +
			"claudemesh send alice -- --help shows every flag",
		Annotations: map[string]string{shell.AlsoKey: "message send"},
		Args: func(cmd *cobra.Command, args []string) error {
			if given := len(args) + min(len(f.to), 1); given < 2 {
				return shell.Usage(cmd, "%s is missing", []string{"the recipient", "the message"}[given])
			}
			if word := strayState(a.Sys.Args); word != "" {
				return shell.Usage(cmd, "write --wait=%s, or put the text behind --", word)
			}
			return f.check(cmd, args)
		},
		RunE:              func(cmd *cobra.Command, args []string) error { return runSend(cmd.Context(), a, f, args) },
		ValidArgsFunction: a.CompleteTargets,
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.to, "to", nil, "a `recipient`, as it is; may stand several times, and then the message is all that stands without a flag")
	fl.StringVar(&f.mesh, "mesh", "", "look for the recipient in this mesh only, by its short `name`")
	fl.StringVar(&f.priority, "priority", "next", "`level` of urgency: now, next or low")
	fl.StringVar(&f.replyTo, "reply-to", "", "the `id` of the message that this one answers")
	fl.StringVar(&f.id, "id", "", "client message `id`; the same id again sends nothing twice")
	fl.StringVar(&f.id, "idempotency-key", "", "as --id")
	fl.BoolVar(&f.self, "self", false, "allow your own member as recipient: all your sessions")
	fl.BoolVar(&f.encrypted, "require-encrypted", false, "refuse recipients whose messages the broker can read")
	fl.BoolVar(&f.downgrade, "allow-downgrade", false, "send also to a session for which its member has not signed")
	fl.StringVar(&f.wait, "wait", "", "wait for a `state`: accepted, delivered (when none is named), surfaced or acknowledged")
	fl.DurationVar(&f.timeout, "timeout", 0, "how long --wait waits; default: the setting send_wait, 30s")
	fl.Lookup("wait").NoOptDefVal = string(mesh.StateDelivered)
	fl.Lookup("idempotency-key").Hidden = true
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	shell.OfferWords(cmd, "priority", "now", "next", "low")
	shell.OfferWords(cmd, "wait", "accepted", "delivered", "surfaced", "acknowledged")
	return cmd
}

// strayState is a state that stands behind a bare --wait, where it would be sent as text.
func strayState(args []string) string {
	for i := 1; i < len(args) && args[i-1] != "--"; i++ {
		if args[i-1] == "--wait" && mesh.State(args[i]).Known() {
			return args[i]
		}
	}
	return ""
}

// check refuses values that could only be misunderstood.
func (f sendFlags) check(cmd *cobra.Command, args []string) error {
	to, _ := f.recipients(args)
	wait := mesh.State(f.wait)
	switch {
	case slices.Contains(to, ""):
		return shell.Usage(cmd, "a recipient is empty")
	case f.wait != "" && (!wait.Known() || wait.Failed() || wait == mesh.StateQueued):
		return shell.Usage(cmd, "--wait takes accepted, delivered, surfaced or acknowledged, not %q", f.wait)
	case cmd.Flags().Changed("timeout") && f.wait == "":
		return shell.Usage(cmd, "--timeout goes with --wait")
	case cmd.Flags().Changed("timeout") && f.timeout < time.Millisecond:
		return shell.Usage(cmd, "--timeout takes a length of time such as 30s, not %s", f.timeout)
	}
	if _, err := mesh.ParsePriority(f.priority); err != nil {
		return shell.Usage(cmd, "--priority takes now, next or low, not %q", f.priority)
	}
	return nil
}

// recipients parts the words into whom a message goes to, and its text.
func (f sendFlags) recipients(args []string) (to, words []string) {
	if len(f.to) > 0 {
		to, words = f.to, args
	} else {
		to, words = strings.Split(args[0], ","), args[1:]
	}
	trimmed := make([]string, len(to))
	for i, one := range to {
		trimmed[i] = strings.TrimSpace(one)
	}
	return trimmed, words
}

// sendView is the JSON of send.
type sendView struct {
	shell.Header
	sentView
}

// sendManyView is the JSON of send to several.
type sendManyView struct {
	shell.Header
	OK       bool       `json:"ok"`
	Messages []sentView `json:"messages"`
}

// sentView is one message that was sent.
type sentView struct {
	OK              bool                 `json:"ok"`
	MessageID       string               `json:"messageId" jsonschema:"the broker's id once it has one, else the client message id"`
	ClientMessageID mesh.ClientID        `json:"client_message_id"`
	Target          string               `json:"target"`
	TargetName      string               `json:"target_name,omitzero"`
	Mesh            string               `json:"mesh"`
	Via             string               `json:"via"`
	Duplicate       bool                 `json:"duplicate"`
	Status          string               `json:"status"`
	State           mesh.State           `json:"state"`
	Encrypted       bool                 `json:"encrypted"`
	RecipientOnline *bool                `json:"recipientOnline,omitzero"`
	Recipients      []localapi.Recipient `json:"recipients,omitzero"`
}

func runSend(ctx context.Context, a *shell.App, f sendFlags, args []string) error {
	to, words := f.recipients(args)
	text, err := messageText(a.Sys.Stdin, words)
	if err != nil {
		return err
	}
	wait, err := sendWait(a, f)
	if err != nil {
		return err
	}
	req := localapi.SendRequest{
		Message: text, Priority: f.priority, ReplyToID: f.replyTo, Mesh: f.mesh, ToSelf: f.self, RequireEncrypted: f.encrypted, AllowDowngrade: f.downgrade,
		ClientMessageID: cmp.Or(f.id, string(mesh.NewClientID(a.Now()))), Wait: mesh.State(f.wait), WaitMs: wait.Milliseconds(),
	}
	if len(to) > 1 {
		return sendMany(ctx, a, wait, localapi.SendManyRequest{Recipients: to, Letter: req})
	}
	req.To = to[0]
	answer, err := shell.Insist(ctx, a, localapi.Send, shell.CallTime+wait, req)
	if err == nil && answer.State.Failed() {
		err = mesh.Errorf(mesh.Undelivered, "the message with this id is %s", answer.State).With(mesh.Details{State: answer.State})
	}
	if err != nil {
		return shell.AboutMessage(err, mesh.ClientID(req.ClientMessageID))
	}
	warnOperator(a, answer)
	v := sendView{shell.NewHeader(), newSentView(answer)}
	return a.Print(v, func(s term.Stream) { writeSent(s, v.sentView, a.Now()) })
}

// warnOperator says once a mesh who can read what goes to many (design C10).
func warnOperator(a *shell.App, answer localapi.SendAnswer) {
	if answer.FirstPlaintext {
		a.Warn("the broker's operator can read messages to groups and to everyone in %s; --require-encrypted refuses them", answer.Mesh)
	}
}

// sendMany sends one text to several.
func sendMany(ctx context.Context, a *shell.App, wait time.Duration, req localapi.SendManyRequest) error {
	answer, err := shell.Insist(ctx, a, localapi.SendMany, shell.CallTime+wait, req)
	if err != nil {
		return shell.AboutMessage(err, mesh.ClientID(req.Letter.ClientMessageID))
	}
	v := sendManyView{Header: shell.NewHeader(), OK: true, Messages: []sentView{}}
	var failed error
	for _, m := range answer.Messages {
		warnOperator(a, m)
		one := newSentView(m)
		if one.OK = !m.State.Failed(); !one.OK {
			v.OK = false
			failed = shell.Exit(mesh.Undelivered.Exit())
		}
		v.Messages = append(v.Messages, one)
	}
	err = a.Print(v, func(s term.Stream) {
		for _, m := range v.Messages {
			writeSent(s, m, a.Now())
		}
	})
	return errors.Join(err, failed)
}

func newSentView(answer localapi.SendAnswer) sentView {
	return sentView{
		OK: true, MessageID: cmp.Or(string(answer.BrokerMessageID), string(answer.ClientMessageID)),
		ClientMessageID: answer.ClientMessageID, Target: answer.Target, TargetName: answer.TargetName, Mesh: answer.Mesh,
		Via: "daemon", Duplicate: answer.Duplicate, Status: cmp.Or(answer.Status, string(answer.State)), State: cmp.Or(answer.State, mesh.StateQueued),
		Encrypted: answer.Encrypted, RecipientOnline: answer.RecipientOnline, Recipients: answer.Recipients,
	}
}

// sendWait is how long a state is waited for: the flag, else the setting; nothing without --wait.
func sendWait(a *shell.App, f sendFlags) (time.Duration, error) {
	if f.wait == "" || f.timeout != 0 {
		return f.timeout, nil
	}
	settings, err := config.LoadDaemon(config.Sources{File: a.Home.Config.Settings(), Env: a.Sys.Lookup})
	return settings.SendWait, err
}

// messageText joins the words, or reads standard input for a single -.
func messageText(stdin io.Reader, words []string) (string, error) {
	text := strings.Join(words, " ")
	if len(words) == 1 && words[0] == "-" {
		data, err := io.ReadAll(io.LimitReader(stdin, maxStdin+1))
		if err != nil {
			return "", mesh.Errorf(mesh.IOError, "read the message: %w", err)
		}
		if len(data) > maxStdin {
			return "", mesh.Errorf(mesh.PayloadTooLarge, "the message is over %d bytes", maxStdin).With(mesh.Details{LimitBytes: maxStdin})
		}
		text = string(data)
	}
	switch {
	case text == "":
		return "", mesh.Errorf(mesh.BadRequest, "the message is empty")
	case !utf8.ValidString(text):
		return "", mesh.Errorf(mesh.BadRequest, "the message is not valid UTF-8")
	}
	return text, nil
}

// writeSent says what is known and no more (design D5).
func writeSent(s term.Stream, v sentView, now time.Time) {
	to := cmp.Or(v.TargetName, term.Short(v.Target, 16))
	facts := shell.Facts(v.Mesh, v.MessageID)
	if v.Duplicate {
		facts = shell.Facts(facts, "the same id was sent before")
	}
	if !v.Encrypted {
		facts = shell.Facts(facts, notEncrypted)
	}
	if v.OK {
		s.OK(stateFor(v.State, to), facts)
	} else {
		s.Warn(shell.Facts(stateFor(v.State, to), facts))
	}
	if len(v.Recipients) > 1 || len(v.Recipients) > 0 && !v.Encrypted {
		writeRecipients(s, v.Recipients, now)
	}
	if v.RecipientOnline != nil && !*v.RecipientOnline && !v.State.Reached(mesh.StateDelivered) {
		s.Hint(to + " is offline and gets it on return")
	}
}

// stateFor is a state as a sentence about a recipient.
func stateFor(state mesh.State, to string) string {
	switch state {
	case mesh.StateAccepted:
		return "accepted by the broker for " + to
	case mesh.StateDelivered:
		return "delivered to " + to
	case mesh.StateSurfaced:
		return "shown to " + to
	case mesh.StateAcknowledged:
		return "acknowledged by " + to
	}
	return string(state) + " for " + to
}
