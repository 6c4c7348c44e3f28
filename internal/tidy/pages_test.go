package tidy

import (
	"regexp"
	"strings"
)

// testName is a test as a page names it; one with a < behind it is the beginning of many.
var testName = regexp.MustCompile(`\bTest[A-Z0-9][A-Za-z0-9]*<?`)

func pageRules() []rule {
	const there = "package a\n\nfunc TestThere(t *testing.T) {}\n"
	return []rule{{
		"pages", keepPages,
		map[string]string{"docs/a.md": "held by TestGone\n"},
		map[string]string{"docs/a.md": "held by TestThere\n", "internal/a/a_test.go": there},
	}}
}

// keepPages finds tests that a page of the documentation names and that are not there.
func keepPages(t *tree) (found []finding) {
	for _, f := range t.files {
		if !strings.HasPrefix(f.path, "docs/") || !strings.HasSuffix(f.path, ".md") {
			continue
		}
		for n, line := range strings.Split(f.text, "\n") {
			for _, name := range testName.FindAllString(line, -1) {
				if !strings.HasSuffix(name, "<") && !namesTest(t, name) {
					found = append(found, finding{f.path, n + 1, name, "there is no " + name})
				}
			}
		}
	}
	return found
}

func namesTest(t *tree, name string) bool {
	for _, f := range t.files {
		if strings.HasSuffix(f.path, "_test.go") && strings.Contains(f.text, "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
