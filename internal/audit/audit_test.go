package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

func newLog(t *testing.T) Log {
	t.Helper()
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	return New(filepath.Join(t.TempDir(), "home", "audit.log"), func() time.Time { return at })
}

// write adds entries that name themselves by their verb.
func (l Log) write(t *testing.T, verbs ...string) {
	t.Helper()
	for _, verb := range verbs {
		if err := l.Append(t.Context(), Entry{Event: Policy, Resource: "peer", Verb: verb, Decision: Denied, IsWrite: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func (l Log) read(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(l.path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (l Log) verify(t *testing.T) Report {
	t.Helper()
	r, err := l.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAppend(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	if r := l.verify(t); r.Entries != 0 || r.Fault != nil {
		t.Errorf("got %+v of a log that nobody wrote, want nothing", r)
	}
	l.write(t, "kick", "ban")
	const first = `{"seq":1,"ts":"2026-03-04T12:00:00.000Z","event":"policy","resource":"peer","verb":"kick","isWrite":true,"yes":false,"decision":"deny","prev":"genesis","hash":"`
	if text := l.read(t); !strings.HasPrefix(text, first) || strings.Count(text, "\n") != 2 {
		t.Errorf("got %s, want two lines, the first of them %s…", text, first)
	}
	if r := l.verify(t); r.Entries != 2 || r.First != 1 || r.Last != 2 || r.Fault != nil {
		t.Errorf("got %+v, want two entries and no fault", r)
	}
	info, err := os.Stat(l.path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %04o, want 0600", info.Mode().Perm())
	}
	all, err := l.List(t.Context(), 1)
	if err != nil || len(all) != 1 || all[0].Verb != "ban" {
		t.Errorf("got %+v and %v, want the newest", all, err)
	}
}

func TestVerifyNamesTheFirstBadLine(t *testing.T) {
	t.Parallel()
	lines := func(text string) []string { return strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n") }
	for _, tt := range []struct {
		name   string
		change func(text string) string
		line   int // 0: none
		text   string
	}{
		{"untouched", func(text string) string { return text }, 0, ""},
		{"a word", func(text string) string { return strings.Replace(text, `"verb":"b"`, `"verb":"x"`, 1) }, 2, "not what was written"},
		{"a space", func(text string) string { return strings.Replace(text, `"verb":"b"`, `"verb": "b"`, 1) }, 2, "not what was written"},
		{"a hash", func(text string) string { return strings.Replace(text, `"hash":"`, `"hash":"0`, 1) }, 1, "not what was written"},
		{"a line out", func(text string) string { l := lines(text); return l[0] + l[2] + "\n" }, 2, "number 3, want 2"},
		{"the first line out", func(text string) string { l := lines(text); return l[1] + l[2] + "\n" }, 1, "number 2, want 1"},
		{"a line twice", func(text string) string { l := lines(text); return l[0] + l[0] + l[1] + l[2] + "\n" }, 2, "number 1, want 2"},
		{"two lines exchanged", func(text string) string { l := lines(text); return l[0] + l[2] + "\n" + l[1] }, 2, "number 3, want 2"},
		{"the last line out", func(text string) string { l := lines(text); return l[0] + l[1] }, 3, "missing at the end"},
		{"no JSON", func(text string) string { return text + "hello\n" }, 4, "not what was written"},
		{"cut off by a crash", func(text string) string { return text + `{"seq":4,"ts"` }, 0, ""},
		{"an empty line", func(text string) string { return text + "\n" }, 4, "not what was written"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLog(t)
			l.write(t, "a", "b", "c")
			if err := os.WriteFile(l.path, []byte(tt.change(l.read(t))), 0o600); err != nil {
				t.Fatal(err)
			}
			r := l.verify(t)
			switch {
			case tt.line == 0 && r.Fault != nil:
				t.Errorf("got %+v, want no fault", *r.Fault)
			case tt.line == 0:
			case r.Fault == nil || r.Fault.Line != tt.line || !strings.Contains(r.Fault.Text, tt.text) || r.Fault.File != l.path:
				t.Errorf("got %+v, want line %d: %s", r.Fault, tt.line, tt.text)
			}
		})
	}
}

// TestVerifySeesAForgedLine: a line whose own hash is right is still none that Append wrote there.
func TestVerifySeesAForgedLine(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	l.write(t, "a", "b")
	forged, _, err := seal(Entry{Seq: 3, Event: Policy, Resource: "peer", Verb: "c", Decision: Allowed, Prev: strings.Repeat("0", 64)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.path, append([]byte(l.read(t)), forged...), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := l.verify(t); r.Fault == nil || r.Fault.Line != 3 {
		t.Errorf("got %+v, want the third line named", r)
	}
	rewritten, _, err := seal(Entry{Seq: 1, Event: Policy, Resource: "peer", Verb: "z", Decision: Allowed, Prev: genesis})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.path, rewritten, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := l.verify(t); r.Fault == nil {
		t.Error("got no fault of a log that was begun anew, want one")
	}
}

func TestAppendAfterACrash(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	l.write(t, "a")
	if err := os.WriteFile(l.path, []byte(l.read(t)+`{"seq":2,"ts":"20`), 0o600); err != nil {
		t.Fatal(err)
	}
	l.write(t, "b")
	if r := l.verify(t); r.Entries != 2 || r.Fault != nil {
		t.Errorf("got %+v, want two whole entries", r)
	}
}

// TestAppendFollowsABadLine: what comes behind a line that was changed is still written, and the fault stays at that line.
func TestAppendFollowsABadLine(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	l.write(t, "a", "b")
	if err := os.WriteFile(l.path, []byte(strings.Replace(l.read(t), `"b"`, `"x"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	l.write(t, "c")
	if r := l.verify(t); r.Fault == nil || r.Fault.Line != 2 {
		t.Errorf("got %+v, want the second line named", r)
	}
	all, err := l.List(t.Context(), 9)
	if err != nil || len(all) != 2 || all[1].Verb != "c" || all[1].Seq != 3 {
		t.Errorf("got %+v and %v, want a and c", all, err)
	}
}

// TestAppendKeepsWhatWasTakenOut: the next entry does not hide that lines are missing at the end, or all of them.
func TestAppendKeepsWhatWasTakenOut(t *testing.T) {
	t.Parallel()
	for _, left := range []int{0, 1, 2} {
		l := newLog(t)
		l.write(t, "a", "b", "c")
		lines := strings.SplitAfter(l.read(t), "\n")
		if err := os.WriteFile(l.path, []byte(strings.Join(lines[:left], "")), 0o600); err != nil {
			t.Fatal(err)
		}
		l.write(t, "d", "e")
		if r := l.verify(t); r.Fault == nil || r.Fault.Line != left+1 || !strings.Contains(r.Fault.Text, "number 4") {
			t.Errorf("got %+v with %d of three lines left, want the fourth named behind them", r, left)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	l.limit = 600 // two lines
	for range keptFiles {
		l.write(t, "a", "b")
	}
	r := l.verify(t)
	if r.Fault != nil || r.Entries != 2*keptFiles || r.First != 1 {
		t.Fatalf("got %+v, want the chain to go on over the files", r)
	}
	for range 3 * keptFiles {
		l.write(t, "c", "d", "e")
	}
	if r = l.verify(t); r.Fault != nil || r.First == 1 || r.Last != 11*keptFiles {
		t.Errorf("got %+v, want the oldest entries gone and the rest whole", r)
	}
	parts, err := filepath.Glob(l.path + "*")
	if err != nil || len(parts) != keptFiles+3 {
		t.Errorf("got %q and %v, want %d files, lock and head", parts, err, keptFiles+1)
	}
	if err := os.Remove(l.part(2)); err != nil {
		t.Fatal(err)
	}
	if r = l.verify(t); r.Fault == nil || r.Fault.File != l.part(1) || r.Fault.Line != 1 {
		t.Errorf("got %+v, want the file behind the gap named", r.Fault)
	}
}

func TestAppendFromMany(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 10 {
				if err := l.Append(t.Context(), Entry{Event: Policy, Verb: fmt.Sprint(i), Decision: Asked}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if r := l.verify(t); r.Entries != 80 || r.Fault != nil {
		t.Errorf("got %+v, want eighty entries in one chain", r)
	}
}

func TestAppendFails(t *testing.T) {
	t.Parallel()
	l := newLog(t)
	if err := l.Append(t.Context(), Entry{Reason: strings.Repeat("x", maxLineBytes)}); !mesh.IsCode(err, mesh.IOError) {
		t.Errorf("got %v, want an entry of that size refused", err)
	}
	if err := os.MkdirAll(l.path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), Entry{}); !mesh.IsCode(err, mesh.IOError) {
		t.Errorf("got %v, want a folder in its place refused", err)
	}
}
