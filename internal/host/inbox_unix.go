//go:build unix

package host

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

var errForeign = errors.New("it is not a socket of this user")

// socketConn is a Unix socket.
type socketConn struct{ *net.UnixConn }

func inboxExists(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Type() == fs.ModeSocket
}

// dialInbox connects after checking that the socket is the user's own: the token is for the host alone.
func dialInbox(ctx context.Context, path string) (inboxConn, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if info.Mode().Type() != fs.ModeSocket || !ok || int(st.Uid) != os.Getuid() {
		return nil, errForeign
	}
	d := net.Dialer{Timeout: dialTime}
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return socketConn{conn.(*net.UnixConn)}, nil
}

func (c socketConn) drain() {
	if c.CloseWrite() != nil {
		return // the host has closed already
	}
	late := time.AfterFunc(closeTime, func() { _ = c.Close() }) // ends the read below
	defer late.Stop()
	_, _ = io.Copy(io.Discard, c.UnixConn) // nothing is answered on this connection; only its end counts
}
