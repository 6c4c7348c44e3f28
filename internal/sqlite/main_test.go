package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"
)

// children are what the test binary does instead of its tests when a test starts it again as a process that
// may be killed, limited or traced: `child NAME PATH`.
var children = map[string]func(path string) error{
	"write": childWrite,
	"lock":  childLock,
}

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "child" {
		maps.Copy(children, systemChildren)
		if err := children[os.Args[2]](os.Args[3]); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// child is a running child process and what it prints.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner
	stdin io.WriteCloser
}

// startChild runs a child; prefix is a program to run it under, such as a tracer.
func startChild(t *testing.T, name, path string, prefix ...string) *child {
	t.Helper()
	argv := append(slices.Clone(prefix), os.Args[0], "child", name, path)
	c := &child{Cmd: exec.Command(argv[0], argv[1:]...)}
	var err error
	if c.stdin, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewScanner(out)
	t.Cleanup(func() {
		_ = c.Process.Kill() // it has ended in every test that passes
		_ = c.Wait()
	})
	return c
}

// next returns the next line of the child, "" at its end.
func (c *child) next() string {
	if !c.lines.Scan() {
		return ""
	}
	return c.lines.Text()
}

var noteSchema = fstest.MapFS{"0001_note.sql": {Data: []byte(
	"CREATE TABLE note (n INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;")}}

// options are those of a small store whose migration is noteSchema.
func options() Options {
	return Options{Migrations: noteSchema, Now: time.Now, busyTimeout: 20 * time.Millisecond}
}

func newPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "store.db")
}

func openTest(t *testing.T, path string, opt Options) *DB {
	t.Helper()
	db, err := Open(t.Context(), path, opt)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

// body is what note n says.
func body(n int) string { return fmt.Sprintf("note %d %s", n, strings.Repeat("x", n%300)) }

func addNote(n int) func(*Tx) error {
	return func(tx *Tx) error {
		_, err := tx.Exec("INSERT INTO note (n, body) VALUES ($1, $2)", n, body(n))
		return err
	}
}

// notes returns the numbers of the notes in order, and fails when one has another body than its own.
func notes(t *testing.T, db *DB) []int {
	t.Helper()
	var found []int
	err := db.Read(context.WithoutCancel(t.Context()), func(tx *Tx) error {
		found = nil
		rows, err := tx.Query("SELECT n, body FROM note ORDER BY n")
		if err != nil {
			return err
		}
		for rows.Next() {
			var n int
			var text string
			if err := rows.Scan(&n, &text); err != nil {
				return err
			}
			if text != body(n) {
				t.Errorf("note %d says %q, want %q", n, text, body(n))
			}
			found = append(found, n)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatalf("read notes: %v", err)
	}
	return found
}

// span returns the integers from first to last.
func span(first, last int) []int {
	var s []int
	for n := first; n <= last; n++ {
		s = append(s, n)
	}
	return s
}
