// Package guard is the verbs about what verbs may do on this machine, and about the log of what was asked and refused.
package guard

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/audit"
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// NewAudit is the noun audit.
func NewAudit(a *shell.App) *cobra.Command {
	return shell.Noun("audit", "See what was asked, refused and approved on this machine", newAuditList(a), newAuditVerify(a))
}

const aboutAudit = "The log holds each verb that a policy asked about or refused, and each permission that was asked for and answered elsewhere: " +
	"who, what and when, no texts. It lies in audit.log in the folder of the settings. Each line holds the hash of the one before."

// maxListed bounds how many entries are printed.
const maxListed = 10_000

func newAuditList(a *shell.App) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List what was asked, refused and approved, the newest last",
		Long:    "List what was asked, refused and approved, the newest last. " + aboutAudit + "\n\nThe JSON is an array of entries.",
		Example: "claudemesh audit list\nclaudemesh audit list --limit 200 --json=ts,resource,verb,decision",
		Args:    a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > maxListed {
				return shell.Usage(cmd, "--limit is 1 to %d", maxListed)
			}
			return runAuditList(cmd.Context(), a, limit)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "at most this many `entries`")
	return cmd
}

func runAuditList(ctx context.Context, a *shell.App, limit int) error {
	all, err := audit.New(a.Home.Config.Audit(), a.Now).List(ctx, limit)
	if err != nil {
		return err
	}
	return a.Print(all, func(s term.Stream) {
		if len(all) == 0 {
			s.Empty("nothing was asked or refused so far")
		}
		for _, e := range all {
			style := term.Dim
			switch e.Decision {
			case audit.Denied, audit.Refused:
				style = term.Yellow
			}
			s.Line("%s  %s %s  %s  %s", s.Paint(term.Dim, e.TS), term.Clean(e.Resource), term.Clean(e.Verb), s.Paint(style, term.Clean(e.Decision)),
				s.Paint(term.Dim, shell.Facts(term.Clean(e.Mesh), term.Clean(e.Tool), term.Clean(e.Reason))))
		}
	})
}

// auditView is the JSON of audit verify.
type auditView struct {
	shell.Header
	OK bool `json:"ok"`
	audit.Report
}

func newAuditVerify(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Check that no line of the log was changed or taken out",
		Long: "Check that no line of the log was changed, taken out or put in, and name the first one that was: its file and its number. " + aboutAudit +
			" The oldest parts go when there are many. Whoever may run programs as you can write the whole log anew, so this is no proof against them.",
		Example: "claudemesh audit verify && echo whole",
		Args:    a.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runAuditVerify(cmd.Context(), a) },
	}
}

func runAuditVerify(ctx context.Context, a *shell.App) error {
	r, err := audit.New(a.Home.Config.Audit(), a.Now).Verify(ctx)
	if err != nil {
		return err
	}
	if f := r.Fault; f != nil {
		return mesh.Errorf(mesh.AuditBroken, "%s, line %d: %s", f.File, f.Line, f.Text)
	}
	return a.Print(auditView{shell.NewHeader(), true, r}, func(s term.Stream) {
		s.OK("the log is whole", shell.Count(int(r.Entries), "entry", "entries"))
	})
}
