package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/claudemesh/claudemesh/internal/seal"
)

// queued is how many messages wait while the broker starts.
const queued = 100_000

// benchRestart measures how soon a broker answers that was killed with much in its queues, and how soon after that who
// comes back gets the first of it.
func benchRestart(ctx context.Context, p plan, r *report) error {
	h, m, err := p.alone(ctx, "r")
	if err != nil {
		return err
	}
	defer h.down()
	absent, err := newReturning(ctx, m, queued)
	if err != nil {
		return err
	}
	pid, err := h.brokerPID()
	if err != nil {
		return err
	}
	var ready, first []float64
	for range p.rounds {
		if err := kill(pid); err != nil {
			return err
		}
		broker, took, err := h.serve(ctx)
		if err != nil {
			return err
		}
		ready, pid = append(ready, took.Seconds()), broker.Process.Pid
		if took, err = absent.firstPush(ctx); err != nil {
			return err
		}
		first = append(first, took.Seconds()*1e3)
		go broker.Wait() // for its end, which comes with the next round
	}
	row1 := row{what: "broker ready after kill -9, 100,000 messages queued", ours: fmt.Sprintf("%.2f s", quantile(ready, 0.5)), theirs: "1 s", anchor: "a second", bar: 2}
	r.add(row1.compare(ready, ones(ready)))
	row2 := row{what: "first of 100,000 messages after hello", ours: fmt.Sprintf("%.1f ms", quantile(first, 0.5)), theirs: "1 ms", anchor: "a millisecond", bar: 200}
	r.add(row2.compare(first, ones(first)))
	return syscall.Kill(pid, syscall.SIGTERM)
}

// ones are as many as others.
func ones(v []float64) []float64 {
	all := make([]float64, len(v))
	for i := range all {
		all[i] = 1
	}
	return all
}

// kill ends a process at once, and waits until it is gone.
func kill(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	for end := time.Now().Add(patience); syscall.Kill(pid, 0) == nil; time.Sleep(time.Millisecond) {
		if state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil && bytes.Contains(state, []byte(") Z ")) {
			return nil // nobody has asked for its status yet
		}
		if time.Now().After(end) {
			return fmt.Errorf("process %d does not end", pid)
		}
	}
	return nil
}

// serve starts the home's broker, and returns how long it took to answer.
func (h *home) serve(ctx context.Context) (*exec.Cmd, time.Duration, error) {
	cmd := exec.CommandContext(ctx, h.app, "broker", "serve")
	cmd.Env = h.env
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	for {
		resp, err := http.Get("http://" + h.listen + "/health")
		if err == nil {
			resp.Body.Close()
			return cmd, time.Since(began), nil
		}
		if time.Since(began) > patience {
			return nil, 0, fmt.Errorf("the broker does not answer: %w", err)
		}
		time.Sleep(time.Millisecond)
	}
}

// returning is a session that is away while others write to it.
type returning struct {
	member
	parent, key seal.SecretKey
}

// newReturning makes a session for which so many messages wait.
func newReturning(ctx context.Context, m member, queued int) (*returning, error) {
	parent, err := seal.ParseSecretKey(m.SecretKey)
	if err != nil {
		return nil, err
	}
	s := &returning{member: m, parent: parent, key: seal.NewSecretKey()}
	return s, s.fill(ctx, queued)
}

func (s *returning) enter(ctx context.Context) (*lean, error) {
	hello, err := sessionHello(s.member, s.parent, s.key, "returning")
	if err != nil {
		return nil, err
	}
	return dialSaying(ctx, s.BrokerURL, s.key.Public(), hello)
}

// fill queues so many messages for the session: it comes once, so that it is known, and goes.
func (s *returning) fill(ctx context.Context, queued int) error {
	c, err := s.enter(ctx)
	if err != nil {
		return err
	}
	c.bye()
	frame, err := prepare(s.key.Public().String())
	if err != nil {
		return err
	}
	from, err := dialLean(ctx, s.member, "from")
	if err != nil {
		return err
	}
	defer from.bye()
	from.wide()
	const window = 128
	for range window {
		from.sendLater(frame)
	}
	for n := window; n < queued+window; n++ {
		if err := from.acked(); err != nil {
			return err
		}
		if n < queued {
			from.sendLater(frame)
		}
	}
	return nil
}

// firstPush is how long after its hello the session has the first message. It acknowledges nothing: all of it waits for
// the next time.
func (s *returning) firstPush(ctx context.Context) (time.Duration, error) {
	c, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer c.close()
	began := time.Now()
	for {
		data, err := c.next()
		if err != nil {
			return 0, err
		}
		if bytes.HasPrefix(data, []byte(pushHead)) {
			return time.Since(began), nil
		}
	}
}
