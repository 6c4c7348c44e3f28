package shell

import (
	"cmp"
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/claudemesh/claudemesh/internal/audit"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/policy"
)

// guard lets a verb run, asks about it, or refuses it, as the mode of the run and the policies say (cli 10). What it asks
// about or refuses is in the audit log. Where no policy is, it looks for two files and is done.
func guard(cmd *cobra.Command, a *App) error {
	mode, err := Mode(a)
	act := actOf(cmd)
	if err != nil || act.Kind == policy.Machine {
		return err
	}
	files, err := Policies(a)
	if err != nil {
		return err
	}
	req := policy.Request{Act: act, Mode: mode, Mesh: meshOf(cmd)}
	v := policy.Decide(req, files)
	if v.Decision == policy.Allow {
		return nil
	}
	for _, p := range files {
		for _, w := range p.Warnings {
			a.Warn("%s", term.Clean(w))
		}
	}
	yes := a.Flags.Yes || mode == policy.Yolo
	note := func(decision string) error {
		return audit.New(a.Home.Config.Audit(), a.Now).Append(cmd.Context(), audit.Entry{
			Event: audit.Policy, Resource: act.Resource, Verb: act.Verb, Mesh: req.Mesh, Mode: string(mode), IsWrite: act.Kind != policy.Read,
			Yes: yes, Decision: decision, Reason: v.Reason,
		})
	}
	if v.Decision == policy.Deny {
		if err := note(audit.Denied); err != nil {
			a.Warn("the refusal is not in the audit log: %s", mesh.PublicText(err))
		}
		return refusal(req, v)
	}
	if err := note(audit.Asked); err != nil {
		return err
	}
	if yes || a.Answers && a.Err.TTY && asked(a, act.Resource+" "+act.Verb+": "+v.Reason) {
		a.agreed = true
		return nil
	}
	if err := note(audit.Cancelled); err != nil {
		return err
	}
	return mesh.Errorf(mesh.PolicyDenied, "%s %s needs a yes: %s (%s); on a terminal it is asked for, else add --yes", act.Resource, act.Verb, v.Reason, v.Path)
}

func refusal(req policy.Request, v policy.Verdict) error {
	if v.Path == "" {
		return mesh.Errorf(mesh.PolicyDenied, "%s %s is refused: %s", req.Resource, req.Verb, v.Reason)
	}
	return mesh.Errorf(mesh.PolicyDenied, "%s %s is refused by %s: %s", req.Resource, req.Verb, v.Path, v.Reason)
}

// actOf is what a verb is for a policy. A noun without a verb, and what completes words, do nothing.
func actOf(cmd *cobra.Command) policy.Act {
	if !cmd.HasParent() || cmd.HasSubCommands() && cmd.Annotations[SelfKey] == "" || cmd.Name() == cobra.ShellCompRequestCmd {
		return policy.Act{Kind: policy.Machine}
	}
	act := policy.Of(cmp.Or(cmd.Annotations[CopyKey], PathOf(cmd)))
	if act.Edits {
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Changed && f.Name != "mesh" {
				act.Kind = policy.Write
			}
		})
	}
	return act
}

// meshOf is the mesh that a command line names by its flag.
func meshOf(cmd *cobra.Command) string {
	if f := cmd.Flags().Lookup("mesh"); f != nil {
		return f.Value.String()
	}
	return ""
}

// Mode is the approval mode of a run (cli 10.4). The flag wins over the variable, which never loosens: it is not Yolo, and
// within a host session the stricter of both counts (design E4).
func Mode(a *App) (policy.Mode, error) {
	if a.Flags.Mode == "" && a.Env.ApprovalMode == "" {
		return policy.Writing, nil
	}
	flag, err := policy.ParseMode(a.Flags.Mode)
	if err != nil {
		return "", err
	}
	env, err := policy.ParseMode(a.Env.ApprovalMode)
	switch {
	case err != nil:
		return "", mesh.Errorf(mesh.SettingsRefused, "CLAUDEMESH_APPROVAL_MODE: %w", err)
	case env == policy.Yolo:
		a.Warn("CLAUDEMESH_APPROVAL_MODE is not taken for yolo: a variable only tightens")
		env = policy.Writing
	}
	if a.Flags.Mode == "" || a.Env.Claude.Inside && (env == policy.Plan || env == policy.ReadOnly) {
		return env, nil
	}
	return flag, nil
}

// Policies reads the files that have a say: the administrator's, the user's, and what a variable and a flag name. All of
// them count. One that a variable or flag names has to be there; one that cannot be read lets no verb run.
func Policies(a *App) ([]policy.Policy, error) {
	var all []policy.Policy
	read := func(path string, wanted bool) error {
		if path == "" {
			return nil
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) && !wanted {
			return nil
		}
		if err != nil {
			return mesh.Errorf(mesh.ConfigUnreadable, "read the policy: %w", err)
		}
		p, err := policy.Parse(path, text)
		all = append(all, p)
		return err
	}
	err := read(a.Sys.Admin, false)
	for _, path := range a.Home.Policies() {
		err = errors.Join(err, read(path, false))
	}
	for _, path := range []string{a.Env.PolicyFile, a.Flags.Policy} {
		err = errors.Join(err, read(path, true))
	}
	return all, err
}
