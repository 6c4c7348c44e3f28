package mcp

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"

	"github.com/claudemesh/claudemesh/internal/paths"
)

// logLimitBytes is when a log file is set aside; there are two of them at most (mcp 2.7).
const logLimitBytes = 1 << 20

// logFile is the log of all MCP servers of this user: each line is appended in one write. It is opened by the first
// line, so that nothing is touched before the host was answered. A line that cannot be written is lost: there is nobody to tell.
type logFile struct {
	path string

	mu     sync.Mutex
	file   *os.File
	closed bool
}

// Write appends one line.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, fs.ErrClosed
	}
	if err := l.ready(); err != nil {
		return 0, err
	}
	return l.file.Write(line)
}

// Close closes the file; later lines are lost.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// ready opens the file, or another one when it is full or was set aside by another server.
func (l *logFile) ready() error {
	if l.file != nil {
		if here, err := l.file.Stat(); err == nil && l.current(here) && here.Size() < logLimitBytes {
			return nil
		}
		_ = l.file.Close() // every line is written already
		l.file = nil
	}
	if err := paths.EnsureDir(filepath.Dir(l.path), paths.DirMode); err != nil {
		return err
	}
	l.setAside()
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, paths.FileMode)
	l.file = file
	return err
}

// current reports whether an open file is the one that has the name.
func (l *logFile) current(here os.FileInfo) bool {
	there, err := os.Stat(l.path)
	return err == nil && os.SameFile(here, there)
}

// setAside renames a file that is full. Only one server does: the others find it small when their turn comes.
func (l *logFile) setAside() {
	turn := flock.New(l.path+".lock", flock.SetPermissions(paths.FileMode))
	if turn.Lock() != nil {
		return // the file grows a little more
	}
	defer func() { _ = turn.Unlock() }() // closing the handle frees it in any case
	if there, err := os.Stat(l.path); err == nil && there.Size() >= logLimitBytes {
		_ = os.Rename(l.path, l.path+".1") // otherwise it grows a little more
	}
}
