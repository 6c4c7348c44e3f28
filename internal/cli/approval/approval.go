// Package approval is the verbs about the permissions that host sessions want.
package approval

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/audit"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// New is the noun approvals.
func New(a *shell.App) *cobra.Command {
	return shell.Noun("approvals", "See and answer the permissions that sessions want", newList(a), newAllow(a), newDeny(a))
}

const about = "A session that wants to use a tool and has to ask is asked for here, too, and on the user's other devices (`claudemesh trust accept <peer> " +
	"--device` on both), when the setting approval_relay is on: it is off by default. The first answer counts, also that at the session. A question waits " +
	"for 5 minutes, is about one use of one tool with one input, and nothing is allowed for the next time. Answers are in `claudemesh audit list`."

func newList(a *shell.App) *cobra.Command {
	var req localapi.ApprovalsRequest
	cmd := &cobra.Command{
		Use: "list", Short: "List the permissions that sessions wait for",
		Long:    "List the permissions that sessions wait for, the oldest first. A session sees its own. " + about + "\n\nThe JSON is an array.",
		Example: "claudemesh approvals list\nclaudemesh approvals list --json=id,session,tool,input",
		Args:    a.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runList(cmd.Context(), a, req) },
	}
	cmd.Flags().StringVar(&req.Mesh, "mesh", "", "of this mesh only, by its short `name`")
	shell.Offer(cmd, "mesh", a.CompleteMeshes)
	return cmd
}

func runList(ctx context.Context, a *shell.App, req localapi.ApprovalsRequest) error {
	answer, err := shell.Call(ctx, a, localapi.Approvals, shell.CallTime, req)
	if err != nil {
		return err
	}
	return a.Print(answer.Approvals, func(s term.Stream) {
		if len(answer.Approvals) == 0 {
			s.Empty("no session waits for a permission")
		}
		for _, q := range answer.Approvals {
			write(s, a, q)
		}
		if !answer.Relay {
			s.Hint("sessions here ask at their own terminal alone: approval_relay was off when the daemon started")
		}
	})
}

// maxShown is how much of an input is shown in a list; an answer shows all of it.
const maxShown = 400

func write(s term.Stream, a *shell.App, q localapi.Approval) {
	s.Line("%s  %s  %s", s.Paint(term.Bold, localapi.ShortApproval(q.ID)), s.Paint(term.Yellow, term.Clean(q.Tool)), s.Paint(term.Dim, shell.Facts(
		term.Clean(q.Session), shell.Prefixed("on ", term.Clean(q.Device)), q.Mesh, "ends "+shell.Ago(a.Now(), q.ExpiresAt))))
	text := []rune(string(q.Input))
	if len(text) > maxShown {
		text = append(text[:maxShown:maxShown], []rune(" …")...)
	}
	for _, line := range term.Wrap(term.Clean(string(text)), term.Columns-4) {
		s.Line("    %s", line)
	}
	if q.Partial {
		s.Line("    %s", s.Paint(term.Dim, "this is a part of it: it can be denied, and allowed at the session alone"))
	}
}

// decidedView is the JSON of an answer.
type decidedView struct {
	shell.Header
	OK        bool   `json:"ok"`
	ID        string `json:"id"`
	Decision  string `json:"decision"`
	Tool      string `json:"tool"`
	Session   string `json:"session"`
	Device    string `json:"device,omitzero"`
	Mesh      string `json:"mesh"`
	InputSHA  string `json:"input_sha256"`
	Delivered bool   `json:"delivered" jsonschema:"the machine of the session has the answer, which counts; false: it is on its way"`
}

func newAllow(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "allow <id>", Short: "Let a session do what it asks for, this once",
		Long: "Let a session do what it asks for, this once. What it is to do is shown whole, and asked about; without a terminal it takes --yes. <id> is what " +
			"the list shows, or the first 4 or more characters: there is no word for all. This is for a human in a terminal outside of every session: a " +
			"host session is refused. " + about,
		Example:           "claudemesh approvals allow 5e551023",
		Args:              shell.Exactly("the id"),
		ValidArgsFunction: complete(a),
		RunE:              func(cmd *cobra.Command, args []string) error { return runAllow(cmd, a, args[0]) },
	}
}

