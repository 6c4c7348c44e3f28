package tidy

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
)

func sizeRules() []rule {
	many := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	body := func(n int) string { return "func f() {\n" + strings.Repeat("\tg()\n", n-2) + "}\n" }
	nested := func(n int) string {
		return "package a\nfunc f() {" + strings.Repeat("for {", n) + strings.Repeat("}", n) + "}"
	}
	table := "package a\nvar x = func() {\n_ = []int{\n" + strings.Repeat("1,\n", 100) + "}\n}\n"
	return []rule{
		{
			"file size", fileSize,
			map[string]string{"a.go": "package a\n" + strings.Repeat("\n", maxFileLines), "a_test.go": "package a\n" + strings.Repeat("\n", maxFileLines)},
			map[string]string{"a.go": "package a\n" + strings.Repeat("\n", maxFileLines-1), "a.txt": strings.Repeat("\n", maxFileLines+1)},
		},
		{
			"function size", functionSize,
			map[string]string{
				"a.go": "package a\n" + body(maxFunctionLines+1), "a_test.go": "package a\n" + body(maxFunctionLines+1),
				"b.go": table, "c.go": strings.Replace(table, "var x = func", "func x", 1),
			},
			map[string]string{"a.go": "package a\n" + body(maxFunctionLines), "a_test.go": table},
		},
		{
			"nesting", nesting,
			map[string]string{
				"a.go": nested(maxNesting + 1),
				"b.go": "package a\nfunc f() { if a { switch { case b: for range c { g(func() { select { default: if d {} } }) } } } }",
				"c.go": "package a\nfunc f() { if a {} else { for { for { for { for { } } } } } }",
			},
			map[string]string{
				"a.go": nested(maxNesting),
				"b.go": "package a\nfunc f() { if a {} else if b {} else if c {} else if d {} else if e {} else if f {} }",
			},
		},
		{
			"parameters", parameters,
			map[string]string{
				"a.go": "package a\nfunc f(a, b, c int, d, e, f string) {}",
				"b.go": "package a\ntype I interface{ M(int, int, int, int, int, ...int) }",
				"c.go": "package a\nvar f = func(a, b, c, d, e, f int) {}",
			},
			map[string]string{"a.go": "package a\nfunc (t T) f(a, b, c int, d string, e ...string) (f, g int) { return }"},
		},
		{
			"fields", fields,
			map[string]string{
				"internal/a/a.go": "package a\ntype T struct {\n" + many("f%d int\n", maxFields) + "io.Reader\n}",
				"internal/b/a.go": "package b\nvar t struct { a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p int }",
			},
			map[string]string{
				"internal/a/a.go":        "package a\ntype T struct {\n" + many("f%d int\n", maxFields) + "}",
				"internal/a/row.go":      "package a\ntype inboxRow struct {\n" + many("f%d int\n", 30) + "}",
				"internal/a/view.go":     "package a\ntype View struct {\n" + many("F%d int `json:\"f\"`\n", 30) + "}",
				"internal/protocol/a.go": "package protocol\ntype T struct {\n" + many("f%d int\n", 30) + "}",
			},
		},
		{
			"methods", methods,
			map[string]string{"a.go": "package a\n" + many("func (t *T[K]) m%d() {}\n", maxMethods+1)},
			map[string]string{"a.go": "package a\n" + many("func (t T) m%d() {}\n", maxMethods), "b/a.go": "package b\n" + many("func (t T) m%d() {}\n", maxMethods), "a_test.go": "package a\nfunc (t T) x() {}"},
		},
		{
			"package size", packageSize,
			map[string]string{"internal/a/a.go": "package a\n" + strings.Repeat("\n", maxPackageLines)},
			map[string]string{
				"internal/a/a.go": "package a\n" + strings.Repeat("\n", maxPackageLines-1), "internal/b/b.go": "package b\n",
				"internal/a/a_test.go": "package a\n" + strings.Repeat("\n", maxPackageLines),
			},
		},
	}
}

func fileSize(t *tree) (found []finding) {
	for _, f := range t.code() {
		if n := f.lines(); n > maxFileLines {
			found = append(found, finding{file: f.path, text: fmt.Sprintf("%d lines, want at most %d", n, maxFileLines)})
		}
	}
	return found
}

// functionSize measures declared functions, and function literals that stand outside of one.
func functionSize(t *tree) (found []finding) {
	for _, f := range t.code() {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			var name string
			switch n := n.(type) {
			case *ast.FuncDecl:
				name = n.Name.Name
			case *ast.FuncLit:
				name = "func"
			default:
				return true
			}
			lines := t.span(n)
			if f.isTest() {
				lines -= t.dataLines(n)
			}
			if lines > maxFunctionLines {
				found = append(found, finding{f.path, t.line(n.Pos()), name, fmt.Sprintf("%s has %d lines, want at most %d", name, lines, maxFunctionLines)})
			}
			return false
		})
	}
	return found
}

