//go:build unix

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// session is a session in a host program: a process that looks like Claude Code, its MCP server, and a client of
// the official SDK at the other end of the server's streams.
type session struct {
	h       *home
	id      string
	host    *exec.Cmd
	orders  *os.File
	answers *json.Decoder
	mu      sync.Mutex         // one order at a time
	client  *mcp.ClientSession // or
	in      io.WriteCloser     // of a raw session
	shown   notes
}

// channelMethod is that of a channel notification.
const channelMethod = "notifications/claude/channel"

// note is one channel notification.
type note struct {
	Content string            `json:"content"`
	Meta    map[string]string `json:"meta"`
}

// notes collects what a session is shown. It may be used from any goroutine.
type notes struct {
	mu  sync.Mutex
	all []note
}

func (n *notes) add(one note) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, one)
}

func (n *notes) list() []note {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.all)
}

// texts are the contents of the messages, without the daemon's own notices.
func (n *notes) texts() []string {
	var all []string
	for _, one := range n.list() {
		if one.Meta["kind"] == "message" {
			all = append(all, one.Content)
		}
	}
	return all
}

// open starts a session with a host's session id, and waits until others can see it. The host's command line has the
// flags given.
func (h *home) open(id string, flags ...string) *session {
	h.t.Helper()
	s := h.start(id, flags...)
	h.eventually("the session "+id+" is registered and connected", func() bool { return s.whoami().Status == "open" })
	return s
}

// launch is open by the verb launch with these words. The host finds itself as the verb's own process.
func (h *home) launch(id string, words ...string) *session {
	h.t.Helper()
	return h.launchWith(nil, id, words...)
}

// launchWith is launch with flags of the host.
func (h *home) launchWith(flags []string, id string, words ...string) *session {
	h.t.Helper()
	link := filepath.Join(h.t.TempDir(), "claude")
	cmd := h.hostCommand(id, flags...)
	if err := os.Symlink(cmd.Path, link); err != nil {
		h.t.Fatal(err)
	}
	passed := append([]string{"--", "-p"}, cmd.Args[1:]...)
	cmd.Path, cmd.Args = program, append(append([]string{"claudemesh", "launch"}, words...), passed...)
	cmd.Env = append(cmd.Env, "CLAUDE_BIN="+link)
	s := h.startHost(id, cmd)
	h.eventually("the session "+id+" is registered and connected", func() bool { return s.whoami().Status == "open" })
	return s
}

// start is open without the wait.
func (h *home) start(id string, flags ...string) *session {
	h.t.Helper()
	return h.startHost(id, h.hostCommand(id, flags...))
}

func (h *home) startHost(id string, cmd *exec.Cmd) *session {
	h.t.Helper()
	s := &session{h: h, id: id, host: cmd}
	s.connect()
	client := mcp.NewClient(&mcp.Implementation{Name: "claude-code", Version: "2.1.330"}, nil)
	ctx, cancel := context.WithTimeout(context.Background(), verbTime)
	defer cancel()
	var err error
	if s.client, err = client.Connect(ctx, tap{&mcp.CommandTransport{Command: s.host}, s}, nil); err != nil {
		h.t.Fatalf("start the session %s: %v", id, err)
	}
	h.t.Cleanup(s.close)
	return s
}

// openRaw starts a session whose MCP server may be killed and started again: the test speaks to it line by line.
func (h *home) openRaw(id string) *session {
	h.t.Helper()
	s := &session{h: h, id: id}
	s.host = h.hostCommand(id)
	s.connect()
	in, err := s.host.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	out, err := s.host.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := s.host.Start(); err != nil {
		h.t.Fatal(err)
	}
	s.handOver()
	s.in = in
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.shown.read(out)
	}()
	h.t.Cleanup(func() {
		s.close()
		<-read
		_ = s.host.Wait() // it was killed, or has ended
	})
	s.hello()
	h.eventually("the session "+id+" is registered and connected", func() bool { return s.whoami().Status == "open" })
	return s
}

// hello makes the handshake with an MCP server that was just started.
func (s *session) hello() {
	s.h.t.Helper()
	const lines = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},` +
		`"clientInfo":{"name":"claude-code","version":"2.1.330"}}}` + "\n" +
		`{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n"
	if _, err := io.WriteString(s.in, lines); err != nil {
		s.h.t.Error(err)
	}
}

// restart kills the MCP server, and only that, and starts another one.
func (s *session) restart() {
	s.h.t.Helper()
	if _, err := s.tell(order{}); err != nil {
		s.h.t.Error(err)
	}
	s.hello()
}

// read collects the channel notifications of a stream of lines.
func (n *notes) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m struct {
			Method string `json:"method"`
			Params note   `json:"params"`
		}
		if json.Unmarshal(lines.Bytes(), &m) == nil && m.Method == channelMethod {
			n.add(m.Params)
		}
	}
}

// hostCommand is a host program that was not started yet.
func (h *home) hostCommand(id string, flags ...string) *exec.Cmd {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = append([]string{"claude", "--session-id", id, "--dangerously-load-development-channels", "server:claudemesh"}, flags...)
	cmd.Env, cmd.Dir = append(slices.Clone(h.env), hostVariable+"="+program), h.dir
	return cmd
}

