package tidy

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tree is the text of the repository, and the syntax of its module.
type tree struct {
	fset   *token.FileSet
	files  []*file // in the order of their paths
	broken []finding
}

// file is one text file. Its syntax is nil when it is not Go, or belongs to test data or another module.
type file struct {
	path   string // below the root, with slashes
	text   string
	lower  string // text in lower case
	syntax *ast.File
}

// plant makes a tree of sources by path.
func plant(sources map[string]string) *tree {
	t := &tree{fset: token.NewFileSet()}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		f := &file{path: name, text: sources[name], lower: strings.ToLower(sources[name])}
		t.files = append(t.files, f)
		if !isSource(name, sources) {
			continue
		}
		syntax, err := parser.ParseFile(t.fset, name, f.text, parser.ParseComments)
		if err != nil {
			t.broken = append(t.broken, finding{file: name, text: err.Error()})
			continue
		}
		f.syntax = syntax
	}
	return t
}

// isSource reports whether a file is Go of the main module.
func isSource(name string, sources map[string]string) bool {
	if path.Ext(name) != ".go" || strings.Contains("/"+name, "/testdata/") {
		return false
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, nested := sources[path.Join(dir, "go.mod")]; nested {
			return false
		}
	}
	return true
}

// read takes the tree from disk: what git tracks or would track; everything, where there is no git.
func read(t *testing.T) *tree {
	t.Helper()
	root := os.DirFS(filepath.Join("..", ".."))
	kept := tracked()
	sources := map[string]string{}
	// The walk opens every folder, by which the test cache learns of new files; git alone would not tell it.
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == ".git" || name == "bin" || name == "dist" || entry.Name() == "node_modules"):
			return fs.SkipDir
		case !entry.Type().IsRegular() || kept != nil && !kept[name]:
			return nil
		}
		data, err := fs.ReadFile(root, name)
		if err == nil && !bytes.Contains(data[:min(len(data), 8000)], []byte{0}) {
			sources[name] = string(data)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since the folder was listed
		}
		return err
	})
	if err != nil {
		t.Fatalf("read the tree: %v", err)
	}
	return plant(sources)
}

// tracked lists the files that git does not ignore; nil without git.
func tracked() map[string]bool {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	names := map[string]bool{}
	for name := range strings.SplitSeq(string(out), "\x00") {
		names[name] = true
	}
	return names
}

// dir is the folder of f.
func (f *file) dir() string { return path.Dir(f.path) }

// pkg is the package of f as the tables write it: below internal/, or with cmd/.
func (f *file) pkg() string { return strings.TrimPrefix(f.dir(), "internal/") }

// isTest reports whether f is compiled for tests only.
func (f *file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// lines counts the lines of f.
func (f *file) lines() int { return strings.Count(f.text, "\n") }

// imports lists what f imports, with the local name of each.
func (f *file) imports() []imported {
	var list []imported
	for _, spec := range f.syntax.Imports {
		what, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has refused it
		}
		name := path.Base(what)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		list = append(list, imported{path: what, name: name, pos: spec.Pos()})
	}
	return list
}

type imported struct {
	path, name string
	pos        token.Pos
}

// code is the files with syntax.
func (t *tree) code() []*file {
	return slices.DeleteFunc(slices.Clone(t.files), func(f *file) bool { return f.syntax == nil })
}

// product is the files with syntax that are not compiled for tests only.
func (t *tree) product() []*file {
	return slices.DeleteFunc(t.code(), (*file).isTest)
}

// line is where pos stands.
func (t *tree) line(pos token.Pos) int { return t.fset.Position(pos).Line }

// span counts the lines of a node.
func (t *tree) span(n ast.Node) int { return t.line(n.End()) - t.line(n.Pos()) + 1 }

// under reports whether a package is matched by a pattern: itself, all below it ("x/..."), or all ("...").
func under(pkg, pattern string) bool {
	prefix, all := strings.CutSuffix(pattern, "...")
	if !all {
		return pkg == pattern
	}
	return strings.HasPrefix(pkg+"/", prefix)
}

func underAny(pkg string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return under(pkg, pattern) })
}

func TestUnder(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pkg, pattern string
		want         bool
	}{
		{"cli", "cli", true}, {"cli/term", "cli", false}, {"cli", "cli/...", true}, {"cli/term", "cli/...", true},
		{"client", "cli/...", false}, {"anything", "...", true},
	} {
		if got := under(tc.pkg, tc.pattern); got != tc.want {
			t.Errorf("got %t for %s under %s, want %t", got, tc.pkg, tc.pattern, tc.want)
		}
	}
}

func TestPlantTellsSourcesApart(t *testing.T) {
	t.Parallel()
	tree := plant(map[string]string{
		"internal/a/a.go": "package a", "internal/a/testdata/a.go": "package", "bench/go.mod": "", "bench/x/a.go": "package", "a.md": "",
		"internal/b/b.go": "package",
	})
	if code := tree.code(); len(code) != 1 || code[0].path != "internal/a/a.go" {
		t.Errorf("got %d files of code, want the one that is whole and of this module", len(code))
	}
	if len(tree.files) != 6 || len(tree.broken) != 1 || tree.broken[0].file != "internal/b/b.go" {
		t.Errorf("got %d files, %v broken, want 6 and b.go broken", len(tree.files), tree.broken)
	}
}