// dataLines counts the lines inside the tables and long texts of a function.
func (t *tree) dataLines(function ast.Node) (lines int) {
	ast.Inspect(function, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.CompositeLit, *ast.BasicLit:
			lines += t.span(n) - 1
			return false
		}
		return true
	})
	return lines
}

func nesting(t *tree) (found []finding) {
	for _, f := range t.code() {
		for _, decl := range f.syntax.Decls {
			deepest := depth{max: new(int)}
			ast.Walk(deepest, decl)
			if *deepest.max > maxNesting {
				found = append(found, finding{f.path, t.line(decl.Pos()), declName(decl), fmt.Sprintf("%s nests %d deep, want at most %d", declName(decl), *deepest.max, maxNesting)})
			}
		}
	}
	return found
}

// depth counts how many statements surround a node. A function literal adds none, and an else-if none to its if.
type depth struct {
	level int
	max   *int
}

// Visit follows n one level deeper where n is a statement that holds others.
func (d depth) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.IfStmt:
		inner := d.deeper()
		if n.Init != nil {
			ast.Walk(d, n.Init)
		}
		ast.Walk(inner, n.Cond)
		ast.Walk(inner, n.Body)
		if chained, ok := n.Else.(*ast.IfStmt); ok {
			ast.Walk(d, chained)
		} else if n.Else != nil {
			ast.Walk(inner, n.Else)
		}
		return nil
	case *ast.ForStmt, *ast.RangeStmt, *ast.SwitchStmt, *ast.TypeSwitchStmt, *ast.SelectStmt:
		return d.deeper()
	}
	return d
}

func (d depth) deeper() depth {
	d.level++
	*d.max = max(*d.max, d.level)
	return d
}

// declName is the name of a declared function, or of the first thing in another declaration.
func declName(decl ast.Decl) string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return d.Name.Name
	case *ast.GenDecl:
		if len(d.Specs) > 0 {
			if spec, ok := d.Specs[0].(*ast.ValueSpec); ok {
				return spec.Names[0].Name
			}
		}
	}
	return "declaration"
}

func parameters(t *tree) (found []finding) {
	for _, f := range t.code() {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if fn, ok := n.(*ast.FuncType); ok && fn.Params.NumFields() > maxParameters {
				found = append(found, finding{f.path, t.line(fn.Pos()), "", fmt.Sprintf("%d parameters, want at most %d, then a struct", fn.Params.NumFields(), maxParameters)})
			}
			return true
		})
	}
	return found
}

func fields(t *tree) (found []finding) {
	for _, f := range t.code() {
		if underAny(f.pkg(), fieldsFree) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && strings.HasSuffix(spec.Name.Name, "Row") {
				return false
			}
			if s, ok := n.(*ast.StructType); ok && s.Fields.NumFields() > maxFields && !allTagged(s) {
				found = append(found, finding{f.path, t.line(s.Pos()), "", fmt.Sprintf("%d fields, want at most %d; above that it is two things", s.Fields.NumFields(), maxFields)})
			}
			return true
		})
	}
	return found
}

// allTagged reports whether a struct is the declaration of a document: every field has a tag.
func allTagged(s *ast.StructType) bool {
	return !slices.ContainsFunc(s.Fields.List, func(f *ast.Field) bool { return f.Tag == nil })
}

func methods(t *tree) (found []finding) {
	count := map[finding]int{}
	for _, f := range t.product() {
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv != nil {
				count[finding{file: f.dir(), name: receiver(fn)}]++
			}
		}
	}
	for at, n := range count {
		if n > maxMethods {
			at.text = fmt.Sprintf("%s has %d methods, want at most %d", at.name, n, maxMethods)
			found = append(found, at)
		}
	}
	return found
}

// receiver is the name of the type that a method is on.
func receiver(fn *ast.FuncDecl) string {
	kind := fn.Recv.List[0].Type
	for {
		switch k := kind.(type) {
		case *ast.StarExpr:
			kind = k.X
		case *ast.IndexExpr:
			kind = k.X
		case *ast.IndexListExpr:
			kind = k.X
		case *ast.Ident:
			return k.Name
		default:
			return ""
		}
	}
}

func packageSize(t *tree) (found []finding) {
	lines := map[string]int{}
	for _, f := range t.product() {
		lines[f.dir()] += f.lines()
	}
	for _, dir := range slices.Sorted(maps.Keys(lines)) {
		if lines[dir] > maxPackageLines {
			found = append(found, finding{file: dir, text: fmt.Sprintf("%d lines, want at most %d", lines[dir], maxPackageLines)})
		}
	}
	return found
}