// connect makes the pipes of orders and answers. The ends of the host are closed when it has been started.
func (s *session) connect() {
	s.h.t.Helper()
	orders, toHost, err := os.Pipe()
	if err != nil {
		s.h.t.Fatal(err)
	}
	fromHost, answers, err := os.Pipe()
	if err != nil {
		s.h.t.Fatal(err)
	}
	s.host.ExtraFiles = []*os.File{orders, answers}
	s.orders, s.answers = toHost, json.NewDecoder(fromHost)
}

// handOver closes the ends of the pipes that belong to the host, which has its own by then.
func (s *session) handOver() {
	for _, f := range s.host.ExtraFiles {
		_ = f.Close()
	}
}

// tell gives an order and waits for its answer.
func (s *session) tell(o order) (answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var a answer
	if err := json.NewEncoder(s.orders).Encode(o); err != nil {
		return a, err
	}
	return a, s.answers.Decode(&a)
}

// run runs a verb in the session's shell.
func (s *session) run(args ...string) answer {
	a, err := s.tell(order{Args: args})
	if err != nil {
		return answer{Err: err.Error(), Exit: -1}
	}
	return a
}

// bare runs a verb as a process inside the session that does not know which session it is in.
func (s *session) bare(args ...string) answer {
	s.h.t.Helper()
	a, err := s.tell(order{Args: args, Bare: true})
	if err != nil {
		s.h.t.Fatal(err)
	}
	return a
}

// follow gives the texts of the messages in the event stream that a process of the session gets.
func (s *session) follow() []string {
	s.h.t.Helper()
	a, err := s.tell(order{Follow: true})
	var texts []string
	if err == nil {
		err = json.Unmarshal([]byte(a.Out), &texts)
	}
	if err != nil {
		s.h.t.Fatalf("%s: events: %v\n%s", s.id, err, a.Err)
	}
	return texts
}

// must runs a verb in the session's shell that has to succeed.
func (s *session) must(args ...string) string {
	s.h.t.Helper()
	a := s.run(args...)
	if a.Exit != mesh.ExitOK {
		s.h.t.Fatalf("%s: claudemesh %s: exit status %d\n%s%s", s.id, strings.Join(args, " "), a.Exit, a.Out, a.Err)
	}
	return a.Out
}

// ask runs a verb in the session's shell that has to succeed, and reads its JSON into v.
func (s *session) ask(v any, args ...string) {
	s.h.t.Helper()
	out := s.must(append([]string{"--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		s.h.t.Fatalf("%s: claudemesh %s: %v\n%s", s.id, strings.Join(args, " "), err, out)
	}
}

// place is a session in its mesh.
type place struct {
	Key    mesh.Key `json:"session_pubkey"`
	Name   string   `json:"display_name"`
	Status string   `json:"status"`
}

// whoami asks who the session is, in its first mesh; the zero place while it is not registered.
func (s *session) whoami() place {
	a := s.run("--json", "whoami")
	var v struct {
		Session *struct{ Sessions []place }
	}
	if json.Unmarshal([]byte(a.Out), &v) != nil || v.Session == nil || len(v.Session.Sessions) == 0 {
		return place{}
	}
	return v.Session.Sessions[0]
}

// peers gives the roster as the session sees it.
func (s *session) peers() []peerRow {
	s.h.t.Helper()
	var rows []peerRow
	s.ask(&rows, "peers")
	return rows
}

// inbox gives the texts that the session finds in its inbox, oldest first.
func (s *session) inbox() []string {
	s.h.t.Helper()
	var rows []inboxRow
	s.ask(&rows, "inbox", "--peek", "--limit", "1000")
	var all []string
	for _, r := range slices.Backward(rows) {
		all = append(all, r.text())
	}
	return all
}

// crash kills the host program and nothing else.
func (s *session) crash(t testing.TB) {
	t.Helper()
	if err := s.host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

// close ends the session as a host does: the streams of its MCP server end.
func (s *session) close() {
	_ = s.orders.Close() // the host may be gone
	if s.client != nil {
		_ = s.client.Close() // a host that was killed has no good end
	} else {
		_ = s.in.Close() // nor this one
	}
	_ = s.host.Process.Kill() // normally it has ended
}

// tap keeps channel notifications to itself: the SDK knows no such method.
type tap struct {
	mcp.Transport
	session *session
}

// Connect opens the connection (mcp.Transport).
func (t tap) Connect(ctx context.Context) (mcp.Connection, error) {
	c, err := t.Transport.Connect(ctx)
	t.session.handOver()
	return tapped{c, &t.session.shown}, err
}

type tapped struct {
	mcp.Connection
	shown *notes
}

// Read gives the next message that is not a channel notification (mcp.Connection).
func (c tapped) Read(ctx context.Context) (jsonrpc.Message, error) {
	for {
		m, err := c.Connection.Read(ctx)
		req, ok := m.(*jsonrpc.Request)
		if err != nil || !ok || req.Method != channelMethod {
			return m, err
		}
		var one note
		if err := json.Unmarshal(req.Params, &one); err != nil {
			one = note{Content: "not a notification: " + string(req.Params)}
		}
		c.shown.add(one)
	}
}
