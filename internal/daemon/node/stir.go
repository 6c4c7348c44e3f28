package node

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/logkey"
)

// What ends connections without a word is looked for so often. A clock that went so much further than that, or less, was
// set, or the machine slept (daemon 20).
const (
	stirInterval = 3 * time.Second
	stirJump     = 10 * time.Second
)

// watch looks for what ends connections without a word, until ctx ends: sleep, another network, a clock that was set. Those
// that are open have to prove then that they live, and the others do not wait any longer.
func (n *Node) watch(ctx context.Context) error {
	tick := time.NewTicker(stirInterval)
	defer tick.Stop()
	wall, network := n.opt.Now().Round(0), n.opt.Network()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		wallBefore, networkBefore := wall, network
		wall, network = n.opt.Now().Round(0), n.opt.Network()
		jump := wall.Sub(wallBefore) - stirInterval
		if jump.Abs() < stirJump && network == networkBefore {
			continue
		}
		n.opt.Log.Info("connections are checked: the machine slept, its clock was set or its network changed",
			logkey.WaitMS, jump.Milliseconds())
		for _, at := range n.meshes() {
			at.Nudge()
		}
	}
}

// addresses describes the networks that this machine is in. An error reads as another network: checking a connection costs
// next to nothing.
func addresses() string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return err.Error()
	}
	var text strings.Builder
	for _, a := range all {
		text.WriteString(a.String() + " ")
	}
	return text.String()
}
