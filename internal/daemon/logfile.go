package daemon

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// LogFile keeps a log within its bounds: neither verbs nor service managers that append a daemon's output to a file ever
// begin another one. What was written goes into path.1 and so on, and path itself is emptied, so that everybody who has it
// open goes on writing to it.
type LogFile struct {
	path       string
	limitBytes int64
	files      int // with path itself

	mu   sync.Mutex
	file *os.File
}

// OpenLogFile returns w where it is not the file at path, such as a terminal; else a LogFile of at most files files of about
// limitBytes each.
func OpenLogFile(w io.Writer, path string, limitBytes int64, files int) io.Writer {
	file, ok := w.(*os.File)
	if !ok {
		return w
	}
	here, err := file.Stat()
	there, thereErr := os.Stat(path)
	if err != nil || thereErr != nil || !os.SameFile(here, there) {
		return w
	}
	return &LogFile{path: path, limitBytes: limitBytes, files: files, file: file}
}

// Write appends one line. It begins another file first, where the last one is full; when that fails the line is written all
// the same.
func (l *LogFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if info, err := l.file.Stat(); err == nil && info.Size() >= l.limitBytes {
		if err := l.turn(); err != nil {
			_, _ = fmt.Fprintf(l.file, "claudemesh: %v\n", err) // the line below is the one that counts
		}
	}
	return l.file.Write(p)
}

// turn moves what was written out of the way.
func (l *LogFile) turn() error {
	for i := l.files - 1; i > 1; i-- {
		if err := os.Rename(l.name(i-1), l.name(i)); err != nil && !os.IsNotExist(err) {
			return mesh.Errorf(mesh.IOError, "keep an old log: %w", err)
		}
	}
	if l.files > 1 {
		if err := copyFile(l.path, l.name(1)); err != nil {
			return mesh.Errorf(mesh.IOError, "keep the log: %w", err)
		}
	}
	if err := os.Truncate(l.path, 0); err != nil {
		return mesh.Errorf(mesh.IOError, "empty the log: %w", err)
	}
	return nil
}

// name is that of an old log.
func (l *LogFile) name(i int) string { return fmt.Sprintf("%s.%d", l.path, i) }

// copyFile copies a file into a new one that nobody else can read.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // nothing was written
	if err := os.Remove(to); err != nil && !os.IsNotExist(err) {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, paths.FileMode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close() // the first error is the one to report
		return err
	}
	return out.Close()
}