func runAllow(cmd *cobra.Command, a *shell.App, id string) error {
	if err := shell.Outside(a, "a permission is given"); err != nil {
		_ = audit.New(a.Home.Config.Audit(), a.Now).Append(cmd.Context(), audit.Entry{ // it is refused whether that is written or not
			Event: audit.Approval, Resource: "approval", Verb: "allow", IsWrite: true, Yes: a.Flags.Yes, Decision: audit.Refused,
			Reason: mesh.PublicText(err), Session: a.Env.Claude.SessionID,
		})
		return err
	}
	q, err := find(cmd.Context(), a, id)
	if err != nil {
		return err
	}
	if !a.Flags.Yes && a.Err.TTY {
		a.Err.Line("%s  %s", a.Err.Paint(term.Bold, term.Clean(q.Tool)), a.Err.Paint(term.Dim, shell.Facts(term.Clean(q.Session), term.Clean(q.Device), q.Mesh)))
		for _, line := range term.Wrap(term.Clean(string(q.Input)), term.Columns-4) {
			a.Err.Line("    %s", line)
		}
	}
	if err := shell.Confirm(cmd, a, "this lets "+term.Clean(q.Session)+" use "+term.Clean(q.Tool)+" as shown"); err != nil {
		return err
	}
	return decide(cmd.Context(), a, localapi.ApprovalAllow, localapi.ApprovalDecision{ID: q.ID, InputSHA: q.InputSHA})
}

// find gives the question that an id means: what is allowed is what was shown.
func find(ctx context.Context, a *shell.App, id string) (localapi.Approval, error) {
	answer, err := shell.Call(ctx, a, localapi.Approvals, shell.CallTime, localapi.ApprovalsRequest{})
	if err != nil {
		return localapi.Approval{}, err
	}
	var found []localapi.Approval
	for _, q := range answer.Approvals {
		if len(id) >= 4 && strings.HasPrefix(q.ID, id) {
			found = append(found, q)
		}
	}
	switch len(found) {
	case 0:
		return localapi.Approval{}, mesh.Errorf(mesh.ApprovalOver, "no question %q waits: it was answered, or its time is over", id)
	case 1:
		return found[0], nil
	}
	return localapi.Approval{}, mesh.Errorf(mesh.AmbiguousPrefix, "%d questions begin with %q", len(found), id)
}

func newDeny(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "deny <id>", Short: "Refuse what a session asks for",
		Long: "Refuse what a session asks for, this once. <id> is what the list shows, or the first 4 or more characters. A session may refuse what it asked " +
			"for itself. " + about,
		Example:           "claudemesh approvals deny 5e551023",
		Args:              shell.Exactly("the id"),
		ValidArgsFunction: complete(a),
		RunE: func(cmd *cobra.Command, args []string) error {
			return decide(cmd.Context(), a, localapi.ApprovalDeny, localapi.ApprovalDecision{ID: args[0]})
		},
	}
}

func decide(ctx context.Context, a *shell.App, c localapi.Call[localapi.ApprovalDecision, localapi.ApprovalDecided], req localapi.ApprovalDecision) error {
	d, err := shell.Call(ctx, a, c, shell.CallTime, req)
	if err != nil {
		return err
	}
	q := d.Approval
	v := decidedView{shell.NewHeader(), true, q.ID, d.Decision, q.Tool, q.Session, q.Device, q.Mesh, q.InputSHA, d.Delivered}
	return a.Print(v, func(s term.Stream) {
		where := ""
		if !d.Delivered {
			where = "on its way to " + term.Clean(q.Device)
		}
		done := map[string]string{"allow": "allowed ", "deny": "denied "}[d.Decision]
		s.OK(done+term.Clean(q.Tool), shell.Facts(term.Clean(q.Session), q.Mesh, where))
	})
}

// complete offers the ids of what waits, with session and tool.
func complete(a *shell.App) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		answer, err := shell.Ask(cmd.Context(), a, localapi.Approvals, shell.ProbeTime, localapi.ApprovalsRequest{})
		if len(args) > 0 || err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp // nobody is there to read why
		}
		var words []string
		for _, q := range answer.Approvals {
			if id := localapi.ShortApproval(q.ID); shell.Completable(id) {
				words = append(words, cobra.CompletionWithDesc(id, shell.Facts(term.Clean(q.Tool), term.Clean(q.Session))))
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}
