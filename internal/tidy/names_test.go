package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

func nameRules() []rule {
	return []rule{
		{
			"package comment", packageComments,
			map[string]string{
				"internal/a/a.go": "package a",
				"internal/b/a.go": "// Something else.\npackage b",
				"cmd/c/main.go":   "// Package main runs.\npackage main",
				"internal/d/a.go": "// Package d is here.\n\npackage d",
			},
			map[string]string{
				"internal/a/a.go": "// Package a is here.\npackage a", "internal/a/b.go": "package a", "internal/a/a_test.go": "package a",
				"cmd/c/main.go": "// Command c runs.\npackage main", "internal/e/e_test.go": "// Package e tests.\npackage e",
			},
		},
		{
			"package name", packageNaming,
			map[string]string{
				"internal/utils/a.go": "package utils", "internal/hub/base/a.go": "package base", "internal/fsutil/a.go": "package fsutil",
				"internal/aB/a.go": "package aB", "internal/a_b/a.go": "package a_b", "internal/a/a.go": "package b",
			},
			map[string]string{"internal/a/a.go": "package a", "internal/a/a_test.go": "package a_test", "cmd/claudemesh/main.go": "package main", "internal/futile/a.go": "package futile"},
		},
		{
			"doc comment", docComments,
			map[string]string{
				"a.go": "package a\nfunc F() {}",
				"b.go": "package a\n// Does it.\nfunc F() {}",
				"c.go": "package a\n// Fast does it.\nfunc F() {}",
				"d.go": "package a\ntype T int",
				"e.go": "package a\n// T is.\ntype T int\nfunc (t *T) M() {}",
				"f.go": "package a\nvar V = 1",
				"g.go": "package a\nconst (\n\tC = 1\n)",
				"h.go": "package a\n// The types.\ntype (\n\t// T is.\n\tT int\n\tU int\n)",
				"i.go": "package a\nconst (\n\t// Else.\n\tC = 1\n)",
			},
			map[string]string{
				"a.go": "package a\n// F does it.\nfunc F() {}\nfunc f() {}\n// T is.\ntype T[K any] int\n// M, too.\nfunc (t T[K]) M() {}\ntype u int\nfunc (u) M() {}",
				"b.go": "package a\n// The numbers.\nconst (\n\tC = 1\n\tD = 2\n)\nconst (\n\tE = 1 // one\n\t// F and G are more.\n\tF, G = 2, 3\n)\n// V is.\nvar V int",
				"c.go": "package a\ntype (\n\t// X is.\n\tX int\n\t// Y is.\n\tY int\n)", "a_test.go": "package a\nfunc TestX() {}",
			},
		},
		{
			"comment words", commentsAreDone,
			map[string]string{
				"a.go": "package a\n// f: TO" + "DO later.\nfunc f() {}", "b.go": "package a\nvar x = 1 /* a ha" + "ck */", "c_test.go": "package a\n// It is fine for\n// now.\nvar x = 1",
			},
			map[string]string{"a.go": "package a\n// A stubborn hacker is for nowhere.\nvar x = \"TO" + "DO\""},
		},
	}
}

// packageComments wants one comment per package, that names it. It may stand in a test file only where there is
// nothing else.
func packageComments(t *tree) (found []finding) {
	for dir, files := range byDir(t) {
		if product := slices.DeleteFunc(slices.Clone(files), (*file).isTest); len(product) > 0 {
			files = product
		}
		var commented []*file
		for _, f := range files {
			if f.syntax.Doc != nil {
				commented = append(commented, f)
			}
		}
		if len(commented) != 1 {
			found = append(found, finding{file: dir, text: fmt.Sprintf("%d package comments, want one", len(commented))})
			continue
		}
		f, want := commented[0], "Package "+files[0].syntax.Name.Name+" "
		if f.syntax.Name.Name == "main" {
			want = "Command " + path.Base(dir) + " "
		}
		if text := f.syntax.Doc.Text(); !strings.HasPrefix(text, want) {
			found = append(found, finding{file: f.path, line: 1, text: fmt.Sprintf("the package comment begins %.30q, want %q", text, want)})
		}
	}
	return found
}

