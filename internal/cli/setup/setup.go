// Package setup is the verbs that tell the programs of this machine about claudemesh: install, uninstall.
package setup

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/install"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// installedView is the JSON of install and uninstall.
type installedView struct {
	shell.Header
	OK      bool       `json:"ok"`
	DryRun  bool       `json:"dry_run"`
	Program string     `json:"program" jsonschema:"absolute path that is written into their files"`
	Steps   []stepView `json:"steps"`
	Service *unitView  `json:"service,omitzero" jsonschema:"the daemon as a service of the system"`
	Purged  string     `json:"purged,omitzero" jsonschema:"folder that --purge removed, or would remove"`
}

type unitView struct {
	Action  install.Action `json:"action" jsonschema:"added, updated, unchanged, removed, absent, unavailable or failed"`
	Path    string         `json:"path"`
	Reason  string         `json:"reason,omitzero" jsonschema:"why it is unavailable or failed"`
	Waiting []string       `json:"waiting,omitzero" jsonschema:"meshes whose broker was not reached yet"`
}

type stepView struct {
	Client string         `json:"client"`
	Name   string         `json:"name"`
	What   string         `json:"what"`
	Path   string         `json:"path"`
	Link   string         `json:"link,omitzero" jsonschema:"symbolic link that leads to path"`
	Action install.Action `json:"action"`
}

// flags are those that install and uninstall share.
type flags struct {
	clients []string
	dry     bool
	skip    []string          // parts that are not written
	skill   map[string]string // files of the skill
	unit    UnitWork          // nil: the service stays as it is
	purge   func() error      // nil: the folder of claudemesh stays
}

// UnitWork does what there is to do with the daemon's service.
type UnitWork func(ctx context.Context, a *shell.App, dry bool) (shell.UnitChange, error)

const known = "It knows Claude Code, Codex CLI, Gemini CLI, OpenCode, Cursor, VS Code and Copilot CLI."

// NewInstall tells the programs in use, and has the system start the daemon by unit; skill gives the files of the bundled
// skill, by name.
func NewInstall(a *shell.App, skill func() map[string]string, unit UnitWork) *cobra.Command {
	var f flags
	var noSkill, noHooks, noService, statusLine bool
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Put the sessions of Claude Code and other agents on the mesh",
		Long: "Put the sessions of the agents that you use on the mesh: each is told of `claudemesh mcp` in its own file of settings, for all " +
			"projects of this user; Claude Code also gets hooks, which say that a session works or rests and which " +
			"messages it was shown, and the skill that `claudemesh skill` prints. The system's service manager, where there is one, starts the daemon at each " +
			"login. " + known + "\n\nNothing else in their files changes, comments and order included, and what they were is kept. " +
			"No permission is added. Running it again changes nothing, or writes the new place of the program. When one file cannot be read, none is " +
			"written. `claudemesh uninstall` takes everything out.\n\nThis is for a human in a terminal: a host session is refused.",
		Example: "claudemesh install\nclaudemesh install --client claude,codex\nclaudemesh install --status-line\nclaudemesh install --dry-run --json",
		Args:    a.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if noSkill {
				f.skip = append(f.skip, install.Skill)
			}
			if noHooks {
				f.skip = append(f.skip, install.Hooks)
			}
			if !statusLine {
				f.skip = append(f.skip, install.StatusLine)
			}
			if !noService {
				f.unit = unit
			}
			f.skill = skill()
			if err := run(cmd.Context(), a, f, inUse, (*install.Installer).Install); err != nil {
				return err
			}
			return warnOfPlugin(a, f)
		},
	}
	cmd.Flags().BoolVar(&noHooks, "no-hooks", false, "do not write hooks: others do not see that a session works, nor that it was shown a message")
	cmd.Flags().BoolVar(&noSkill, "no-skill", false, "do not write the skill")
	cmd.Flags().BoolVar(&noService, "no-service", false, "do not have the system start the daemon: the first verb or session does")
	cmd.Flags().BoolVar(&statusLine, "status-line", false, "have Claude Code show `claudemesh status-line`, unless it has a status line already")
	return withFlags(cmd, &f, "tell these programs, in use or not: ")
}

// warnOfPlugin tells whose Claude Code has the plugin, too.
func warnOfPlugin(a *shell.App, f flags) error {
	places, err := shell.Places(a)
	if err == nil && places.Plugged() && (len(f.clients) == 0 || slices.Contains(f.clients, "claude")) {
		a.Warn("Claude Code has the plugin of claudemesh, too, and hooks run twice: `claude plugin uninstall %s` takes it out", install.PluginID)
	}
	return err
}

func withFlags(cmd *cobra.Command, f *flags, what string) *cobra.Command {
	var ids []string
	for _, c := range install.Clients() {
		ids = append(ids, c.ID)
	}
	cmd.Flags().StringSliceVar(&f.clients, "client", nil, what+strings.Join(ids, ", "))
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, "say what would be done, and write nothing")
	shell.OfferWords(cmd, "client", ids...)
	return cmd
}

// inUse are the programs that seem to be in use.
func inUse(p install.Places) ([]install.Client, error) {
	all := slices.DeleteFunc(install.Clients(), func(c install.Client) bool { return !c.InUse(p) })
	if len(all) == 0 {
		return nil, mesh.Errorf(mesh.NotFound, "none of the programs that claudemesh knows is in use here, and nothing was written; --client names one all the same, and `claudemesh daemon install-service` has the system start the daemon without one")
	}
	return all, nil
}

