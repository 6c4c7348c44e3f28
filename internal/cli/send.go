package cli

import (
	"context"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// maxStdin bounds a message read from standard input; the daemon refuses long before it.
const maxStdin = 1 << 20

type sendFlags struct {
	priority  string
	replyTo   string
	id        string
	self      bool
	wait      string
	timeout   time.Duration
	encrypted bool
}

func newSend(a *app) *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send <to> <message...>",
		Short: "Send a message to a peer, a @group or everyone (*)",
		Long: "Send a message. <to> is a name, a key, a prefix of a key of 16 or more characters, @group or *.\n" +
			"A message of - is read from standard input.\n\n" +
			"\"queued\" means that it is on this machine's disk and leaves as soon as it can, also after a crash or\n" +
			"a reboot. --wait waits until it has come further and fails when it does not.",
		Example: "  claudemesh send alice \"the tests are green\"\n" +
			"  git diff | claudemesh send alice - --wait",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage(cmd, "%s is missing", []string{"the recipient", "the message"}[len(args)])
			}
			return nil
		},
		RunE:              func(cmd *cobra.Command, args []string) error { return a.send(cmd.Context(), f, args) },
		ValidArgsFunction: a.completePeers,
	}
	fl := cmd.Flags()
	fl.StringVar(&f.priority, "priority", "next", "now, next or low")
	fl.StringVar(&f.replyTo, "reply-to", "", "the `id` of the message that this one answers")
	fl.StringVar(&f.id, "id", "", "client message `id`; the same id again sends nothing twice")
	fl.BoolVar(&f.self, "self", false, "allow your own member as recipient: all your sessions")
	fl.BoolVar(&f.encrypted, "require-encrypted", false, "refuse recipients whose messages the broker can read")
	fl.StringVar(&f.wait, "wait", "", "wait until `state`: accepted, delivered, surfaced or acknowledged")
	fl.Lookup("wait").NoOptDefVal = string(mesh.StateDelivered)
	fl.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long --wait waits")
	return cmd
}

// sendView is the JSON of send.
type sendView struct {
	header
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

func (a *app) send(ctx context.Context, f sendFlags, args []string) error {
	req, err := a.sendRequest(f, args)
	if err != nil {
		return err
	}
	limit := callTime
	if req.Wait != "" {
		limit += f.timeout
	}
	answer, err := call(ctx, a, localapi.Send, limit, req)
	if mesh.IsCode(err, mesh.Timeout) && ctx.Err() == nil {
		// Whether it was queued is unknown; the same id cannot make two of it (daemon 25, row 38).
		answer, err = call(ctx, a, localapi.Send, limit, req)
	}
	if err != nil {
		return err
	}
	v := sendView{
		header: newHeader(), OK: true, MessageID: string(answer.BrokerMessageID), ClientMessageID: answer.ClientMessageID,
		Target: answer.Target, TargetName: answer.TargetName, Mesh: answer.Mesh, Via: "daemon", Duplicate: answer.Duplicate,
		Status: answer.Status, State: answer.State, Encrypted: answer.Encrypted,
		RecipientOnline: answer.RecipientOnline, Recipients: answer.Recipients,
	}
	if v.MessageID == "" {
		v.MessageID = string(answer.ClientMessageID)
	}
	return a.print(v, func(s term.Stream) { writeSent(s, a.err, v) })
}

func (a *app) sendRequest(f sendFlags, args []string) (localapi.SendRequest, error) {
	var none localapi.SendRequest
	if _, err := mesh.ParsePriority(f.priority); err != nil {
		return none, err
	}
	wait := mesh.State(f.wait)
	if f.wait != "" && (!wait.Known() || wait.Failed() || wait == mesh.StateQueued) {
		return none, mesh.Errorf(mesh.Usage, "--wait takes accepted, delivered, surfaced or acknowledged, not %q", f.wait)
	}
	text, err := a.messageText(args[1:])
	if err != nil {
		return none, err
	}
	id := f.id
	if id == "" {
		id = string(mesh.NewClientID(a.sys.Now()))
	}
	return localapi.SendRequest{
		To: args[0], Message: text, Priority: f.priority, ReplyToID: f.replyTo, ClientMessageID: id, Mesh: a.global.mesh,
		ToSelf: f.self, RequireEncrypted: f.encrypted, Wait: wait, WaitMs: waitMs(wait, f.timeout),
	}, nil
}

func waitMs(wait mesh.State, timeout time.Duration) int64 {
	if wait == "" {
		return 0
	}
	return timeout.Milliseconds()
}

// messageText joins the words, or reads standard input for a single -.
func (a *app) messageText(words []string) (string, error) {
	text := strings.Join(words, " ")
	if len(words) == 1 && words[0] == "-" {
		data, err := io.ReadAll(io.LimitReader(a.sys.Stdin, maxStdin+1))
		if err != nil {
			return "", mesh.Errorf(mesh.IOError, "read the message: %w", err)
		}
		if len(data) > maxStdin {
			return "", mesh.Errorf(mesh.PayloadTooLarge, "the message is over %d bytes", maxStdin)
		}
		text = string(data)
	}
	switch {
	case text == "":
		return "", mesh.Errorf(mesh.Usage, "the message is empty")
	case !utf8.ValidString(text):
		return "", mesh.Errorf(mesh.BadRequest, "the message is not valid UTF-8")
	}
	return text, nil
}

// writeSent says what is known and no more (design D5).
func writeSent(s, notes term.Stream, v sendView) {
	to := v.TargetName
	if to == "" {
		to = term.Short(v.Target, 16)
	}
	detail := term.Short(string(v.MessageID), 12)
	if v.Mesh != "" {
		detail = v.Mesh + ", " + detail
	}
	state := v.State
	if state == "" {
		state = mesh.StateQueued
	}
	word := string(state) + " for " + to
	if v.Duplicate {
		word = "already accepted for " + to
	}
	s.OK(word, detail)
	if v.RecipientOnline != nil && !*v.RecipientOnline && !state.Reached(mesh.StateDelivered) {
		s.Hint(to + " is offline and gets it on return")
	}
	if !v.Encrypted {
		notes.Warn("the broker's operator can read messages to groups and to everyone")
	}
}

// completePeers offers the names of the roster; it never starts a daemon.
func (a *app) completePeers(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	a.global.strict = true
	answer, err := call(cmd.Context(), a, localapi.Peers, time.Second, localapi.PeersRequest{Mesh: a.global.mesh, Offline: true})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all []string
	for _, p := range answer.Peers {
		if !p.IsThisSession {
			all = append(all, p.DisplayName)
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}
