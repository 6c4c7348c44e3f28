package host

import (
	"context"
	"os"
)

// pipeConn is a named pipe.
type pipeConn struct{ *os.File }

// inboxExists: a pipe cannot be looked for without being opened.
func inboxExists(string) bool { return true }

// dialInbox opens a named pipe; an open one needs no time.
func dialInbox(_ context.Context, path string) (inboxConn, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return pipeConn{f}, nil
}

// drain has nothing to do: a pipe keeps what was written until it is read.
func (pipeConn) drain() {}
