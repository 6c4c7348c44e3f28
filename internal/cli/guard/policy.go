package guard

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/policy"
)

// NewPolicy is the noun policy.
func NewPolicy(a *shell.App) *cobra.Command {
	return shell.Noun("policy", "See and begin the rules of what verbs may do", newPolicyShow(a), newPolicyInit(a))
}

const aboutPolicy = "A policy says of verbs by resource and verb: allow, prompt or deny; the first rule that fits counts, then the default. Policies are " +
	"policy.yaml in the folder of the settings, the administrator's file, and what --policy and CLAUDEMESH_POLICY name. All of them are asked, and the " +
	"strictest answer counts: --yes answers a prompt, and nothing lifts a deny. --approval-mode plan and read-only refuse every verb that writes."

// policyView is the JSON of policy show.
type policyView struct {
	shell.Header
	Mode     policy.Mode `json:"mode"`
	Policies []fileView  `json:"policies"`
}

type fileView struct {
	Path     string     `json:"path"`
	Default  string     `json:"default"`
	Rules    []ruleView `json:"rules"`
	Warnings []string   `json:"warnings"`
}

type ruleView struct {
	Resources []string `json:"resource" jsonschema:"empty for all"`
	Verbs     []string `json:"verb" jsonschema:"empty for all"`
	Mesh      string   `json:"mesh,omitzero"`
	Decision  string   `json:"decision"`
	Reason    string   `json:"reason,omitzero"`
}

func newPolicyShow(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show the approval mode and the rules in force",
		Long:    "Show the approval mode and the rules in force, and rules that are about no verb. " + aboutPolicy,
		Example: "claudemesh policy show\nclaudemesh policy show --policy ./ci-policy.yaml --json=policies",
		Args:    a.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return runPolicyShow(a) },
	}
}

func runPolicyShow(a *shell.App) error {
	mode, err := shell.Mode(a)
	if err != nil {
		return err
	}
	files, err := shell.Policies(a)
	if err != nil {
		return err
	}
	v := policyView{shell.NewHeader(), mode, []fileView{}}
	for _, p := range files {
		v.Policies = append(v.Policies, viewOf(p))
	}
	return a.Print(v, func(s term.Stream) {
		s.Line("approval mode: %s", s.Paint(term.Bold, string(mode)))
		if len(files) == 0 {
			s.Empty("no policy: verbs that nothing brings back ask by themselves; `claudemesh policy init` begins one")
		}
		for _, f := range v.Policies {
			writeFile(s, f)
		}
	})
}

func viewOf(p policy.Policy) fileView {
	v := fileView{Path: p.Path, Default: p.Default.String(), Rules: []ruleView{}, Warnings: append([]string{}, p.Warnings...)}
	for _, r := range p.Rules {
		one := ruleView{append([]string{}, r.Resources...), append([]string{}, r.Verbs...), r.Mesh, r.Decision.String(), r.Reason}
		if v.Rules = append(v.Rules, one); r.Empty() {
			v.Warnings = append(v.Warnings, "no verb is meant by "+one.text())
		}
	}
	return v
}

func (r ruleView) text() string {
	all := func(names []string) string {
		if len(names) == 0 {
			return "*"
		}
		return strings.Join(names, ", ")
	}
	return all(r.Resources) + " " + all(r.Verbs)
}

func writeFile(s term.Stream, f fileView) {
	s.Heading(f.Path, "")
	for _, r := range f.Rules {
		s.Line("%s  %s  %s", s.Paint(term.Bold, r.Decision), term.Clean(r.text()), s.Paint(term.Dim, shell.Facts(shell.Prefixed("in ", term.Clean(r.Mesh)), term.Clean(r.Reason))))
	}
	s.Line("%s  everything else", s.Paint(term.Bold, f.Default))
	for _, w := range f.Warnings {
		s.Warn(term.Clean(w))
	}
}

// initView is the JSON of policy init.
type initView struct {
	shell.Header
	OK   bool   `json:"ok"`
	Path string `json:"path"`
}

func newPolicyInit(a *shell.App) *cobra.Command {
	return &cobra.Command{
		Use: "init", Short: "Write a policy that asks before what nothing brings back",
		Long: "Write policy.yaml, with rules that ask before what nothing brings back or others feel, to be edited. One that is there stays. This is for a " +
			"human in a terminal: a host session is refused. " + aboutPolicy,
		Example: "claudemesh policy init",
		Args:    a.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return runPolicyInit(a) },
	}
}

func runPolicyInit(a *shell.App) error {
	if err := shell.Outside(a, "a policy is begun"); err != nil {
		return err
	}
	path := a.Home.Policies()[0]
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return mesh.Errorf(mesh.FileExists, "%s is there already", path)
	}
	if err := paths.EnsureDir(filepath.Dir(path), paths.DirMode); err != nil {
		return err
	}
	if err := paths.WriteSecret(path, []byte(policy.Standard)); err != nil {
		return err
	}
	return a.Print(initView{shell.NewHeader(), true, path}, func(s term.Stream) { s.OK("wrote a policy", path) })
}
