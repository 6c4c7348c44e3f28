//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// hostVariable makes the test binary a host program: it holds the path of the program under test.
const hostVariable = "CLAUDEMESH_E2E_HOST"

// The files by which a test tells its host program what to do, beside standard input and output, which belong to the MCP
// server.
const (
	hostOrders  = 3
	hostAnswers = 4
)

// order is what a host program is told: to run a verb in the session's shell, or to read the event stream as a process of
// the session, or, without either, to let its MCP server die and start another.
type order struct {
	Args   []string `json:"args"`
	Follow bool     `json:"follow,omitempty"` // no verb: read the event stream from its beginning for a moment
	Env    []string `json:"env,omitempty"`    // beside what a host gives to its shell
	Bare   bool     `json:"bare,omitempty"`   // without what a host gives to its shell
	Input  string   `json:"input,omitempty"`  // of the verb
}

// answer is what came of an order.
type answer struct {
	Out  string    `json:"out"`
	Err  string    `json:"err"`
	Exit mesh.Exit `json:"exit"`
}

// playHost is the main function of a host program: it starts the MCP server of a session with its own standard input and
// output, and obeys until there are no more orders.
func playHost() {
	syscall.CloseOnExec(hostOrders)
	syscall.CloseOnExec(hostAnswers)
	h := newHostProgram()
	orders, answers := json.NewDecoder(os.NewFile(hostOrders, "orders")), json.NewEncoder(os.NewFile(hostAnswers, "answers"))
	server := h.serve()
	for {
		var o order
		if orders.Decode(&o) != nil {
			break // the test is done with it
		}
		var a answer
		switch {
		case o.Follow:
			a = h.follow(o)
		case len(o.Args) > 0:
			a = h.shell(o)
		default:
			_ = server.Process.Kill() // one that has ended already is as good
			_ = server.Wait()         // killed
			server = h.serve()
		}
		if err := answers.Encode(a); err != nil {
			panic(err)
		}
	}
	_ = server.Wait() // it ends with its standard input, and the test looks at what it did
}

// hostProgram is what a host program knows.
type hostProgram struct {
	program string
	base    []string // environment
	session []string // what its children get of the session
}

func newHostProgram() hostProgram {
	h := hostProgram{program: os.Getenv(hostVariable)}
	h.base = slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, hostVariable+"=") })
	if i := slices.Index(os.Args, "--session-id"); i >= 0 {
		h.session = []string{"CLAUDE_CODE_SESSION_ID=" + os.Args[i+1], "CLAUDECODE=1"}
	}
	return h
}

func (h hostProgram) serve() *exec.Cmd {
	cmd := exec.Command(h.program, "mcp")
	cmd.Env = slices.Concat(h.base, h.session)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		panic(fmt.Errorf("start the MCP server: %w", err))
	}
	return cmd
}

func (h hostProgram) shell(o order) answer {
	ctx, cancel := context.WithTimeout(context.Background(), verbTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.program, o.Args...)
	cmd.Env = slices.Concat(h.base, o.Env)
	if !o.Bare {
		cmd.Env = slices.Concat(h.base, h.session, o.Env)
	}
	cmd.Stdin = strings.NewReader(o.Input)
	r := finish(cmd)
	return answer{r.out, r.err, r.exit}
}

// followTime is how long an event stream is read that has said everything at its beginning.
const followTime = 500 * time.Millisecond

// follow answers with the texts of the messages in the event stream, as a JSON array.
func (h hostProgram) follow(o order) answer {
	ctx, cancel := context.WithTimeout(context.Background(), followTime)
	defer cancel()
	daemon := paths.At(filepath.Join(os.Getenv("HOME"), ".claudemesh")).Daemon
	client := local.New(daemon.Socket(), time.Now)
	if !o.Bare {
		_, id, _ := strings.Cut(h.session[0], "=")
		token, _, err := paths.ReadSecret(daemon.SessionToken(id))
		if err != nil {
			return answer{Err: err.Error(), Exit: -1}
		}
		client.Token = func() string { return strings.TrimSpace(string(token)) }
	}
	texts := []string{}
	err := client.Events(ctx, localapi.EventsRequest{}, "0", func(e local.Event) error {
		var row inboxRow
		if e.Kind != localapi.EventMessage {
			return nil
		}
		err := json.Unmarshal(e.Data, &row)
		texts = append(texts, row.text())
		return err
	})
	if ctx.Err() == nil {
		return answer{Err: fmt.Sprint(err), Exit: mesh.CodeOf(err).Exit()}
	}
	out, err := json.Marshal(texts)
	if err != nil {
		panic(err)
	}
	return answer{Out: string(out)}
}
