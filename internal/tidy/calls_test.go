package tidy

import (
	"fmt"
	"go/ast"
	"slices"
)

func callRules() []rule {
	list := []rule{
		{
			"init", noInit,
			map[string]string{"a.go": "package a\nfunc init() {}", "a_test.go": "package a\nfunc init() {}"},
			map[string]string{"a.go": "package a\nfunc (t T) init() {}\nfunc initial() {}"},
		},
		{
			"sleep", noSleep,
			map[string]string{
				"a_test.go": "package a\nimport \"time\"\nfunc TestX() { time.Sleep(1) }",
				"b_test.go": "package a\nimport clock \"time\"\nfunc TestX() { go func() { clock.Sleep(1) }() }",
			},
			map[string]string{
				"a.go":      "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }",
				"a_test.go": "package a\nimport (\n\"testing/synctest\"\n\"time\"\n)\nfunc TestX() { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }",
			},
		},
	}
	return append(list, reservedRules()...)
}

// reservedRules makes one rule of each name in the table of calls.
func reservedRules() (list []rule) {
	examples := map[string]struct{ good, bad, worse string }{
		"clock": {
			"package a\nimport (\n\"time\"\nother \"my/time\"\n)\nvar x, y = other.Now, time.NewTimer(1)",
			"package a\nimport \"time\"\nvar now = time.Now",
			"package a\nimport clock \"time\"\nfunc f() { clock.Since(x) }",
		},
		"environment": {
			"package a\nimport \"os\"\nvar x, y = os.Args, other.Getenv(\"x\")",
			"package a\nimport \"os\"\nvar x = os.Getenv(\"HOME\")",
			"package a\nimport \"os\"\nvar x = f(os.LookupEnv)",
		},
		"exit": {
			"package a\nimport \"runtime\"\nfunc f() { runtime.Goexit() }",
			"package a\nimport \"os\"\nfunc f() { os.Exit(1) }",
			"package a\nimport system \"os\"\nvar exit = system.Exit",
		},
		"signals": {
			"package a\nimport \"os\"\nvar s = os.Interrupt",
			"package a\nimport \"os/signal\"\nvar f = signal.Stop",
			"package a\nimport \"os/signal\"\nfunc f() { signal.NotifyContext(x, y) }",
		},
		"log": {
			"package a\nimport \"log/slog\"\nfunc f(l *slog.Logger) { l.Info(\"x\", slog.Int(\"n\", 1)) }",
			"package a\nimport \"log/slog\"\nfunc f() { slog.Info(\"x\") }",
			"package a\nimport \"log\"\nfunc f() { log.Printf(\"x\") }",
		},
	}
	for _, c := range calls {
		if slices.ContainsFunc(list, func(r rule) bool { return r.name == c.rule }) {
			continue
		}
		e := examples[c.rule]
		bad := map[string]string{"internal/hub/a.go": e.bad, "internal/hub/b.go": e.worse}
		good := map[string]string{"internal/hub/a.go": e.good}
		if c.tests {
			good["internal/hub/a_test.go"] = e.bad
		}
		if len(c.allowed) > 0 {
			good["cmd/claudemesh/main.go"] = e.bad
		}
		list = append(list, rule{c.rule, func(t *tree) []finding { return reserved(t, c.rule) }, bad, good})
	}
	return list
}

func noInit(t *tree) (found []finding) {
	for _, f := range t.code() {
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, finding{f.path, t.line(fn.Pos()), "init", "an init function runs in every process that links it: call it instead"})
			}
		}
	}
	return found
}

// noSleep finds waiting for the wall clock in tests. In a synctest bubble, sleeping is how time is turned.
func noSleep(t *tree) (found []finding) {
	for _, f := range t.code() {
		if !f.isTest() {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && f.isUse(call.Fun, "testing/synctest", "Test") {
				return false
			}
			if f.isUse(n, "time", "Sleep") {
				found = append(found, finding{f.path, t.line(n.Pos()), "Sleep", "a sleeping test is slow or wrong: wait for the event, or use synctest"})
			}
			return true
		})
	}
	return found
}

// isUse reports whether n is the name of one of the functions of the package at path; any, where none is named.
func (f *file) isUse(n ast.Node, path string, names ...string) bool {
	selector, ok := n.(*ast.SelectorExpr)
	if !ok || len(names) > 0 && !slices.Contains(names, selector.Sel.Name) {
		return false
	}
	base, ok := selector.X.(*ast.Ident)
	return ok && slices.ContainsFunc(f.imports(), func(i imported) bool { return i.path == path && i.name == base.Name })
}

// reserved finds the calls of one rule outside of the packages that may make them.
func reserved(t *tree, rule string) (found []finding) {
	for _, c := range calls {
		if c.rule != rule {
			continue
		}
		for _, f := range t.code() {
			if underAny(f.pkg(), c.allowed) || c.tests && f.isTest() {
				continue
			}
			ast.Inspect(f.syntax, func(n ast.Node) bool {
				if f.isUse(n, c.path, c.names...) {
					found = append(found, call(t, f, n.(*ast.SelectorExpr), c.instead))
				}
				return true
			})
		}
	}
	return found
}

func call(t *tree, f *file, use *ast.SelectorExpr, instead string) finding {
	return finding{f.path, t.line(use.Pos()), use.Sel.Name, fmt.Sprintf("%s is not for this package: %s", use.Sel.Name, instead)}
}
