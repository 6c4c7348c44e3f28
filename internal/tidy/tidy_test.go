package tidy

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// rule is one thing that the tree keeps.
type rule struct {
	name  string
	check func(*tree) []finding
	bad   map[string]string // sources by path; each breaks the rule
	good  map[string]string // sources that keep it
}

// finding is one place where a rule is broken: a file, or a folder when it is about a package.
type finding struct {
	file string
	line int    // 0 when it is about the whole
	name string // of the function, type, import or word
	text string
}

func (f finding) String() string {
	where := f.file
	if f.line > 0 {
		where = fmt.Sprintf("%s:%d", f.file, f.line)
	}
	return where + ": " + f.text
}

// rules is every rule, in the order of the files that hold them.
func rules() []rule {
	return slices.Concat(sizeRules(), nameRules(), callRules(), importRules(), wordRules(), protocolRules(), lessonRules(), pageRules())
}

// TestTree keeps the rules in this repository.
func TestTree(t *testing.T) {
	t.Parallel()
	tree := read(t)
	for _, f := range tree.broken {
		t.Error(f)
	}
	if len(tree.product()) == 0 {
		t.Fatal("found no code, want the module's")
	}
	for _, complaint := range judge(tree, rules(), exceptions) {
		t.Error(complaint)
	}
}

// judge applies rules with exceptions and says what is wrong: findings, and exceptions that are not one.
func judge(tree *tree, rules []rule, exceptions []exception) (complaints []string) {
	used := make([]bool, len(exceptions))
	for _, r := range rules {
		for _, f := range r.check(tree) {
			i := slices.IndexFunc(exceptions, func(e exception) bool { return e.admits(r, f) })
			if i < 0 {
				complaints = append(complaints, fmt.Sprintf("%s (%s)", f, r.name))
				continue
			}
			used[i] = true
		}
	}
	for i, e := range exceptions {
		if e.reason == "" || !used[i] {
			complaints = append(complaints, fmt.Sprintf("the exception from %q for %s %s has no reason, or matches nothing any more", e.rule, e.file, e.name))
		}
	}
	return complaints
}

func (e exception) admits(r rule, f finding) bool {
	return e.rule == r.name && e.file == f.file && (e.name == "" || e.name == f.name)
}

func TestJudge(t *testing.T) {
	t.Parallel()
	broken := []rule{{name: "odd", check: func(*tree) []finding {
		return []finding{{"a.go", 3, "F", "F is odd"}, {"b.go", 0, "", "is odd"}}
	}}}
	tests := []struct {
		exceptions []exception
		want       int
	}{
		{nil, 2},
		{[]exception{{"odd", "a.go", "F", "it must"}}, 1},
		{[]exception{{"odd", "a.go", "", "it must"}, {"odd", "b.go", "", "it must"}}, 0},
		{[]exception{{"odd", "a.go", "", ""}, {"odd", "b.go", "", "it must"}}, 1},
		{[]exception{{"odd", "a.go", "G", "it must"}}, 3},
		{[]exception{{"even", "a.go", "", "it must"}}, 3},
	}
	for _, tc := range tests {
		if got := judge(&tree{}, broken, tc.exceptions); len(got) != tc.want {
			t.Errorf("got %q with %v, want %d complaints", got, tc.exceptions, tc.want)
		}
	}
}

// TestRulesFind gives each rule the sources that break it, one by one, and those that keep it, all together.
func TestRulesFind(t *testing.T) {
	t.Parallel()
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			if len(r.bad) == 0 || len(r.good) == 0 {
				t.Fatal("got a rule without examples, want sources that break it and sources that keep it")
			}
			for name, source := range r.bad {
				tree := plant(map[string]string{name: source})
				if len(tree.broken) > 0 {
					t.Fatal(tree.broken[0])
				}
				found := r.check(tree)
				if !slices.ContainsFunc(found, func(f finding) bool { return f.file == name || f.file == path.Dir(name) }) {
					t.Errorf("got %v, want a finding for:\n%s", found, head(source))
				}
			}
			tree := plant(r.good)
			if found := append(tree.broken, r.check(tree)...); len(found) > 0 {
				t.Errorf("got %v, want nothing found in good sources", found)
			}
		})
	}
}

// head is the beginning of a long source.
func head(source string) string {
	lines := strings.SplitAfterN(source, "\n", 12)
	return strings.Join(lines[:min(len(lines), 11)], "")
}
