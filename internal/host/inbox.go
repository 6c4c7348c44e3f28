package host

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Times of one message (host 0: the host drops a line that is not complete after 30 s).
const (
	dialTime  = 2 * time.Second
	writeTime = 5 * time.Second
	closeTime = 250 * time.Millisecond
)

// What the inbox of a session is given: it takes 30 messages at once and one more every two seconds, and drops what comes
// above that without a word (docs/hosts.md). The rest is left to other programs.
const (
	InboxBurst = 24
	InboxEvery = 2500 * time.Millisecond
)

// Inbox is the inbox socket of a session, for the processes that the session started (host 0).
type Inbox struct {
	Path  string
	Token config.Secret
}

// Exists reports whether there is an inbox where the host said that it would be.
func (i Inbox) Exists() bool { return i.Path != "" && inboxExists(i.Path) }

// authLine proves that the sender was started by the session.
type authLine struct {
	Type  string `json:"type"`
	Token string `json:"token"`
}

// userLine is a message as Claude Code's sessions send it to one another (host 3).
type userLine struct {
	Type     string      `json:"type"`
	Version  int         `json:"msgV"`
	ID       string      `json:"msg_id"`
	Priority string      `json:"priority"`
	Message  userMessage `json:"message"`
}

type userMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Post writes one message and returns when the host has read it as far as can be known, which is no proof that it was
// shown (design D5). daemon_down tells that nothing was written and another way may be tried; after any other error
// the host may have the message. Now counts as Next (design E1).
func (i Inbox) Post(ctx context.Context, text string, p mesh.Priority) error {
	lines, err := i.lines(text, p)
	if err != nil {
		return err
	}
	conn, err := dialInbox(ctx, i.Path)
	if err != nil {
		return mesh.Errorf(mesh.DaemonDown, "reach the inbox of the session: %w", err)
	}
	defer func() { _ = conn.Close() }() // what counts was written or has failed before
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := write(conn, lines); err != nil {
		return mesh.Errorf(mesh.IOError, "write to the inbox of the session: %w", errors.Join(ctx.Err(), err))
	}
	conn.drain()
	return nil
}

// lines are what is written: one line that proves who we are, one message.
func (i Inbox) lines(text string, p mesh.Priority) ([]byte, error) {
	message, err := wire.Encode(userLine{
		Type: "user", Version: 1, ID: uuid4(), Priority: hostPriority(p), Message: userMessage{"user", text},
	})
	if err != nil {
		return nil, err
	}
	var lines []byte
	if token := i.Token.Reveal(); token != "" {
		auth, err := wire.Encode(authLine{"auth", token})
		if err != nil {
			return nil, err
		}
		lines = append(auth, '\n')
	}
	return append(append(lines, message...), '\n'), nil
}

// hostPriority gives the host's word: nobody else interrupts a session, so now is next.
func hostPriority(p mesh.Priority) string {
	if p == mesh.Low {
		return "later"
	}
	return "next"
}

// uuid4 is the only kind of id that hosts are known to take.
func uuid4() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// inboxConn is an open inbox: a Unix socket, or a named pipe.
type inboxConn interface {
	io.WriteCloser
	// drain says that nothing follows and waits a moment for the host to close its end, which it does after it has read
	// all: messages that are posted one after the other then come in this order.
	drain()
}

// write writes all or fails within writeTime.
func write(conn inboxConn, lines []byte) error {
	late := time.AfterFunc(writeTime, func() { _ = conn.Close() })
	defer late.Stop()
	_, err := conn.Write(lines)
	return err
}
