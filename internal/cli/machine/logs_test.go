package machine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func logLine(at, word string) string {
	return `{"time":"2026-03-04T` + at + `Z","level":"INFO","msg":"` + word + `"}` + "\n"
}

func TestPastLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "daemon.log")
	put(t, path+".2", logLine("09:00:00", "a"))
	put(t, path+".1", logLine("10:00:00", "b")+"plain\n"+logLine("10:30:00", "c"))
	put(t, path, logLine("11:00:00", "d")+logLine("11:30:00", "e")+`{"time":"20`)
	from := func(at string) time.Time {
		when, err := time.Parse(time.RFC3339, "2026-03-04T"+at+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for name, c := range map[string]struct {
		f    logsFlags
		want string
	}{
		"the last": {logsFlags{lines: 1}, "e"}, "of two files": {logsFlags{lines: 4}, "b plain c d e"[len("b "):]}, "of all": {logsFlags{lines: 100}, "a b plain c d e"},
		"none": {logsFlags{}, ""}, "since": {logsFlags{lines: 100, from: from("10:30:00")}, "c d e"}, "since the future": {logsFlags{lines: 100, from: from("12:00:00")}, ""},
		"since, but few": {logsFlags{lines: 2, from: from("10:00:00")}, "d e"},
	} {
		lines, read, err := pastLines(path, c.f)
		var words []string
		for _, line := range lines {
			word := strings.TrimSuffix(strings.TrimSpace(string(line)), `"}`)
			words = append(words, word[strings.LastIndex(word, `"`)+1:])
		}
		if got := strings.Join(words, " "); got != c.want || err != nil || read == 0 {
			t.Errorf("%s: got %q, %d, %v, want %q", name, got, read, err, c.want)
		}
	}
}

// What is written is shown once and in order, also when the log begins anew, and in the middle of a line.
func TestFollowLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "daemon.log")
	tail := &logTail{path: path}
	var got []string
	step := func() {
		t.Helper()
		if err := tail.more(func(line []byte) error { got = append(got, strings.TrimSpace(string(line))); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	step() // no file yet
	put(t, path, "one\ntw")
	step()
	put(t, path, "one\ntwo\n")
	step()
	put(t, path+".1", "one\ntwo\nthree\n") // what was written since, then it begins anew
	put(t, path, "four\n")
	step()
	step()
	if diff := cmp.Diff([]string{"one", "two", "three", "four"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	put(t, path, "four\nfive\n")
	if err := followLog(ctx, tail, func([]byte) error { cancel(); return nil }); err != nil {
		t.Errorf("got %v, want an end without words", err)
	}
	broken := errors.New("pipe")
	put(t, path, "four\nfive\nsix\n")
	if err := followLog(t.Context(), tail, func([]byte) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v, want what failed", err)
	}
}
