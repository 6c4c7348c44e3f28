package mcp

import (
	"context"
	"sync"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// door is where what asks the daemon in the session's name waits until the session is known there.
type door struct {
	once   sync.Once
	opened chan struct{}
	client *local.Client // set before opened is closed, as is what follows
	bring  func(ctx context.Context) []content
}

func newDoor() *door { return &door{opened: make(chan struct{})} }

// open lets everybody in who waits, and who comes later. bring gives what a tool's answer brings along.
func (d *door) open(c *local.Client, bring func(ctx context.Context) []content) {
	d.once.Do(func() {
		d.client, d.bring = c, bring
		close(d.opened)
	})
}

// enter waits for the session for as long as ctx lasts, and for callTime at most.
func (d *door) enter(ctx context.Context) (*local.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	select {
	case <-d.opened:
		return d.client, nil
	case <-ctx.Done():
		return nil, mesh.Errorf(mesh.DaemonDown, "this session is not known to the daemon yet")
	}
}
