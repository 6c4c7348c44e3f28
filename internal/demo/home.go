package demo

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// home is one machine: a home folder, and the environment in which its verbs run.
type home struct {
	user       string
	executable string
	environ    []string
	paths      paths.Home
	now        mesh.Clock
	hosts      []*hostSession
}

// foreign are variables of whoever runs the demonstration that must not reach it.
var foreign = []string{"CLAUDEMESH_", "CLAUDE_", "CLAUDECODE", "HOME=", "USER=", "USERPROFILE="}

// ownEnv is an environment with nothing in it of whoever runs the demonstration that counts here.
func ownEnv(environ []string, dir, user string) []string {
	env := []string{"HOME=" + dir, "USERPROFILE=" + dir, "USER=" + user}
	for _, kv := range environ {
		keep := true
		for _, prefix := range foreign {
			keep = keep && !strings.HasPrefix(kv, prefix)
		}
		if keep {
			env = append(env, kv)
		}
	}
	return env
}

func newHome(user, dir, listen string, opt Options) *home {
	return &home{
		user: user, executable: opt.Executable, now: opt.Now, paths: paths.At(filepath.Join(dir, ".claudemesh")),
		environ: append(ownEnv(opt.Environ, dir, user), "NO_COLOR=1",
			"CLAUDEMESH_BROKER_LISTEN="+listen, "CLAUDEMESH_BROKER_SELF_SIGNED=true", "CLAUDEMESH_BROKER_PUBLIC_URL=https://"+listen),
	}
}

// verbTime bounds one verb.
const verbTime = 60 * time.Second

// run runs one verb and returns what it printed for programs, decoded into v unless that is nil.
func (h *home) run(ctx context.Context, v any, args ...string) (time.Duration, error) {
	return h.runAs(ctx, nil, v, args...)
}

// runAs is run with further variables.
func (h *home) runAs(ctx context.Context, env []string, v any, args ...string) (time.Duration, error) {
	out, took, err := h.output(ctx, env, append([]string{"--json"}, args...)...)
	if err != nil || v == nil {
		return took, err
	}
	return took, wire.Decode(out, v)
}

// text runs one verb and returns what it printed for people.
func (h *home) text(ctx context.Context, args ...string) (string, time.Duration, error) {
	out, took, err := h.output(ctx, nil, args...)
	return string(out), took, err
}

func (h *home) output(ctx context.Context, env []string, args ...string) ([]byte, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, verbTime)
	defer cancel()
	cmd, err := h.command(ctx, env, args...)
	if err != nil {
		return nil, 0, err
	}
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	began := h.now()
	err = cmd.Run()
	took := h.now().Sub(began)
	if err != nil {
		err = mesh.Errorf(mesh.Undelivered, "%s: claudemesh %s: %w\n%s%s", h.user, strings.Join(args, " "), err, out.String(), diag.String())
	}
	return out.Bytes(), took, err
}

// command is a verb that is not started yet.
func (h *home) command(ctx context.Context, env []string, args ...string) (*exec.Cmd, error) {
	if err := os.MkdirAll(filepath.Dir(h.paths.Config.Dir), paths.DirMode); err != nil {
		return nil, mesh.Errorf(mesh.IOError, "make a home: %w", err)
	}
	cmd := exec.CommandContext(ctx, h.executable, args...)
	cmd.Env, cmd.Dir = append(h.environ, env...), filepath.Dir(h.paths.Config.Dir)
	return cmd, nil
}

// kill ends the process of a pid file as a crash would.
func (h *home) kill(pidFile string) (int, error) {
	p, err := processOf(pidFile)
	if err != nil {
		return 0, err
	}
	return p.Pid, p.Kill()
}

// stop ends the process of a pid file well, where the system has a signal for that, and waits until it has given up its
// lock. The verb that does so is for who is outside of all sessions, and here the demonstration plays their host.
func (h *home) stop(ctx context.Context, pidFile, lock string) error {
	if !local.Locked(lock) {
		return nil
	}
	p, err := processOf(pidFile)
	if err != nil {
		return err
	}
	if p.Signal(syscall.SIGTERM) != nil {
		_ = p.Kill() // it has ended by itself, or the system has no other way
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(cleanTime)
	for local.Locked(lock) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return p.Kill()
		case <-tick.C:
		}
	}
	return nil
}

func processOf(pidFile string) (*os.Process, error) {
	data, err := os.ReadFile(pidFile)
	if err != nil {
		return nil, mesh.Errorf(mesh.IOError, "read a pid: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return nil, mesh.Errorf(mesh.IOError, "read a pid: %w", err)
	}
	return os.FindProcess(pid)
}

// end stops the home's sessions, daemon and broker; what does not run is no error.
func (h *home) end(ctx context.Context) error {
	var errs []error
	for _, s := range h.hosts {
		errs = append(errs, s.close())
	}
	daemon, broker := h.paths.Daemon, h.paths.Broker
	return errors.Join(append(errs, h.stop(ctx, daemon.PID(), daemon.Lock()), h.stop(ctx, broker.PID(), broker.Lock()))...)
}

// Views of what the verbs print, as far as the demonstration reads it.
type (
	sentView struct {
		ID    string     `json:"messageId"`
		State mesh.State `json:"state"`
		Mesh  string     `json:"mesh"`
	}
	shareView struct {
		URL string `json:"url"`
	}
	statusView struct {
		State mesh.State `json:"state"`
	}
	inboxRow struct {
		Sender    string  `json:"sender_name"`
		Body      *string `json:"body"`
		Encrypted bool    `json:"encrypted"`
	}
	peerRow struct {
		Name string   `json:"displayName"`
		Key  mesh.Key `json:"pubkey"`
		Self bool     `json:"isSelf"`
	}
	upView struct {
		Mesh string `json:"mesh"`
	}
	joinedView struct {
		Broker string `json:"broker_url"`
	}
	whoView struct {
		Local struct {
			Meshes []struct {
				Key mesh.Key `json:"pubkey"`
			} `json:"meshes"`
		} `json:"local"`
	}
)

// rows gives what the home received, newest first.
func (h *home) rows(ctx context.Context) (rows []inboxRow, err error) {
	_, err = h.run(ctx, &rows, "inbox", "--peek", "--limit", "1000")
	return rows, err
}

// inbox gives the texts that the home received, oldest first.
func (h *home) inbox(ctx context.Context) ([]string, error) {
	rows, err := h.rows(ctx)
	if err != nil {
		return nil, err
	}
	texts := make([]string, 0, len(rows))
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].Body == nil || !rows[i].Encrypted {
			return nil, mesh.Errorf(mesh.Undelivered, "%s has a message that is not an opened box", h.user)
		}
		texts = append(texts, *rows[i].Body)
	}
	return texts, nil
}

// member gives the name and key of the other home's member.
func (h *home) member(ctx context.Context) (peerRow, error) {
	var peers []peerRow
	if _, err := h.run(ctx, &peers, "peers"); err != nil {
		return peerRow{}, err
	}
	for _, p := range peers {
		if !p.Self {
			return p, nil
		}
	}
	return peerRow{}, mesh.Errorf(mesh.NotFound, "%s sees nobody", h.user)
}
