package shell

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Stream is what a verb does with a stream of the daemon.
type Stream struct {
	Take  func(local.Event) error
	Again func() // another daemon begins it anew
}

// Follow reads a stream of the daemon, starting it when it is down, until ctx ends or s.Take fails; then it returns nil, or
// what failed. A daemon that ends is waited for and not started: who ended it may have meant it.
func Follow[Req any](ctx context.Context, a *App, c localapi.Call[Req, localapi.None], req Req, s Stream) error {
	if a.NoDaemon() {
		return mesh.Errorf(mesh.BadRequest, "there is nothing to follow without a daemon")
	}
	health, err := Call(ctx, a, localapi.Health, CallTime, localapi.None{}) // which starts it
	if err != nil {
		return err
	}
	r, err := c.Request(req)
	if err != nil {
		return err
	}
	for pid := health.PID; ; s.Again() {
		client := a.newClient()
		err := client.Follow(ctx, r, nil, s.Take)
		_ = client.Close() // nothing was written that could be lost
		next := 0
		if ctx.Err() == nil && mesh.IsCode(err, mesh.DaemonDown) {
			next = successor(ctx, a, pid)
		}
		switch {
		case ctx.Err() != nil:
			return nil // who pressed Ctrl-C has seen enough
		case next == 0:
			return err
		}
		pid = next
	}
}

// Listen reads a stream of a daemon that runs, until it or ctx ends or take fails, and starts none.
func Listen[Req any](ctx context.Context, a *App, c localapi.Call[Req, localapi.None], req Req, take func(local.Event) error) error {
	r, err := c.Request(req)
	if err != nil {
		return err
	}
	client := a.newClient()
	defer func() { _ = client.Close() }() // nothing was written that could be lost
	return client.Follow(ctx, r, nil, take)
}

// How long a stream waits for the daemon to come back, how often it looks, and how often it may find the one that has just
// ended the stream: that is no restart.
const (
	successorTime = 15 * time.Second
	successorStep = 100 * time.Millisecond
	sameDaemon    = 3
)

// successor is the process of the daemon that came after another one; 0 when none does.
func successor(ctx context.Context, a *App, pid int) int {
	limit := time.NewTimer(successorTime)
	defer limit.Stop()
	for same := 0; same < sameDaemon; {
		health, err := Ask(ctx, a, localapi.Health, ProbeTime, localapi.None{})
		switch {
		case err == nil && health.PID != pid:
			return health.PID
		case err == nil:
			same++
		}
		select {
		case <-ctx.Done():
			return 0
		case <-limit.C:
			return 0
		case <-time.After(successorStep):
		}
	}
	return 0
}
