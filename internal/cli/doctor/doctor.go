// Package doctor is the verb doctor, which looks after everything that has to be right for sessions to be on the mesh.
package doctor

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Level is how grave a finding is.
type Level string

// The levels: all is well, worth knowing, and something that has to be mended.
const (
	Fine Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// finding is what came of one look.
type finding struct {
	level  Level
	detail string
	fix    string // what a human does about it
}

func fine(detail string) finding      { return finding{level: Fine, detail: detail} }
func warn(detail, fix string) finding { return finding{Warn, detail, fix} }
func fail(detail, fix string) finding { return finding{Fail, detail, fix} }

// check is one thing that is looked at.
type check struct {
	id, name string
	look     func(ctx context.Context, p *patient) finding
	mend     func(ctx context.Context, p *patient) error // nil: nothing that is safe mends it
}

// checkView is a check in the JSON of doctor.
type checkView struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	OK     bool   `json:"ok" jsonschema:"false for level fail alone"`
	Level  Level  `json:"level" jsonschema:"ok, warn or fail"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitzero" jsonschema:"what to do"`
	Fixed  bool   `json:"fixed,omitzero" jsonschema:"--fix mended it"`
}

// view is the JSON of doctor.
type view struct {
	shell.Header
	OK       bool          `json:"ok" jsonschema:"no check failed"`
	Checks   []checkView   `json:"checks"`
	Clients  []clientView  `json:"clients" jsonschema:"the programs in use, and how messages reach their sessions"`
	Sessions []sessionView `json:"sessions" jsonschema:"that are registered with the daemon"`
}

// Unit does what there is to do with the daemon's service.
type Unit func(ctx context.Context, a *shell.App, dry bool) (shell.UnitChange, error)

// New makes the verb; unit has the system start the daemon, and skill gives the files of the bundled skill, by name.
func New(a *shell.App, skill func() map[string]string, unit Unit) *cobra.Command {
	var mend bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything that sessions need to be on the mesh",
		Long: "Check the program, the agents in use and what they are told, meshes and keys, who may read the files, the daemon, its service and its brokers; and " +
			"say how messages reach the sessions of each agent. It starts nothing and changes nothing. With --fix it mends what is safe to mend: " +
			"files that others may read, entries that are out of date, and a daemon that does not run; that is for a human in a terminal. The exit status is 1 " +
			"when a check failed.",
		Example: "claudemesh doctor\nclaudemesh doctor --fix\nclaudemesh doctor --json",
		Args:    a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if mend {
				if err := shell.Outside(a, "things are mended"); err != nil {
					return err
				}
			}
			return run(cmd.Context(), a, func() (*patient, error) { return newPatient(cmd.Context(), a, skill(), unit) }, mend)
		},
	}
	cmd.Flags().BoolVar(&mend, "fix", false, "mend what is safe to mend, then check again")
	return cmd
}

func run(ctx context.Context, a *shell.App, admit func() (*patient, error), mend bool) error {
	p, err := admit()
	if err != nil {
		return err
	}
	v := view{Header: shell.NewHeader(), OK: true, Checks: examine(ctx, p)}
	if mend {
		if v.Checks, p, err = cure(ctx, a, p, v.Checks, admit); err != nil {
			return err
		}
	}
	v.OK = !slices.ContainsFunc(v.Checks, func(c checkView) bool { return !c.OK })
	v.Clients, v.Sessions = clientsOf(p), sessionsOf(ctx, p)
	if err := a.Print(v, func(s term.Stream) { show(s, v) }); err != nil || v.OK {
		return err
	}
	return shell.Exit(mesh.ExitCancelled) // 1: scripts test it (cli 26.3)
}

// examine makes all checks.
func examine(ctx context.Context, p *patient) []checkView {
	var all []checkView
	for _, c := range checks(p) {
		f := c.look(ctx, p)
		all = append(all, checkView{ID: c.id, Name: c.name, OK: f.level != Fail, Level: f.level, Detail: f.detail, Fix: f.fix})
	}
	return all
}

// cure mends what it can, looks again, and says what is well now.
func cure(ctx context.Context, a *shell.App, p *patient, before []checkView, admit func() (*patient, error)) ([]checkView, *patient, error) {
	for i, c := range checks(p) {
		if before[i].Level == Fine || c.mend == nil {
			continue
		}
		if err := c.mend(ctx, p); err != nil {
			a.Warn("%s: %s", c.name, mesh.PublicText(err))
		}
	}
	again, err := admit()
	if err != nil {
		return nil, nil, err
	}
	after := examine(ctx, again)
	for i := range after {
		j := slices.IndexFunc(before, func(c checkView) bool { return c.ID == after[i].ID })
		after[i].Fixed = j >= 0 && before[j].Level != Fine && after[i].Level == Fine
	}
	return after, again, nil
}

func show(s term.Stream, v view) {
	for _, c := range v.Checks {
		switch {
		case c.Fixed:
			s.OK(c.Name+": mended", c.Detail)
		case c.Level == Fine:
			s.OK(c.Name, c.Detail)
		case c.Level == Warn:
			s.Line("%s %s  %s", s.Paint(term.Yellow, "⚠"), term.Clean(c.Name), s.Paint(term.Dim, term.Clean(c.Detail)))
		default:
			s.Line("%s %s  %s", s.Paint(term.Red, "✘"), term.Clean(c.Name), term.Clean(c.Detail))
		}
		if c.Fix != "" {
			s.Line("  %s", s.Paint(term.Dim, "→ "+term.Clean(c.Fix)))
		}
	}
	if len(v.Clients) > 0 {
		s.Section("How messages reach sessions")
	}
	for _, c := range v.Clients {
		s.Line("%s  %s", term.Clean(c.Name), s.Paint(term.Dim, term.Clean(c.Path)))
	}
	for _, one := range v.Sessions {
		s.Line("  %s  %s", term.Clean(one.DisplayName), s.Paint(term.Dim, term.Clean(shell.Facts(one.Host.Name, arrives(one)))))
	}
}
