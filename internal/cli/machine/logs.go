package machine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// logsFlags are what of the log is wanted.
type logsFlags struct {
	follow bool
	lines  int
	since  string
	from   time.Time // of since
}

func newDaemonLogs(a *shell.App) *cobra.Command {
	var f logsFlags
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Show the daemon's log",
		Long: "Show the end of the daemon's log, also of files that it has put away meanwhile. With --follow it goes on until you end it. With " +
			"--json each line is as it was written, one object.",
		Example: "claudemesh daemon logs -f\nclaudemesh daemon logs --since 10m",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := shell.CheckRange(cmd, "lines", f.lines, 0, maxLogLines); err != nil {
				return err
			}
			if f.since != "" {
				var err error
				if f.from, err = sinceTime(a.Now(), f.since); err != nil {
					return shell.Usage(cmd, "--since takes a length of time such as 10m, or a time such as 2026-03-01T12:00:00Z, not %q", f.since)
				}
			}
			if f.since != "" && !cmd.Flags().Changed("lines") {
				f.lines = maxLogLines
			}
			return a.NoArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return runLogs(cmd.Context(), a, f) },
	}
	fl := cmd.Flags()
	fl.BoolVarP(&f.follow, "follow", "f", false, "go on with what is written")
	fl.IntVarP(&f.lines, "lines", "n", 50, "at most so many `lines` of the past, 0 to 100000; with --since all of them")
	fl.StringVar(&f.since, "since", "", "only what was written since a `time`, or for a length of time")
	return cmd
}

const (
	maxLogLines = 100_000
	maxLogFiles = 100 // as many as the settings allow
	logStep     = 200 * time.Millisecond
)

// sinceTime reads a length of time before now, or a time.
func sinceTime(now time.Time, text string) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Parse(time.RFC3339, text)
}

func runLogs(ctx context.Context, a *shell.App, f logsFlags) error {
	path := a.Home.Daemon.Log()
	past, read, err := pastLines(path, f)
	if err != nil {
		return err
	}
	if past == nil && !f.follow {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return mesh.Errorf(mesh.NotFound, "there is no log at %s: the daemon has not run in the background", path)
		}
	}
	for _, line := range past {
		if err := printLog(a, line); err != nil {
			return err
		}
	}
	if !f.follow {
		return nil
	}
	return followLog(ctx, &logTail{path: path, offset: read}, func(line []byte) error { return printLog(a, line) })
}

// pastLines reads the end of the log: of its newest file, and of older ones as long as more is wanted. read is how much
// of the newest file that was.
func pastLines(path string, f logsFlags) (lines [][]byte, read int64, err error) {
	for i := range maxLogFiles {
		name := path
		if i > 0 {
			name += "." + strconv.Itoa(i)
		}
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, 0, mesh.Errorf(mesh.IOError, "read the log: %w", err)
		}
		whole := text[:bytes.LastIndexByte(text, '\n')+1]
		if i == 0 {
			read = int64(len(whole))
		}
		older := slices.Collect(bytes.Lines(whole))
		first := slices.IndexFunc(older, func(line []byte) bool { return !logTime(line).Before(f.from) })
		if first < 0 {
			first = len(older)
		}
		lines = append(older[first:len(older):len(older)], lines...)
		if len(lines) >= f.lines || first > 0 {
			break
		}
	}
	return lines[max(len(lines)-f.lines, 0):], read, nil
}

// logTime is when a line was written; zero where it does not say, which is before everything.
func logTime(line []byte) time.Time {
	var l struct {
		Time string `json:"time"`
	}
	if wire.Decode(bytes.TrimSpace(line), &l) != nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, l.Time)
	if err != nil {
		return time.Time{}
	}
	return t
}

// logTail is how far a log was read.
type logTail struct {
	path   string
	offset int64
	rest   []byte // of a line that is being written
}

// followLog gives every line that is written, until ctx ends.
func followLog(ctx context.Context, t *logTail, line func([]byte) error) error {
	tick := time.NewTicker(logStep)
	defer tick.Stop()
	for {
		if err := t.more(line); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil // who pressed Ctrl-C has seen enough
		case <-tick.C:
		}
	}
}

// more reads what was written since the last time. A log that begins anew was copied to .1 before: the end of that is read
// first.
func (t *logTail) more(line func([]byte) error) error {
	info, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it comes
	}
	if err == nil && info.Size() < t.offset {
		if err := t.take(t.path+".1", line); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		t.offset, t.rest = 0, nil
	}
	if err == nil {
		err = t.take(t.path, line)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return mesh.Errorf(mesh.CodeOf(err), "read the log: %w", err)
	}
	return nil
}

// take reads a file from the offset on.
func (t *logTail) take(path string, line func([]byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // nothing was written
	if _, err := file.Seek(t.offset, io.SeekStart); err != nil {
		return err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	t.offset += int64(len(text))
	t.rest = append(t.rest, text...)
	for {
		end := bytes.IndexByte(t.rest, '\n')
		if end < 0 {
			return nil
		}
		if err := line(t.rest[:end+1]); err != nil {
			return err
		}
		t.rest = t.rest[end+1:]
	}
}

// printLog prints one line: as JSON as it is, for people its time, level, words and facts.
func printLog(a *shell.App, line []byte) error {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return nil
	}
	fields := map[string]wire.RawMessage{}
	if wire.Decode(line, &fields) != nil { // what a program says before it logs
		text := string(line)
		return a.PrintLine(plainLine{strings.ToValidUTF8(text, "?")}, func(s term.Stream) { s.Plain("%s", term.Clean(text)) })
	}
	return a.PrintLine(wire.RawMessage(line), func(s term.Stream) { writeLog(s, fields) })
}

// plainLine is a line that is no JSON, as JSON.
type plainLine struct {
	Msg string `json:"msg"`
}

func writeLog(s term.Stream, fields map[string]wire.RawMessage) {
	at, level, message := logText(fields["time"]), logText(fields["level"]), logText(fields["msg"])
	if t, err := time.Parse(time.RFC3339, at); err == nil {
		at = t.Format(time.DateTime)
	}
	var facts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name != "time" && name != "level" && name != "msg" {
			facts = append(facts, name+"="+logText(fields[name]))
		}
	}
	style := map[string]term.Style{"WARN": term.Yellow, "ERROR": term.Red, "DEBUG": term.Dim}[level]
	word := term.Pad(term.Clean(level), len("ERROR"))
	if style != "" {
		word = s.Paint(style, word)
	}
	s.Plain("%s", strings.TrimRight(s.Paint(term.Dim, at)+" "+word+" "+term.Clean(message)+" "+s.Paint(term.Dim, strings.Join(facts, " ")), " "))
}

// logText is a value for people: texts without quotes.
func logText(raw wire.RawMessage) string {
	var text string
	if wire.Decode(raw, &text) == nil {
		return text
	}
	return string(raw)
}
