package policy

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Parse reads a policy: JSON where the text begins with {, else the part of YAML that policies need (cli 10.4). What it does
// not understand is config_unreadable with its line: a rule that is passed over would allow what it forbids. A decision
// that is none counts as deny, with a warning.
func Parse(file string, text []byte) (Policy, error) {
	r := reader{policy: Policy{Path: file}}
	var err error
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		err = r.json(text)
	} else {
		err = r.yaml(string(text))
	}
	if err != nil {
		return Policy{}, mesh.Errorf(mesh.ConfigUnreadable, "%s: %w", file, err)
	}
	return r.policy, nil
}

// reader makes a policy of names and values, from either form.
type reader struct{ policy Policy }

// top takes a name at the top.
func (r *reader) top(name string, values []string) error {
	if name != "default" {
		return fmt.Errorf("there is no %q in a policy: default and rules", name)
	}
	one, err := single(name, values)
	r.policy.Default = r.decision(one)
	return err
}

// rule takes a name of a rule.
func (r *reader) rule(to *Rule, name string, values []string) error {
	var err error
	var one string
	switch name {
	case "resource":
		to.Resources, err = patterns(name, values)
	case "verb":
		to.Verbs, err = patterns(name, values)
	case "mesh":
		to.Mesh, err = single(name, values)
	case "reason":
		to.Reason, err = single(name, values)
	case "decision":
		one, err = single(name, values)
		to.Decision = r.decision(one)
	default:
		err = fmt.Errorf("there is no %q in a rule: resource, verb, mesh, decision and reason", name)
	}
	return err
}

func (r *reader) decision(text string) Decision {
	for _, d := range []Decision{Allow, Prompt, Deny} {
		if d.String() == text {
			return d
		}
	}
	r.policy.Warnings = append(r.policy.Warnings, fmt.Sprintf("%s: %q is no decision, and counts as deny", r.policy.Path, text))
	return Deny
}

func single(name string, values []string) (string, error) {
	if len(values) != 1 {
		return "", fmt.Errorf("%s has %d values, want one", name, len(values))
	}
	return values[0], nil
}

func patterns(name string, values []string) ([]string, error) {
	if len(values) == 0 {
		return nil, fmt.Errorf("%s is an empty list", name)
	}
	for _, v := range values {
		if _, err := path.Match(v, ""); err != nil || v == "" {
			return nil, fmt.Errorf("%s: %q is no pattern", name, v)
		}
	}
	return values, nil
}

// add ends a rule.
func (r *reader) add(rule Rule, named []string) error {
	if !slices.Contains(named, "decision") {
		return fmt.Errorf("a rule has no decision")
	}
	r.policy.Rules = append(r.policy.Rules, rule)
	return nil
}

