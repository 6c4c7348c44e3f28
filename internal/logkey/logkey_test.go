package logkey

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"testing"
)

// TestKeys reads the constants from the source: a key is one lower-case word form, used by one constant,
// and explained on its line.
func TestKeys(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "logkey.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		name := spec.Names[0].Name
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil || !form.MatchString(value) {
			t.Errorf("%s is %q, want lower-case words joined by _", name, value)
		}
		if other, ok := seen[value]; ok {
			t.Errorf("%s and %s are both %q, want one constant for one key", other, name, value)
		}
		seen[value] = name
		if spec.Comment.Text() == "" {
			t.Errorf("%s has no comment, want one on its line", name)
		}
		return true
	})
	if len(seen) == 0 {
		t.Error("found no constants, want the keys of logkey.go")
	}
}
