package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

func parsed(t *testing.T, text string) Policy {
	t.Helper()
	p, err := Parse("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParse(t *testing.T) {
	t.Parallel()
	want := Policy{
		Path: "p.yaml", Default: Prompt, Rules: []Rule{
			{Resources: []string{"peer"}, Verbs: []string{"kick", "ban"}, Decision: Deny, Reason: `say "no" # really`},
			{Resources: []string{"*"}, Verbs: []string{"list"}, Mesh: "team", Decision: Allow, Reason: "it's fine"},
		},
	}
	for name, text := range map[string]string{
		"yaml": "# ours\ndefault: prompt   # asks\n\nrules:\n  - resource: peer\n    verb: [kick, \"ban\"]\n    decision: deny\n    reason: \"say \\\"no\\\" # really\"\n" +
			"  - resource: \"*\"\n    verb: list\n    mesh: team\n    decision: 'allow'\n    reason: 'it''s fine'\n",
		"yaml without indentation, with carriage returns": "---\r\nrules:\r\n- resource: [peer]\r\n  verb: ['kick', ban]\r\n  decision: deny\r\n  reason: 'say \"no\" # really'\r\n" +
			"-   resource: '*'\r\n    verb: list\r\n    mesh: team\r\n    decision: allow\r\n    reason: it's fine # and this is not in it\r\ndefault: prompt\r\n",
		"json": `{"default":"prompt","rules":[{"resource":"peer","verb":["kick","ban"],"decision":"deny","reason":"say \"no\" # really"},` +
			`{"resource":"*","verb":"list","mesh":"team","decision":"allow","reason":"it's fine"}]}`,
	} {
		if diff := cmp.Diff(want, parsed(t, text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if p := parsed(t, "rules: []\n"); len(p.Rules) != 0 || p.Default != Allow {
		t.Errorf("got %+v of an empty list, want nothing", p)
	}
	if p := parsed(t, ""); len(p.Rules) != 0 || p.Default != Allow {
		t.Errorf("got %+v of an empty file, want nothing", p)
	}
	if p := parsed(t, Standard); len(p.Rules) != 4 || p.Default != Allow || len(p.Warnings) > 0 {
		t.Errorf("got %+v of the standard policy, want four rules", p)
	}
	for _, r := range parsed(t, Standard).Rules {
		if r.Empty() {
			t.Errorf("the standard rule %+v is about no verb", r)
		}
	}
}

// TestParseRefuses: a rule that is passed over would allow what it forbids.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"defalt: deny", `"defalt"`},
		{"default: deny\ndefault: allow", "line 2: default stands there twice"},
		{"default:", "default has 0 values"},
		{"rules:\n  - resource: peer\n    verb: kick\n", "no decision"},
		{"rules:\n  - resource: peer\n    decision: deny\n    peers: [bob]\n", `line 4: there is no "peers"`},
		{"rules:\n  - resource: peer\n   decision: deny\n", "line 3: the indentation"},
		{"rules:\n\t- resource: peer\n", "line 2: a tab"},
		{"rules:\n  - resource: peer\n    resource: mesh\n    decision: deny\n", "line 3: resource stands there twice"},
		{"rules:\n  - resource: [peer\n    decision: deny\n", "line 2: the list of resource has no end"},
		{"rules:\n  - resource: []\n    decision: deny\n", "empty list"},
		{"rules:\n  - resource: '['\n    decision: deny\n", "no pattern"},
		{"rules:\n  - resource: {a: b}\n    decision: deny\n", "in quotes"},
		{"rules:\n  - resource: *peer_s!\n    decision: deny\n", "in quotes"},
		{"rules:\n  - resource: \"peer\n    decision: deny\n", "in quotes"},
		{"  - resource: peer\n    decision: deny\n", "line 1: the indentation"},
		{"rules: peer", "rules is a list"},
		{"- deny", "line 1: want a name"},
		{"hello", "line 1: want a name"},
		{`{"default":"deny","default":"allow"}`, ""},
		{`{"rule":[]}`, `"rule"`},
		{`{"rules":[{"resource":1,"decision":"deny"}]}`, "rule 1"},
		{`{"rules":[{"resource":"peer"}]}`, "rule 1: a rule has no decision"},
		{`{"rules":{}}`, "rules"},
		{`{`, ""},
	} {
		if _, err := Parse("p", []byte(tt.text)); !mesh.IsCode(err, mesh.ConfigUnreadable) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want it refused with %s", tt.text, err, tt.want)
		}
	}
}

func TestUnknownDecisionIsDeny(t *testing.T) {
	t.Parallel()
	p := parsed(t, "rules:\n  - resource: peer\n    decision: alow\n")
	if p.Rules[0].Decision != Deny || len(p.Warnings) != 1 {
		t.Errorf("got %+v, want deny and a warning", p)
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	rules := func(text string) Policy { return parsed(t, "rules:\n"+text) }
	kicks := rules("  - resource: peer\n    verb: kick\n    decision: prompt\n")
	denies := rules("  - resource: p*r\n    decision: deny\n")
	allows := rules("  - resource: peer\n    decision: allow\n  - resource: '*'\n    decision: deny\n")
	team := rules("  - resource: peer\n    mesh: team\n    decision: deny\n")
	open := rules("  - resource: peer\n    mesh: team\n    decision: allow\n  - verb: '*'\n    decision: deny\n")
	for _, tt := range []struct {
		name  string
		path  string
		mode  Mode
		mesh  string
		files []Policy
		want  Decision
	}{
		{"nothing says anything", "kick", Writing, "", nil, Allow},
		{"read-only: a verb that writes", "send", ReadOnly, "", nil, Deny},
		{"read-only: one that destroys", "kick", ReadOnly, "", nil, Deny},
		{"read-only: one that reads", "peers", ReadOnly, "", nil, Allow},
		{"plan", "send", Plan, "", nil, Deny},
		{"read-only: what nobody declared", "of next year", ReadOnly, "", nil, Deny},
		{"read-only: the daemon", "daemon up", ReadOnly, "", nil, Allow},
		{"a rule", "kick", Writing, "", []Policy{kicks}, Prompt},
		{"another verb", "ban", Writing, "", []Policy{kicks}, Allow},
		{"a pattern", "kick", Writing, "", []Policy{denies}, Deny},
		{"the stricter file", "kick", Writing, "", []Policy{kicks, denies}, Deny},
		{"in any order", "kick", Writing, "", []Policy{denies, kicks}, Deny},
		{"yolo lifts nothing", "kick", Yolo, "", []Policy{denies}, Deny},
		{"the first rule that fits", "kick", Writing, "", []Policy{allows}, Allow},
		{"an allow does not open what another file forbids", "kick", Writing, "", []Policy{allows, denies}, Deny},
		{"the rest", "send", Writing, "", []Policy{allows}, Deny},
		{"a mesh", "kick", Writing, "team", []Policy{team}, Deny},
		{"another mesh", "kick", Writing, "play", []Policy{team}, Allow},
		{"no mesh is named, and that one may be meant", "kick", Writing, "", []Policy{team}, Deny},
		{"allowed in a mesh", "kick", Writing, "team", []Policy{open}, Allow},
		{"allowed in a mesh that is not named", "kick", Writing, "", []Policy{open}, Deny},
		{"the default", "kick", Writing, "", []Policy{parsed(t, "default: deny")}, Deny},
		{"machinery has no rules", "hook", Writing, "", []Policy{parsed(t, "default: deny")}, Allow},
	} {
		if got := Decide(Request{Of(tt.path), tt.mode, tt.mesh}, tt.files); got.Decision != tt.want {
			t.Errorf("%s: got %s (%s), want %s", tt.name, got.Decision, got.Reason, tt.want)
		}
	}
}

func TestParseMode(t *testing.T) {
	t.Parallel()
	for _, m := range Modes() {
		if got, err := ParseMode(m); err != nil || string(got) != m {
			t.Errorf("got %q and %v, want %q", got, err, m)
		}
	}
	if _, err := ParseMode("readonly"); !mesh.IsCode(err, mesh.Usage) {
		t.Errorf("got %v, want an unknown mode refused", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(Standard))
	f.Add([]byte(`{"rules":[{"resource":"*","decision":"deny"}]}`))
	f.Add([]byte("rules:\n- resource: [a, 'b', \"c\"] # d\n  decision: x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse("p", text)
		if err != nil && !mesh.IsCode(err, mesh.ConfigUnreadable) {
			t.Errorf("got %v, want config_unreadable", err)
		}
		for _, r := range p.Rules {
			_ = r.Empty()
			if r.Resources != nil && len(r.Resources) == 0 {
				t.Errorf("got a rule about everything from an empty list: %q", text)
			}
		}
	})
}

func BenchmarkOf(b *testing.B) {
	for b.Loop() {
		Of("policy init")
	}
}
