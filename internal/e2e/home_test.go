//go:build unix

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// home is one machine: a home folder, and the environment in which its verbs run.
type home struct {
	t     testing.TB
	user  string
	dir   string
	paths paths.Home
	env   []string
	owner *syscall.Credential // the system user of its verbs; nil for that of the tests
	build string              // the program of its verbs; empty means the one under test
}

// asNobody lets the verbs of a home run as a user without rights. Call it before any verb.
func (h *home) asNobody() {
	h.t.Helper()
	const nobody = 65534
	h.owner = &syscall.Credential{Uid: nobody, Gid: nobody}
	for _, dir := range []string{h.dir, filepath.Join(h.dir, "tmp")} {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			h.t.Fatal(err)
		}
	}
	for _, dir := range []string{filepath.Dir(h.dir), builtIn} { // it has to come by
		if err := os.Chmod(dir, 0o755); err != nil {
			h.t.Fatal(err)
		}
	}
}

// Times that nothing here should take.
const (
	verbTime = 60 * time.Second
	longTime = 60 * time.Second
	pollStep = 20 * time.Millisecond
)

// result is what a verb printed, and its exit status.
type result struct {
	out, err string
	exit     mesh.Exit
}

// run runs a verb. It may be called from any goroutine.
func (h *home) run(args ...string) result { return h.runWith("", args...) }

// runWith runs a verb that reads a text from its standard input.
func (h *home) runWith(input string, args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), verbTime)
	defer cancel()
	cmd := h.command(ctx, args...)
	cmd.Stdin = strings.NewReader(input)
	return finish(cmd)
}

// command is a verb that was not started yet.
func (h *home) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, cmp.Or(h.build, program), args...)
	cmd.Env, cmd.Dir = h.env, h.dir
	if h.owner != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: h.owner}
	}
	return cmd
}

// finish runs a command to its end. A command that was killed has the status -1.
func finish(cmd *exec.Cmd) result {
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	err := cmd.Run()
	var exit *exec.ExitError
	r := result{out.String(), diag.String(), mesh.ExitOK}
	switch {
	case errors.As(err, &exit):
		r.exit = mesh.Exit(exit.ExitCode())
	case err != nil:
		r.exit, r.err = -1, r.err+err.Error()
	}
	return r
}

// must runs a verb that has to succeed and returns what it printed.
func (h *home) must(args ...string) string {
	h.t.Helper()
	return h.exits(mesh.ExitOK, args...).out
}

// exits runs a verb that has to end with a status.
func (h *home) exits(want mesh.Exit, args ...string) result {
	h.t.Helper()
	r := h.run(args...)
	if r.exit != want {
		h.t.Fatalf("%s: claudemesh %s: exit status %d, want %d\n%s%s", h.user, strings.Join(args, " "), r.exit, want, r.out, r.err)
	}
	return r
}

// ask runs a verb that has to succeed and reads its JSON into v.
func (h *home) ask(v any, args ...string) {
	h.t.Helper()
	out := h.must(append([]string{"--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		h.t.Fatalf("%s: claudemesh %s: %v\n%s", h.user, strings.Join(args, " "), err, out)
	}
}

// eventually waits until ok holds.
func (h *home) eventually(what string, ok func() bool) {
	h.t.Helper()
	eventually(h.t, h.user+": "+what, ok)
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(longTime)
	tick := time.NewTicker(pollStep)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within %s: %s", longTime, what)
		case <-tick.C:
		}
	}
}

// Views of what verbs print, as far as the tests read it.
type (
	sentView struct {
		MessageID string        `json:"messageId"`
		ClientID  mesh.ClientID `json:"client_message_id"`
		State     mesh.State    `json:"state"`
		Duplicate bool          `json:"duplicate"`
		Target    mesh.Key      `json:"target"`
	}
	inboxRow struct {
		ClientID  mesh.ClientID `json:"client_message_id"`
		Sender    mesh.Key      `json:"sender_pubkey"`
		Name      string        `json:"sender_name"`
		Body      *string       `json:"body"`
		Recipient mesh.Key      `json:"recipient_pubkey"`
		Kind      string        `json:"recipient_kind"`
		Encrypted bool          `json:"encrypted"`
		Held      bool          `json:"held"`
	}
	peerRow struct {
		Key     mesh.Key `json:"pubkey"`
		Member  mesh.Key `json:"memberPubkey"`
		Name    string   `json:"displayName"`
		Role    string   `json:"peerRole"`
		Self    bool     `json:"isSelf"`
		This    bool     `json:"isThisSession"`
		Channel string   `json:"channel"`
	}
)

// text is the body, or what stands for none.
func (r inboxRow) text() string {
	if r.Body == nil {
		return "(no text)"
	}
	return *r.Body
}

