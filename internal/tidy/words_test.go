package tidy

import (
	"fmt"
	"regexp"
	"strings"
)

func wordRules() []rule {
	split := func(parts ...string) string { return strings.Join(parts, "") }
	return []rule{
		{
			"workplace words", workplace,
			map[string]string{
				"a.md":          split("see /wo", "rk/main"),
				"Makefile":      split("GOPROXY=https://proxy.", "golang.org"),
				"b.md":          split("npm --registry https://registry.", "npmjs.org"),
				"c.sh":          split("apt from deb.", "debian.org"),
				"d.go":          "package a\n// " + split("As asked in issue", " 12."),
				"e.txt":         split("issue", " #new"),
				"f.md":          split("The helper", " session did it."),
				"g.md":          split("Co-Authored", "-By: someone"),
				"h.md":          split("a line\nfixes", " #3\n"),
				"i.md":          split("as the BR", "IEF says"),
				"j.md":          split("Generated", " with Claude"),
				"k/testdata/l.": split("cd /tmp", "/cm"),
			},
			map[string]string{
				"a.md":   "An issued token works in a /workspace/ and a network/path. See issue trackers. A Claude Code session talks to another session.",
				"b.go":   "package a\n// A helper of a session; proxy golang org.\n",
				"go.sum": "golang.org/x/sys v0.1.0 h1:abc=\n",
			},
		},
	}
}

// workplace finds words about where and by whom the tree was written.
func workplace(t *tree) (found []finding) {
	for _, word := range workplaceWords {
		pattern := regexp.MustCompile(word.pattern)
		for _, f := range t.files {
			if !strings.Contains(f.lower, word.hint) {
				continue
			}
			for i, line := range strings.Split(f.text, "\n") {
				if match := pattern.FindString(line); match != "" {
					found = append(found, finding{f.path, i + 1, match, fmt.Sprintf("%q is not about the product", match)})
				}
			}
		}
	}
	return found
}
