package tidy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// lessonRows is the list of what broke in the other system, and what proves that it does not here.
const lessonRows = "internal/tidy/testdata/lessons.txt"

// ownTests are the areas whose lessons have tests that are named after them: TestLesson, and the row without its dots; of
// rows of the command line TestCLILesson.
var ownTests = []string{"presence", "identity", "routing", "invites", "moderation", "delivery", "daemon"}

func lessonRules() []rule {
	return []rule{{
		"lessons", keepLessons,
		map[string]string{lessonRows: "rows 1 1\n1.1 | routing | test internal/a TestLesson11Gone | a test that is not there\n"},
		lessonTree("1.1 | routing | test internal/a TestLesson11A, internal/a TestThreat1A | one\n1.2 | routing | later kick | two\n" +
			"1.3 | daemon | none nobody does that here | three\nrows cli1 2\ncli1.1 | daemon | test internal/a TestCLILesson11A | four\n" +
			"cli1.2 | daemon | same 1.1 | five"),
	}}
}

// lessonTree is a tree with a list of three rows and the tests that it may name.
func lessonTree(rows string) map[string]string {
	return map[string]string{
		lessonRows:                   "# A comment.\nrows 1 3\n" + rows + "\n",
		"internal/a/a_test.go":       "package a\n\nfunc TestLesson11A(t *testing.T) {}\n\nfunc TestThreat1A(t *testing.T) {}\n\nfunc TestCLILesson11A(t *testing.T) {}\n",
		"internal/protocol/send.go":  "package protocol\n\nvar A = wire.Define(wire.Spec{Type: \"send\"})\n",
		"internal/a/testdata/x.json": "{}",
	}
}

func TestLessonRows(t *testing.T) {
	t.Parallel()
	const rest = "\n1.2 | routing | later kick | two\n1.3 | daemon | none why | three"
	for _, tc := range []struct{ rows, want string }{
		{"1.1 | routing | test internal/a TestThreat1A | one" + rest, "no test that is named TestLesson11"},
		{"1.1 | host | test internal/a TestB | one" + rest, "no TestB"},
		{"1.1 | host | test internal/b TestThreat1A | one" + rest, "no TestThreat1A"},
		{"1.1 | daemon | test TestThreat1A | one" + rest, "is no proof"},
		{"1.1 | daemon | later send | one" + rest, "waits for send, which is declared"},
		{"1.1 | daemon | later | one" + rest, "is no proof"},
		{"1.1 | daemon | none | one" + rest, "is no proof"},
		{"1.1 | delivery | test internal/a TestCLILesson11A | one" + rest, "no test that is named TestLesson11"},
		{"1.1 | daemon | same 1.9 | one" + rest, "says the same as 1.9, which has no tests"},
		{"1.1 | daemon | same 1.3 | one" + rest, "says the same as 1.3, which has no tests"},
		{"1.1 | daemon | hope so | one" + rest, "is no proof"},
		{"1.1 | routing | test internal/a TestLesson11A" + rest, "is no row"},
		{"1.4 | routing | later kick | one" + rest, "has no row 1.1"},
		{"1.1 | daemon | none why | one" + rest + "\n1.1 | daemon | none why | one", "stands twice"},
	} {
		found := keepLessons(plant(lessonTree(tc.rows)))
		if !slices.ContainsFunc(found, func(f finding) bool { return strings.Contains(f.text, tc.want) }) {
			t.Errorf("%q: got %v, want a finding with %q", tc.rows, found, tc.want)
		}
	}
}

// keepLessons finds rows that are missing, and rows that nothing proves.
func keepLessons(t *tree) (found []finding) {
	i := slices.IndexFunc(t.files, func(f *file) bool { return f.path == lessonRows })
	if i < 0 {
		return nil
	}
	rows, wanted, proofs := map[string]bool{}, map[string]int{}, map[string]string{}
	for n, line := range strings.Split(t.files[i].text, "\n") {
		complain := func(text string) { found = append(found, finding{lessonRows, n + 1, line, text}) }
		if line == "" || line[0] == '#' {
			continue
		}
		if words := strings.Fields(line); len(words) == 3 && words[0] == "rows" {
			count, err := strconv.Atoi(words[2])
			if wanted[words[1]] = count; err != nil {
				complain("the line counts no rows")
			}
			continue
		}
		parts := strings.Split(line, " | ")
		if len(parts) != 4 {
			complain("the line is no row")
			continue
		}
		if rows[parts[0]] {
			complain(parts[0] + " stands twice")
		}
		rows[parts[0]], proofs[parts[0]] = true, parts[2]
		if text := judgeLesson(t, parts[0], parts[1], parts[2]); text != "" {
			complain(parts[0] + " " + text)
		}
	}
	return slices.Concat(found, missingLessons(rows, wanted), sameLessons(proofs))
}

// sameLessons finds rows that point to another one which proves nothing.
func sameLessons(proofs map[string]string) (found []finding) {
	for _, id := range slices.Sorted(maps.Keys(proofs)) {
		if other, is := strings.CutPrefix(proofs[id], "same "); is && !strings.HasPrefix(proofs[other], "test ") {
			found = append(found, finding{lessonRows, 0, id, id + " says the same as " + other + ", which has no tests"})
		}
	}
	return found
}

// missingLessons compares the rows with how many each section has.
func missingLessons(rows map[string]bool, wanted map[string]int) (found []finding) {
	for _, section := range slices.Sorted(maps.Keys(wanted)) {
		for n := range wanted[section] {
			id := fmt.Sprintf("%s.%d", section, n+1)
			if !rows[id] {
				found = append(found, finding{lessonRows, 0, id, "the list has no row " + id})
			}
			delete(rows, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		found = append(found, finding{lessonRows, 0, id, id + " is more than there are"})
	}
	return found
}

// judgeLesson says what is wrong with the proof of a row.
func judgeLesson(t *tree, id, area, proof string) string {
	kind, rest, _ := strings.Cut(proof, " ")
	switch {
	case rest == "":
	case kind == "none", kind == "same":
		return ""
	case kind == "later":
		return strings.Join(waitsInVain(t, strings.Fields(rest)), ", ")
	case kind == "test":
		name := "TestLesson" + strings.ReplaceAll(id, ".", "")
		if row, is := strings.CutPrefix(id, "cli"); is {
			name = "TestCLILesson" + strings.ReplaceAll(row, ".", "")
		}
		own := regexp.MustCompile("^" + name + "[A-Z]")
		isNamed := !slices.Contains(ownTests, area)
		for _, test := range strings.Split(rest, ", ") {
			dir, name, ok := strings.Cut(test, " ")
			if !ok {
				return fmt.Sprintf("%q is no proof", test)
			}
			if !hasTest(t, dir, name) {
				return "has no " + name + " in " + dir
			}
			isNamed = isNamed || own.MatchString(name)
		}
		if !isNamed {
			return "has no test that is named " + strings.TrimSuffix(strings.TrimPrefix(own.String(), "^"), "[A-Z]") + "…"
		}
		return ""
	}
	return fmt.Sprintf("%q is no proof", proof)
}

// hasTest reports whether a folder has a test of a name.
func hasTest(t *tree, dir, name string) bool {
	return slices.ContainsFunc(t.files, func(f *file) bool {
		return f.dir() == dir && f.isTest() && strings.Contains(f.text, "\nfunc "+name+"(")
	})
}
