package rig

import (
	"context"
	"net"
	"os"
	"strings"

	"github.com/claudemesh/claudemesh/internal/broker"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// Broker is a broker at an address. Its methods are called by one goroutine.
type Broker struct {
	Addr     string
	Clock    *Clock
	Settings config.Broker // of the next Start

	rig     *Rig
	dir     string
	process *brokerProcess
}

// brokerProcess is one run of a broker.
type brokerProcess struct {
	listener *memnet.Listener
	stop     context.CancelFunc
	ended    chan error
}

// Broker starts a broker at an address, 127.0.0.1:port. Edit may change its settings; nil leaves the defaults.
func (r *Rig) Broker(addr string, edit func(*config.Broker)) *Broker {
	r.T.Helper()
	b := &Broker{Addr: addr, Clock: &Clock{}, Settings: config.DefaultBroker(), rig: r, dir: r.newDir()}
	if edit != nil {
		edit(&b.Settings)
	}
	b.Start()
	r.T.Cleanup(b.Stop)
	return b
}

// URL is where daemons find it.
func (b *Broker) URL() string { return "ws://" + b.Addr + "/ws" }

// data is its folder.
func (b *Broker) data() paths.Broker { return paths.Broker{Dir: b.dir} }

// Token allows to make meshes.
func (b *Broker) Token() string {
	b.rig.T.Helper()
	text, err := os.ReadFile(b.data().CreateToken())
	b.rig.must(err)
	return strings.TrimSpace(string(text))
}

// Start runs it on its files, and returns when it answers.
func (b *Broker) Start() {
	b.rig.T.Helper()
	listener, err := b.rig.Net.Listen(b.Addr)
	b.rig.must(err)
	ctx, stop := context.WithCancel(context.Background())
	p := &brokerProcess{listener: listener, stop: stop, ended: make(chan error, 1)}
	ready := make(chan struct{})
	go func() {
		p.ended <- broker.Run(ctx, broker.Options{
			Settings: b.Settings, Data: b.data(), Now: b.Clock.Now, Log: b.rig.Log.With("at", b.Addr), Listener: listener,
			Ready: func(net.Addr) { close(ready) },
		})
	}()
	select {
	case <-ready:
		b.process = p
	case err := <-p.ended:
		b.rig.T.Fatalf("the broker did not start: %v", err)
	}
}

// Stop ends it as a signal does. A broker that does not run stays so.
func (b *Broker) Stop() {
	b.rig.T.Helper()
	if p := b.process; p != nil {
		b.process = nil
		p.stop()
		if err := <-p.ended; err != nil {
			b.rig.T.Errorf("the broker ended with %v", err)
		}
	}
}

// Crash ends it as kill -9 does: from one moment on nobody hears of it, and the next Start finds its files as they were
// at that moment.
func (b *Broker) Crash() {
	b.rig.T.Helper()
	b.process.listener.Kill()
	b.dir = b.rig.image(b.dir)
	b.Stop()
}