func byDir(t *tree) map[string][]*file {
	dirs := map[string][]*file{}
	for _, f := range t.code() {
		dirs[f.dir()] = append(dirs[f.dir()], f)
	}
	return dirs
}

// packageNaming wants one lower-case noun, which is the name of the folder, too.
func packageNaming(t *tree) (found []finding) {
	noun := regexp.MustCompile(`^[a-z][a-z0-9]*$`)
	for dir, files := range byDir(t) {
		name := strings.TrimSuffix(files[0].syntax.Name.Name, "_test")
		switch base := path.Base(dir); {
		case name != "main" && name != base:
			found = append(found, finding{file: dir, name: name, text: "package " + name + " lies in " + base})
		case !noun.MatchString(name):
			found = append(found, finding{file: dir, name: name, text: "package " + name + " is not one lower-case word"})
		case slices.Contains(packageNames, name) || strings.HasSuffix(name, "util") || strings.HasSuffix(name, "utils"):
			found = append(found, finding{file: dir, name: name, text: "package " + name + " does not say what is in it"})
		}
	}
	return found
}

// docComments wants a comment that starts with the name on every exported one: functions, types, constants,
// variables, and the methods of exported types. A comment over a group of values serves all of them, and one behind a
// value serves it in any words.
func docComments(t *tree) (found []finding) {
	for _, f := range t.product() {
		for _, decl := range f.syntax.Decls {
			for _, n := range documented(decl) {
				if !slices.ContainsFunc(n.names, ast.IsExported) || n.says() {
					continue
				}
				found = append(found, finding{f.path, t.line(n.pos), n.names[0], "want a comment that starts with " + n.names[0]})
			}
		}
	}
	return found
}

// named is a thing that wants a comment.
type named struct {
	names []string
	doc   *ast.CommentGroup
	free  bool // it has a comment whose words are free
	pos   token.Pos
}

// says reports whether the comment is one, and starts with a name of the thing.
func (n named) says() bool {
	text := n.doc.Text()
	if text == "" {
		return n.free
	}
	return slices.ContainsFunc(n.names, func(name string) bool {
		rest, ok := strings.CutPrefix(text, name)
		next, _ := utf8.DecodeRuneInString(rest)
		return ok && !unicode.IsLetter(next) && !unicode.IsDigit(next) && next != '_'
	})
}

func documented(decl ast.Decl) []named {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv != nil && !ast.IsExported(receiver(d)) {
			return nil
		}
		return []named{{names: []string{d.Name.Name}, doc: d.Doc, pos: d.Pos()}}
	case *ast.GenDecl:
		list := make([]named, 0, len(d.Specs))
		for _, spec := range d.Specs {
			if n := documentedSpec(spec, d); n.names != nil {
				list = append(list, n)
			}
		}
		return list
	}
	return nil
}

func documentedSpec(spec ast.Spec, group *ast.GenDecl) named {
	alone := !group.Lparen.IsValid()
	switch s := spec.(type) {
	case *ast.TypeSpec:
		n := named{names: []string{s.Name.Name}, doc: s.Doc, pos: s.Pos()}
		if alone {
			n.doc = group.Doc
		}
		return n
	case *ast.ValueSpec:
		n := named{doc: s.Doc, free: s.Comment != nil || !alone && group.Doc != nil, pos: s.Pos()}
		for _, name := range s.Names {
			n.names = append(n.names, name.Name)
		}
		if alone {
			n.doc = group.Doc
		}
		return n
	}
	return named{}
}

// commentsAreDone refuses the words of unfinished work.
func commentsAreDone(t *tree) (found []finding) {
	words := regexp.MustCompile(commentWords)
	for _, f := range t.code() {
		for _, group := range f.syntax.Comments {
			text := strings.Join(strings.Fields(group.Text()), " ")
			for _, word := range slices.Sorted(maps.Keys(setOf(words.FindAllString(text, -1)))) {
				found = append(found, finding{f.path, t.line(group.Pos()), word, fmt.Sprintf("a comment says %q: finish it, or say what is so", word)})
			}
		}
	}
	return found
}

func setOf(words []string) map[string]bool {
	set := map[string]bool{}
	for _, word := range words {
		set[word] = true
	}
	return set
}
