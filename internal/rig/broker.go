package rig

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/claudemesh/claudemesh/internal/broker"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/rig/disk"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// Broker is a broker at an address. Kill may be called from any goroutine, the other methods from one.
type Broker struct {
	Addr     string
	Clock    *Clock
	Settings config.Broker // of the next Start
	Fails    bool          // its disk fails: it may end with an error

	rig *Rig

	mu      sync.Mutex // guards what follows
	files   folder
	process *brokerProcess // also one that was killed, until it is over; nil without any
	killed  bool
}

// brokerProcess is one run of a broker.
type brokerProcess struct {
	listener *memnet.Listener
	disk     *disk.Disk
	stop     context.CancelFunc
	ended    chan error
}

// Broker starts a broker at an address, 127.0.0.1:port. Edit may change its settings; nil leaves the defaults.
func (r *Rig) Broker(addr string, edit func(*config.Broker)) *Broker {
	r.T.Helper()
	b := &Broker{Addr: addr, Clock: &Clock{}, Settings: config.DefaultBroker(), rig: r, files: r.newFolder()}
	if edit != nil {
		edit(&b.Settings)
	}
	b.Start()
	r.T.Cleanup(b.Stop)
	return b
}

// URL is where daemons find it.
func (b *Broker) URL() string { return "ws://" + b.Addr + "/ws" }

// data is its folder; Kill moves it.
func (b *Broker) data() paths.Broker {
	b.mu.Lock()
	defer b.mu.Unlock()
	return paths.Broker{Dir: b.files.dir}
}

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
	b.Stop()
	listener, err := b.rig.Net.Listen(b.Addr)
	b.rig.must(err)
	ctx, stop := context.WithCancel(context.Background())
	p := &brokerProcess{listener: listener, disk: b.Disk(), stop: stop, ended: make(chan error, 1)}
	ready := make(chan struct{})
	go func() {
		p.ended <- broker.Run(ctx, broker.Options{
			Settings: b.Settings, Data: b.data(), Now: b.Clock.Now, Log: b.rig.Log.With("at", b.Addr), Listener: listener,
			Ready: func(net.Addr) { close(ready) },
		})
	}()
	select {
	case <-ready:
		b.mu.Lock()
		b.process = p
		b.mu.Unlock()
	case err := <-p.ended:
		b.rig.T.Fatalf("the broker did not start: %v", err)
	}
}

// Stop ends it as a signal does. A broker that does not run stays so.
func (b *Broker) Stop() {
	b.rig.T.Helper()
	b.mu.Lock()
	p := b.process
	b.process, b.killed = nil, false
	b.mu.Unlock()
	if p == nil {
		return
	}
	p.stop()
	if err := <-p.ended; err != nil && !b.Fails {
		b.rig.T.Errorf("the broker ended with %v", err)
	}
	if p.disk != b.Disk() {
		p.disk.Unmount()
	}
}

// Kill ends it as kill -9 does: from one moment on nobody hears of it, and the next Start finds its files as they were at
// that moment.
func (b *Broker) Kill() { b.die(disk.Killed) }

// CutPower ends it as a power cut of its machine does: the next Start finds of what was not synced anything, or nothing.
func (b *Broker) CutPower() { b.die(disk.PowerCut) }

func (b *Broker) die(how disk.Ending) {
	b.rig.T.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.process == nil || b.killed {
		return
	}
	b.killed = true
	b.process.listener.Kill()
	b.files = b.rig.left(b.files, how)
}

// Disk is what lies below its files; Kill and CutPower change it.
func (b *Broker) Disk() *disk.Disk {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.files.disk
}
