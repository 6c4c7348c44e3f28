// Package policy decides what verbs may do (cli 10): the approval mode of a run, and the rules of its user and of the
// administrator of the machine. Several files may have a say; the strictest answer counts, so that no flag, variable or
// further file loosens what one of them forbids.
package policy

import (
	"path"
	"slices"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Mode is how much a run may do.
type Mode string

// The modes. Plan and ReadOnly refuse what writes; Yolo answers questions with yes, and lifts no refusal.
const (
	Plan     Mode = "plan"
	ReadOnly Mode = "read-only"
	Writing  Mode = "write"
	Yolo     Mode = "yolo"
)

// Modes lists the modes, the strictest first.
func Modes() []string { return []string{string(Plan), string(ReadOnly), string(Writing), string(Yolo)} }

// ParseMode reads a mode; usage otherwise. Empty is Writing.
func ParseMode(text string) (Mode, error) {
	switch {
	case text == "":
		return Writing, nil
	case slices.Contains(Modes(), text):
		return Mode(text), nil
	}
	return "", mesh.Errorf(mesh.Usage, "%q is no approval mode: plan, read-only, write or yolo", text)
}

// Decision is what becomes of a verb. Later ones are stricter.
type Decision int

// The decisions.
const (
	Allow Decision = iota
	Prompt
	Deny
)

// String is the decision as files have it.
func (d Decision) String() string { return [...]string{"allow", "prompt", "deny"}[d] }

// Rule is about some verbs.
type Rule struct {
	Resources []string // patterns with *; none means all
	Verbs     []string
	Mesh      string // slug; empty means all
	Decision  Decision
	Reason    string
}

// Policy is one file.
type Policy struct {
	Path     string
	Default  Decision
	Rules    []Rule
	Warnings []string // what was read otherwise than it was meant, for people
}

// Request is what a verb is about to do.
type Request struct {
	Act
	Mode Mode
	Mesh string // slug that the command line names; empty where it names none, and any may be meant
}

// Verdict is what becomes of a request, and who says so.
type Verdict struct {
	Decision Decision
	Reason   string
	Path     string // of the file; empty where the mode says it
}

// Decide asks the mode and every file. The first strictest answer counts.
func Decide(req Request, files []Policy) Verdict {
	if req.Kind == Machine {
		return Verdict{}
	}
	if req.Kind != Read && (req.Mode == Plan || req.Mode == ReadOnly) {
		return Verdict{Decision: Deny, Reason: "the approval mode is " + string(req.Mode)}
	}
	var v Verdict
	for _, p := range files {
		if said := p.decide(req); said.Decision > v.Decision {
			v = said
		}
	}
	return v
}

// decide is the answer of one file: that of its first rule that fits (cli 10.4).
func (p Policy) decide(req Request) Verdict {
	for _, r := range p.Rules {
		if r.fits(req) {
			return Verdict{r.Decision, r.Reason, p.Path}
		}
	}
	return Verdict{p.Default, "it is the default of the policy", p.Path}
}

// fits reports whether a rule is about a request. One for a mesh that the command line does not name fits where it
// forbids, and not where it allows: the verb may be about that mesh.
func (r Rule) fits(req Request) bool {
	if r.Mesh != "" && r.Mesh != req.Mesh && (req.Mesh != "" || r.Decision == Allow) {
		return false
	}
	return matches(r.Resources, req.Resource) && matches(r.Verbs, req.Verb)
}

func matches(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return ok && err == nil // a pattern was read before
	})
}

// Empty reports whether a rule is about no verb that there is.
func (r Rule) Empty() bool {
	return !slices.ContainsFunc(acts[:], func(a Act) bool {
		return a.Kind != Machine && matches(r.Resources, a.Resource) && matches(r.Verbs, a.Verb)
	})
}

// Standard is the policy that `policy init` writes (cli 10.4).
const Standard = `# What claudemesh verbs may do. The first rule that fits counts; then the default.
# decision: allow, prompt (asks on a terminal, or takes --yes) or deny (--yes does not help).
# resource and verb: a name, a list, or a pattern with *. mesh: a short name.
default: allow
rules:
  - resource: peer
    verb: [kick, ban, disconnect]
    decision: prompt
    reason: others lose their connection
  - resource: mesh
    verb: delete
    decision: prompt
    reason: nothing brings the mesh back
  - resource: message
    verb: [delete, flush]
    decision: prompt
    reason: nothing brings the messages back
  - resource: invite
    verb: revoke
    decision: prompt
    reason: who has the link cannot join any more
`