func (r *reader) json(text []byte) error {
	var top map[string]wire.RawMessage
	if err := wire.Decode(text, &top); err != nil {
		return err
	}
	for name, value := range top {
		if name == "rules" {
			continue
		}
		values, err := jsonValues(value)
		if err == nil {
			err = r.top(name, values)
		}
		if err != nil {
			return err
		}
	}
	var rules []map[string]wire.RawMessage
	if list, ok := top["rules"]; ok {
		if err := wire.Decode(list, &rules); err != nil {
			return fmt.Errorf("rules: %w", err)
		}
	}
	for i, one := range rules {
		if err := r.jsonRule(one); err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	return nil
}

func (r *reader) jsonRule(one map[string]wire.RawMessage) error {
	var rule Rule
	var named []string
	for name, value := range one {
		values, err := jsonValues(value)
		if err == nil {
			err = r.rule(&rule, name, values)
		}
		if err != nil {
			return err
		}
		named = append(named, name)
	}
	return r.add(rule, named)
}

// jsonValues reads a text, or a list of texts.
func jsonValues(value wire.RawMessage) ([]string, error) {
	var one string
	if value.Kind() == '"' {
		err := wire.Decode(value, &one)
		return []string{one}, err
	}
	var list []string
	if value.Kind() != '[' || wire.Decode(value, &list) != nil {
		return nil, fmt.Errorf("want a text or a list of texts, got %s", value)
	}
	return list, nil
}

// yaml reads names at the top, and below `rules:` a list of flat maps.
func (r *reader) yaml(text string) error {
	y := yamlRules{reader: r}
	for n, line := range strings.Split(text, "\n") {
		if err := y.line(strings.TrimSuffix(line, "\r")); err != nil {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	return y.end()
}

// yamlRules is where the reading of YAML stands.
type yamlRules struct {
	*reader
	tops   []string // names that were read at the top
	within bool     // below rules:
	indent int      // of the names of the rule that is being read; 0 before the first
	rule   Rule
	named  []string
}

func (y *yamlRules) line(line string) error {
	text, err := uncomment(line)
	if err != nil || strings.TrimSpace(text) == "" || text == "---" {
		return err
	}
	trimmed := strings.TrimLeft(text, " ")
	indent := len(text) - len(trimmed)
	item, isItem := strings.CutPrefix(trimmed, "- ")
	switch {
	case strings.HasPrefix(trimmed, "\t"):
		return fmt.Errorf("a tab is no indentation")
	case isItem && y.within:
		if err := y.end(); err != nil {
			return err
		}
		item = strings.TrimLeft(item, " ")
		y.indent = len(text) - len(item)
		return y.pair(item)
	case indent == 0:
		return y.atTop(trimmed)
	case !y.within || indent != y.indent:
		return fmt.Errorf("the indentation fits nothing before it")
	}
	return y.pair(trimmed)
}

// atTop reads a name at the top.
func (y *yamlRules) atTop(text string) error {
	if err := y.end(); err != nil {
		return err
	}
	name, values, err := pairOf(text)
	switch y.within = false; {
	case err != nil:
		return err
	case slices.Contains(y.tops, name):
		return fmt.Errorf("%s stands there twice", name)
	}
	y.tops = append(y.tops, name)
	if name == "rules" {
		if y.within = values == nil; !y.within && len(values) > 0 {
			return fmt.Errorf("rules is a list of names and values")
		}
		return nil
	}
	return y.top(name, values)
}

// pair reads a name of a rule.
func (y *yamlRules) pair(text string) error {
	name, values, err := pairOf(text)
	switch {
	case err != nil:
		return err
	case slices.Contains(y.named, name):
		return fmt.Errorf("%s stands there twice", name)
	}
	y.named = append(y.named, name)
	return y.reader.rule(&y.rule, name, values)
}

// end takes the rule that was read.
func (y *yamlRules) end() error {
	if y.named == nil {
		return nil
	}
	err := y.add(y.rule, y.named)
	y.rule, y.named, y.indent = Rule{}, nil, 0
	return err
}

// pairOf parts a name and its value; nil where nothing stands behind the colon.
func pairOf(text string) (name string, values []string, err error) {
	name, value, ok := strings.Cut(text, ":")
	if !ok || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" || name == "" || value != "" && value[0] != ' ' {
		return "", nil, fmt.Errorf("want a name, a colon, a space and a value, got %q", text)
	}
	value = strings.TrimSpace(value)
	list, open := strings.CutPrefix(value, "[")
	switch {
	case value == "":
		return name, nil, nil
	case open:
		list, closed := strings.CutSuffix(list, "]")
		if !closed {
			return "", nil, fmt.Errorf("the list of %s has no end on its line", name)
		}
		values, err = listOf(list)
		return name, values, err
	}
	one, err := scalar(value)
	return name, []string{one}, err
}

// listOf reads the values of a list.
func listOf(text string) ([]string, error) {
	values := []string{}
	for strings.TrimSpace(text) != "" {
		end := outside(text, ',')
		one, err := scalar(strings.TrimSpace(text[:end]))
		if err != nil {
			return nil, err
		}
		values = append(values, one)
		text = strings.TrimPrefix(text[end:], ",")
	}
	return values, nil
}

// scalar reads a value: in double quotes as JSON has it, in single ones as it stands, or plain.
func scalar(text string) (string, error) {
	var value string
	switch {
	case strings.HasPrefix(text, `"`):
		if err := wire.Decode([]byte(text), &value); err != nil {
			return "", fmt.Errorf("%s is no text in quotes", text)
		}
		return value, nil
	case strings.HasPrefix(text, "'"):
		inner, ok := strings.CutSuffix(text[1:], "'")
		if !ok || strings.Contains(strings.ReplaceAll(inner, "''", ""), "'") {
			return "", fmt.Errorf("%s is no text in quotes", text)
		}
		return strings.ReplaceAll(inner, "''", "'"), nil
	case text == "" || strings.ContainsAny(text[:1], "[]{}&!|>%@`,"):
		return "", fmt.Errorf("%q is no plain value: put it in quotes", text)
	case strings.Contains(text, ": ") || strings.HasPrefix(text, "*") && text != "*" && strings.Trim(text[1:], "abcdefghijklmnopqrstuvwxyz-*") != "":
		return "", fmt.Errorf("%q is no plain value: put it in quotes", text)
	}
	return text, nil
}

// uncomment takes away what stands behind a # outside of quotes.
func uncomment(line string) (string, error) {
	for from := 0; ; {
		at := from + outside(line[from:], '#')
		switch {
		case at >= len(line):
			return strings.TrimRight(line, " \t"), nil
		case at == 0 || line[at-1] == ' ' || line[at-1] == '\t':
			return strings.TrimRight(line[:at], " \t"), nil
		}
		from = at + 1
	}
}

// outside is where a character stands outside of quotes; the length of the text where it does not. A quote within a plain
// word is none.
func outside(text string, c byte) int {
	for i := 0; i < len(text); i++ {
		switch q := text[i]; {
		case q == c:
			return i
		case (q == '"' || q == '\'') && (i == 0 || strings.IndexByte(" ,[", text[i-1]) >= 0):
			end := closing(text[i+1:], q)
			if end < 0 {
				return len(text)
			}
			i += 1 + end
		}
	}
	return len(text)
}

// closing is where a quoted text ends; -1 where it does not.
func closing(text string, quote byte) int {
	for i := 0; i < len(text); i++ {
		switch {
		case quote == '"' && text[i] == '\\':
			i++
		case text[i] == quote:
			return i
		}
	}
	return -1
}