func everyone(install.Places) ([]install.Client, error) { return install.Clients(), nil }

// named are the programs that a flag names.
func named(ids []string) ([]install.Client, error) {
	all := install.Clients()
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(c install.Client) bool { return c.ID == id }) {
			return nil, mesh.Errorf(mesh.InvalidArgument, "--client %q is no program that claudemesh knows", id)
		}
	}
	return slices.DeleteFunc(all, func(c install.Client) bool { return !slices.Contains(ids, c.ID) }), nil
}

type work func(in *install.Installer, ctx context.Context, clients []install.Client, dry bool) ([]install.Step, error)

func run(ctx context.Context, a *shell.App, f flags, usual func(install.Places) ([]install.Client, error), do work) error {
	wanted, err := named(f.clients)
	if err != nil {
		return err
	}
	if !f.dry {
		if err := shell.Outside(a, "what other programs are told is changed"); err != nil {
			return err
		}
	}
	places, err := shell.Places(a)
	if err != nil {
		return err
	}
	in := &install.Installer{Places: places, Program: shell.Program(a), State: a.Home.Config.Install(), Skip: f.skip, Skill: f.skill}
	if !filepath.IsAbs(in.Program) {
		return mesh.Errorf(mesh.IOError, "the path of this program is not known")
	}
	clients := wanted
	if len(clients) == 0 {
		if clients, err = usual(in.Places); err != nil {
			return err
		}
	}
	steps, err := do(in, ctx, clients, f.dry)
	if err != nil {
		return err
	}
	v := installedView{Header: shell.NewHeader(), OK: true, DryRun: f.dry, Program: in.Program, Steps: []stepView{}}
	for _, s := range steps {
		i := slices.IndexFunc(clients, func(c install.Client) bool { return c.ID == s.Client })
		v.Steps = append(v.Steps, stepView{s.Client, clients[i].Name, s.What, s.Path, s.Link, s.Action})
	}
	var failed error
	if f.unit != nil {
		change, err := f.unit(ctx, a, f.dry)
		v.Service, failed = &unitView{change.Action, change.Path, change.Reason, change.Waiting}, err
	}
	if failed != nil { // the programs have been told all the same
		v.OK, v.Service.Action, v.Service.Reason = false, shell.UnitFailed, mesh.PublicText(failed)
	}
	if failed == nil && f.purge != nil {
		v.Purged = a.Home.Root
		if err := f.purge(); err != nil {
			return err
		}
	}
	if err := a.Print(v, func(out term.Stream) { show(out, v) }); err != nil || failed == nil {
		return err
	}
	return shell.Exit(mesh.CodeOf(failed).Exit())
}

// show writes what was done; what there was nothing of is not worth a line, unless that is all.
func show(out term.Stream, v installedView) {
	var changed []string
	shown := 0
	for _, s := range gather(v.Steps) {
		text := term.Clean(s.Name) + ": " + s.What + " " + string(s.Action)
		switch where := shell.Facts(s.Path, linked(s)); s.Action {
		case install.Absent:
			continue
		case install.Kept:
			out.Off(term.Clean(s.Name) + ": there is a " + s.What + " of yours already, which stays  " + where)
		case install.Unchanged:
			out.Off(text + "  " + where)
		default:
			if v.DryRun {
				text = term.Clean(s.Name) + ": " + s.What + " would be " + string(s.Action)
			}
			out.OK(text, where)
			if !slices.Contains(changed, s.Name) {
				changed = append(changed, s.Name)
			}
		}
		shown++
	}
	shown += showUnit(out, v)
	if v.Purged != "" {
		showPurged(out, v)
		return
	}
	switch {
	case shown == 0:
		out.Off("nothing of claudemesh is in their files")
	case len(changed) > 0 && !v.DryRun:
		out.Hint("sessions of " + strings.Join(changed, ", ") + " that run already go on as they are until they start again")
	}
}

// showUnit writes what became of the service, and counts the lines.
func showUnit(out term.Stream, v installedView) int {
	if v.Service == nil || v.Service.Action == install.Absent {
		return 0
	}
	text := "service: " + string(v.Service.Action)
	if v.DryRun {
		text = "service would be " + string(v.Service.Action)
	}
	switch u := v.Service; u.Action {
	case install.Unchanged:
		out.Off("service: unchanged  " + u.Path)
	case shell.UnitUnavailable:
		out.Off("service: not installed, " + u.Reason + "; the first verb or session starts the daemon")
	case shell.UnitFailed:
		out.Warn("service: not installed: " + u.Reason)
	default:
		out.OK(text, u.Path)
	}
	for _, name := range v.Service.Waiting {
		out.Warn(name + " is not connected yet: `claudemesh daemon status` says why")
	}
	return 1
}

// gather makes one step of those of one program that have the same name, in the folder that they share.
func gather(steps []stepView) (all []stepView) {
	for _, s := range steps {
		i := slices.IndexFunc(all, func(o stepView) bool { return o.Client == s.Client && o.What == s.What })
		if i < 0 {
			all = append(all, s)
			continue
		}
		all[i].Path = filepath.Dir(s.Path)
		switch {
		case all[i].Action == install.Unchanged || all[i].Action == install.Absent:
			all[i].Action = s.Action
		case s.Action != all[i].Action && s.Action != install.Unchanged && s.Action != install.Absent:
			all[i].Action = install.Updated
		}
	}
	return all
}

func linked(s stepView) string {
	if s.Link == "" {
		return ""
	}
	return "by the link " + s.Link
}
