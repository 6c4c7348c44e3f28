package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	subscribers = 100
	ahead       = 32 // messages that the publisher may be ahead of its subscribers, on the average
)

// natsVerb makes this program a NATS server without a disk.
const natsVerb = "nats-server"

func serveNATS(dir string) error {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, MaxPending: 1 << 30})
	if err != nil {
		return err
	}
	return serveAt(dir, s)
}

// serveAt runs a NATS server until it is killed; its address stands in the file `addr`.
func serveAt(dir string, s *server.Server) error {
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("the NATS server did not start")
	}
	if err := announce(dir, s.ClientURL()); err != nil {
		return err
	}
	s.WaitForShutdown()
	return nil
}

// announce writes the address of a server for whoever started it.
func announce(dir, addr string) error {
	if err := os.WriteFile(filepath.Join(dir, "addr.new"), []byte(addr+" "+strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, "addr.new"), filepath.Join(dir, "addr"))
}

// contender is a server that was started.
type contender struct {
	addr string
	pid  int
	stop func()
}

// startContender starts this program as a server of its own, and waits for its address.
func startContender(ctx context.Context, verb, dir string) (contender, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return contender{}, err
	}
	stop, err := child(ctx, verb, dir)
	if err != nil {
		return contender{}, err
	}
	for range 500 {
		if data, err := os.ReadFile(filepath.Join(dir, "addr")); err == nil {
			c := contender{stop: stop}
			_, err := fmt.Sscan(string(data), &c.addr, &c.pid)
			return c, err
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	return contender{}, fmt.Errorf("%s wrote no address", verb)
}

// brokerPID is the process of a home's broker.
func (h *home) brokerPID() (int, error) {
	data, err := os.ReadFile(filepath.Join(h.dir, ".claudemesh", "broker", "broker.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

// ticksPerSecond is the unit of /proc/<pid>/stat.
const ticksPerSecond = 100

// cpu is the processor time that a process has used.
func cpu(pid int) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / ticksPerSecond
}

// benchFanout measures one message to a hundred: our broker, which has each copy on the disk before the sender hears of
// it and until its recipient has acknowledged it, beside NATS core, which does neither.
func benchFanout(ctx context.Context, p plan, r *report) error {
	h, m, err := p.alone(ctx, "f")
	if err != nil {
		return err
	}
	defer h.down()
	pid, err := h.brokerPID()
	if err != nil {
		return err
	}
	theirs, err := startContender(ctx, natsVerb, filepath.Join(p.dir, "fn"))
	if err != nil {
		return err
	}
	defer theirs.stop()
	var a, b, spentA, spentB []float64
	for range p.rounds {
		n, spent, err := ourFanout(ctx, p, m, pid)
		if err != nil {
			return fmt.Errorf("ours: %w", err)
		}
		spentA, a = append(spentA, perDelivery(spent, n)), append(a, float64(n)/p.slice.Seconds())
		if n, spent, err = natsFanout(p, theirs); err != nil {
			return fmt.Errorf("NATS: %w", err)
		}
		spentB, b = append(spentB, perDelivery(spent, n)), append(b, float64(n)/p.slice.Seconds())
	}
	rate := func(v []float64) string { return fmt.Sprintf("%.0f/s", quantile(v, 0.5)) }
	us := func(v []float64) string { return fmt.Sprintf("%.1f µs", quantile(v, 0.5)) }
	const anchor = "NATS core: no disk, no acknowledgements"
	r.add(row{what: "deliveries, 1 sender to 100, durable and acknowledged", ours: rate(a), theirs: rate(b), anchor: anchor, bar: 0.4, goal: 0.9, moreIsGood: true}.compare(a, b))
	r.add(row{what: "processor time of the server per delivery, 1 to 100", ours: us(spentA), theirs: us(spentB), anchor: anchor}.compare(spentA, spentB))
	return nil
}

func perDelivery(spent time.Duration, n int) float64 {
	return float64(spent.Microseconds()) / float64(max(n, 1))
}

// throttle keeps a publisher at most so far ahead of its subscribers.
type throttle struct {
	got  atomic.Int64
	wake chan struct{}
}

func newThrottle() *throttle { return &throttle{wake: make(chan struct{}, 1)} }

// came counts deliveries.
func (t *throttle) came(n int) {
	if before := t.got.Load(); t.got.Add(int64(n))/subscribers != before/subscribers {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// wait returns when the publisher of so many messages may go on, or the time is over.
func (t *throttle) wait(sent int, end time.Time) bool {
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	for int64(sent)*subscribers-t.got.Load() >= ahead*subscribers {
		select {
		case <-t.wake:
		case <-timer.C:
			return false
		}
	}
	return time.Now().Before(end)
}

// party are clients that leave together.
type party struct {
	clients []*lean
	readers sync.WaitGroup
}

// join adds a client that is read by read until the end of its connection.
func (p *party) join(c *lean, read func()) {
	p.clients = append(p.clients, c)
	p.readers.Go(read)
}

// leave says goodbye and reads on until the broker has heard it: a goodbye that is lost with its connection leaves a
// session that the broker expects back, with a copy of every message of the next round.
func (p *party) leave() {
	for _, c := range p.clients {
		c.write([]byte(`{"type":"bye"}`))
		c.conn.SetDeadline(time.Now().Add(2 * time.Second))
	}
	p.readers.Wait()
	for _, c := range p.clients {
		c.close()
	}
}

// ourFanout counts the deliveries of a slice, and the processor time of the broker.
func ourFanout(ctx context.Context, p plan, m member, pid int) (int, time.Duration, error) {
	t := newThrottle()
	var all party
	defer all.leave()
	for i := range subscribers {
		s, err := dialLean(ctx, m, "sub-"+strconv.Itoa(i))
		if err != nil {
			return 0, 0, err
		}
		all.join(s, func() { s.receive(t.came) })
	}
	from, err := dialLean(ctx, m, "publisher")
	if err != nil {
		return 0, 0, err
	}
	refused := make(chan error, 1)
	all.join(from, func() { from.acks(refused) })
	frame, err := prepare("*")
	if err != nil {
		return 0, 0, err
	}
	before, end := cpu(pid), time.Now().Add(p.slice)
	for sent := 0; t.wait(sent, end); sent++ {
		if err := from.send(frame); err != nil {
			return 0, 0, err
		}
	}
	select {
	case err := <-refused:
		return 0, 0, err
	default:
		return int(t.got.Load()), cpu(pid) - before, nil
	}
}

// natsFanout does the same with NATS.
func natsFanout(p plan, theirs contender) (int, time.Duration, error) {
	t := newThrottle()
	for range subscribers {
		nc, err := nats.Connect(theirs.addr)
		if err != nil {
			return 0, 0, err
		}
		defer nc.Close()
		sub, err := nc.Subscribe("f", func(*nats.Msg) { t.came(1) })
		if err != nil {
			return 0, 0, err
		}
		if err := sub.SetPendingLimits(-1, -1); err != nil {
			return 0, 0, err
		}
		if err := nc.Flush(); err != nil {
			return 0, 0, err
		}
	}
	from, err := nats.Connect(theirs.addr)
	if err != nil {
		return 0, 0, err
	}
	defer from.Close()
	before, end := cpu(theirs.pid), time.Now().Add(p.slice)
	for sent := 0; t.wait(sent, end); sent++ {
		if err := from.Publish("f", body); err != nil {
			return 0, 0, err
		}
	}
	return int(t.got.Load()), cpu(theirs.pid) - before, nil
}
