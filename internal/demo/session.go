package demo

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// hostSession plays a host program: it starts the MCP server of a session, as a host does, and collects what the
// session is shown.
type hostSession struct {
	home   *home
	id     string
	name   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	shown  chan channelText
	exited chan error
}

// channelText is one message as the session is shown it (mcp-tools 2).
type channelText struct {
	Content string            `json:"content"`
	Meta    map[string]string `json:"meta"`
}

// hostName is how the player calls itself. Its process has no flag that makes it act alone, and its home no settings, so
// that nothing is held.
const hostName = "claude-code"

// frame is a JSON-RPC message of the MCP server, as far as it is read here.
type frame struct {
	ID     wire.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params channelText     `json:"params"`
	Result wire.RawMessage `json:"result"`
}

// maxShown bounds the messages that wait to be read.
const maxShown = 64

// open starts a session in a home and completes the handshake.
func (h *home) open(ctx context.Context, id, name string) (*hostSession, error) {
	s := &hostSession{home: h, id: id, name: name, shown: make(chan channelText, maxShown), exited: make(chan error, 1)}
	s.cmd = exec.Command(h.executable, "mcp") // ends with its standard input
	s.cmd.Env = append(h.environ, s.env()...)
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, mesh.Errorf(mesh.IOError, "start an MCP server: %w", err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, mesh.Errorf(mesh.IOError, "start an MCP server: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, mesh.Errorf(mesh.IOError, "start an MCP server: %w", err)
	}
	h.hosts = append(h.hosts, s)
	ready := make(chan struct{})
	go func() {
		s.read(out, ready)
		s.exited <- s.cmd.Wait()
	}()
	if err := s.write(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},` +
		`"clientInfo":{"name":"` + hostName + `","version":"1"}}}`); err != nil {
		return nil, err
	}
	select {
	case <-ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(verbTime):
		return nil, mesh.Errorf(mesh.Timeout, "the MCP server did not answer initialize")
	}
	return s, s.write(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

// env is what a host gives to the programs of a session.
func (s *hostSession) env() []string {
	return []string{"CLAUDE_CODE_SESSION_ID=" + s.id, "CLAUDEMESH_DISPLAY_NAME=" + s.name}
}

func (s *hostSession) write(line string) error {
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		return mesh.Errorf(mesh.IOError, "write to the MCP server: %w", err)
	}
	return nil
}

// read collects what the session is shown, until the server ends.
func (s *hostSession) read(out io.Reader, ready chan<- struct{}) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var f frame
		if wire.Decode(lines.Bytes(), &f) != nil {
			continue
		}
		switch {
		case f.Method == "notifications/claude/channel":
			s.shown <- f.Params
		case len(f.Result) > 0 && ready != nil:
			close(ready)
			ready = nil
		}
	}
}

// next waits for a message that the session is shown and that holds a text.
func (s *hostSession) next(ctx context.Context, text string) (channelText, error) {
	timeout := time.After(verbTime)
	for {
		select {
		case m := <-s.shown:
			if strings.Contains(m.Content, text) {
				return m, nil
			}
		case <-ctx.Done():
			return channelText{}, ctx.Err()
		case <-timeout:
			return channelText{}, mesh.Errorf(mesh.Timeout, "the session was not shown %q", text)
		}
	}
}

// close ends the session as a host does: its standard input ends.
func (s *hostSession) close() error {
	err := s.in.Close()
	select {
	case exit := <-s.exited:
		return errors.Join(err, exit)
	case <-time.After(cleanTime):
		return errors.Join(err, s.cmd.Process.Kill())
	}
}

// whoami waits until the session is registered, and gives its name in the mesh.
func (s *hostSession) whoami(ctx context.Context) (string, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(verbTime)
	for {
		var v struct {
			Session *struct {
				Name string `json:"display_name"`
			} `json:"session"`
		}
		_, err := s.home.runAs(ctx, s.env(), &v, "whoami")
		if err == nil && v.Session != nil {
			return v.Session.Name, nil
		}
		select {
		case <-deadline:
			return "", mesh.Errorf(mesh.Undelivered, "the session is not registered: %w", err)
		case <-ctx.Done():
			return "", ctx.Err()
		case <-tick.C:
		}
	}
}

// sessions opens a session in each home, and lets them write to each other from their shells.
func (s *stage) sessions(ctx context.Context) error {
	a, err := s.anna.open(ctx, "demo-session-of-anna", "api")
	if err != nil {
		return err
	}
	b, err := s.ben.open(ctx, "demo-session-of-ben", "web")
	if err != nil {
		return err
	}
	names := map[*hostSession]string{}
	for _, h := range []*hostSession{a, b} {
		if names[h], err = h.whoami(ctx); err != nil {
			return err
		}
		s.shown(h.home, 0, "the session is "+names[h]+" on the mesh", "whoami")
	}
	if err := s.ask(ctx, a, b, names, "which branch are you on?"); err != nil {
		return err
	}
	return s.ask(ctx, b, a, names, "main, since this morning")
}

// ask sends from one session's shell and waits until the other session is shown it.
func (s *stage) ask(ctx context.Context, from, to *hostSession, names map[*hostSession]string, text string) error {
	key, err := from.peer(ctx, names[to])
	if err != nil {
		return err
	}
	began := s.now()
	var sent sentView
	took, err := from.home.runAs(ctx, from.env(), &sent, "send", string(key), text, "--wait=delivered")
	if err != nil {
		return err
	}
	s.shown(from.home, took, string(sent.State), "send %s %q --wait", key.Short(), text)
	m, err := to.next(ctx, text)
	if err != nil {
		return err
	}
	s.shown(to.home, s.now().Sub(began), "its session is shown: "+m.Content, "(MCP channel)")
	return check(m.Meta["from_name"] == names[from], "the message is from %q, not from the session %q", m.Meta["from_name"], names[from])
}

// peer gives the key of a session as another one sees it in the roster.
func (s *hostSession) peer(ctx context.Context, name string) (mesh.Key, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(verbTime)
	for {
		var peers []peerRow
		if _, err := s.home.runAs(ctx, s.env(), &peers, "peers"); err != nil {
			return "", err
		}
		for _, p := range peers {
			if p.Name == name && !p.Self {
				return p.Key, nil
			}
		}
		select {
		case <-deadline:
			return "", mesh.Errorf(mesh.NotFound, "%s does not see the session %s", s.home.user, name)
		case <-ctx.Done():
			return "", ctx.Err()
		case <-tick.C:
		}
	}
}