// link makes an invite link that many can use.
func (h *home) link() string {
	h.t.Helper()
	var v struct{ URL string }
	h.ask(&v, "share", "--uses", "10")
	return v.URL
}

// key is the home's member key in its only mesh.
func (h *home) key() mesh.Key {
	h.t.Helper()
	var meshes []struct{ Pubkey mesh.Key }
	h.ask(&meshes, "list")
	if len(meshes) != 1 {
		h.t.Fatalf("%s has joined %d meshes, want 1", h.user, len(meshes))
	}
	return meshes[0].Pubkey
}

// inbox gives the messages that arrived, oldest first, and leaves the unread ones unread.
func (h *home) inbox() []inboxRow {
	h.t.Helper()
	var rows []inboxRow
	h.ask(&rows, "inbox", "--peek", "--limit", "1000")
	for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
		rows[i], rows[j] = rows[j], rows[i]
	}
	return rows
}

// texts gives the bodies in the inbox, oldest first.
func (h *home) texts() []string {
	h.t.Helper()
	var all []string
	for _, r := range h.inbox() {
		all = append(all, r.text())
	}
	return all
}

// sessions gives the ids of the sessions that the daemon knows.
func (h *home) sessions() []string {
	h.t.Helper()
	client := local.New(h.paths.Daemon.Socket(), time.Now)
	defer func() { _ = client.Close() }() // its answer has been read
	answer, err := localapi.Sessions.Do(context.Background(), client, localapi.None{})
	if err != nil {
		h.t.Fatal(err)
	}
	var ids []string
	for _, s := range answer.Sessions {
		ids = append(ids, s.SessionID)
	}
	return ids
}

// broker and daemon are the processes of a home that hold a lock.
func (h *home) broker() service { return service{h.paths.Broker.PID(), h.paths.Broker.Lock()} }
func (h *home) daemon() service { return service{h.paths.Daemon.PID(), h.paths.Daemon.Lock()} }

// The signals of a crash and of a good end.
const (
	sigKill = syscall.SIGKILL
	sigTerm = syscall.SIGTERM
)

// service is a process that runs as long as it holds its lock.
type service struct{ pidFile, lock string }

// pid gives the process id; 0 when it does not run. The lock, not the file, says that it runs.
func (s service) pid() int {
	data, err := os.ReadFile(s.pidFile)
	if err != nil || !local.Locked(s.lock) {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return pid
}

// signal sends a signal to the service if it runs, and reports whether it did.
func (s service) signal(sig os.Signal) bool {
	pid := s.pid()
	if pid == 0 {
		return false
	}
	p, err := os.FindProcess(pid)
	return err == nil && p.Signal(sig) == nil
}

// kill ends a service as a crash does, and waits until it is gone. Verbs that run meanwhile may have started another one
// by then.
func (s service) kill(t testing.TB) {
	t.Helper()
	pid := s.pid()
	if !s.signal(sigKill) {
		t.Fatalf("%s: nothing to kill", s.pidFile)
	}
	eventually(t, "another process has the lock "+s.lock+", or none", func() bool { return s.pid() != pid })
}

// end stops the services of a home: gently, and after a while as a crash does.
func (h *home) end() {
	for _, s := range []service{h.daemon(), h.broker()} {
		if !s.signal(sigTerm) {
			continue
		}
		deadline := time.Now().Add(longTime)
		for local.Locked(s.lock) && time.Now().Before(deadline) {
			<-time.After(pollStep)
		}
		if s.signal(sigKill) {
			h.t.Errorf("%s: %s did not end within %s of SIGTERM", h.user, s.pidFile, longTime)
		}
	}
}

// logs are the files in which services say what they did.
func (h *home) logs() []string {
	return []string{h.paths.Daemon.Log(), h.paths.Broker.Log(), h.paths.Daemon.MCPLog()}
}

// checkLogs fails the test when a service panicked.
func (h *home) checkLogs() {
	for _, path := range h.logs() {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it was never started
		}
		for _, sign := range []string{"\npanic: ", "\nfatal error: ", "\"panic\"", "WARNING: DATA RACE"} {
			if i := bytes.Index(append([]byte("\n"), data...), []byte(sign)); i >= 0 {
				h.t.Errorf("%s: %s:\n%.4000s", h.user, path, data[max(i-1, 0):])
			}
		}
	}
}

// showLogs prints the ends of the logs.
func (h *home) showLogs() {
	for _, path := range h.logs() {
		if data, err := os.ReadFile(path); err == nil {
			h.t.Logf("%s: end of %s:\n%s", h.user, path, data[max(0, len(data)-4000):])
		}
	}
}

// address is how others write to the home's member.
func (h *home) address() string {
	host, err := os.Hostname()
	if err != nil {
		h.t.Fatal(err)
	}
	return fmt.Sprintf("%s@%s", h.user, host)
}
