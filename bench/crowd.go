package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/claudemesh/claudemesh/internal/seal"
)

const (
	crowdSize = 5000
	villagers = 500
	dialers   = 64 // at once
)

// upgradeVerb makes this program a server that upgrades connections and welcomes whoever says something.
const upgradeVerb = "upgrade-server"

func serveUpgrades(dir string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := announce(dir, "ws://"+ln.Addr().String()+"/ws"); err != nil {
		return err
	}
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
		if err != nil {
			return
		}
		defer conn.CloseNow()
		if _, _, err := conn.Read(r.Context()); err != nil {
			return
		}
		if conn.Write(r.Context(), websocket.MessageText, []byte(`{"type":"hello_ack"}`)) == nil {
			conn.Read(r.Context()) // until it leaves
		}
	}))
}

// residentKiB is the memory of a process.
func residentKiB(pid int) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), "VmRSS:")
	return strconv.ParseFloat(strings.Fields(rest)[0], 64)
}

// crowd is sessions of a member that are connected.
type crowd struct {
	member
	keys  []seal.SecretKey
	conns []*lean

	resting sync.WaitGroup // those who read what comes
}

func newCrowd(m member, n int) *crowd {
	c := &crowd{member: m, conns: make([]*lean, n)}
	for range n {
		c.keys = append(c.keys, seal.NewSecretKey())
	}
	return c
}

// hellos signs what everybody will say. It is not what is measured.
func (c *crowd) hellos() (all [][]byte, err error) {
	parent, err := seal.ParseSecretKey(c.SecretKey)
	if err != nil {
		return nil, err
	}
	all = make([][]byte, len(c.keys))
	for i, key := range c.keys {
		if all[i], err = sessionHello(c.member, parent, key, "s"+strconv.Itoa(i)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// enter connects everybody, and returns how long that took.
func (c *crowd) enter(ctx context.Context) (time.Duration, error) {
	hellos, err := c.hellos()
	if err != nil {
		return 0, err
	}
	return c.say(ctx, hellos)
}

// back cuts all connections and connects everybody again, and returns how long the latter took: it has the end of the
// former beside it, as when a network comes back.
func (c *crowd) back(ctx context.Context) (time.Duration, error) {
	hellos, err := c.hellos()
	if err != nil {
		return 0, err
	}
	c.leave()
	return c.say(ctx, hellos)
}

// say connects everybody with a hello.
func (c *crowd) say(ctx context.Context, hellos [][]byte) (time.Duration, error) {
	var next atomic.Int64
	errs := make(chan error, dialers)
	began := time.Now()
	for range dialers {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(c.keys) {
					errs <- nil
					return
				}
				conn, err := dialSaying(ctx, c.BrokerURL, c.keys[i].Public(), hellos[i])
				if err != nil {
					errs <- err
					return
				}
				c.conns[i] = conn
			}
		}()
	}
	var failed error
	for range dialers {
		if err := <-errs; err != nil {
			failed = err
		}
	}
	return time.Since(began), failed
}

// leave cuts all connections.
func (c *crowd) leave() {
	for i, conn := range c.conns {
		if conn != nil {
			conn.close()
			c.conns[i] = nil
		}
	}
	c.resting.Wait()
}

// rest reads what comes without anybody asking, so that nobody is slow, until they leave.
func (c *crowd) rest() {
	for _, conn := range c.conns {
		c.resting.Go(func() {
			for {
				n, err := conn.header()
				if err != nil {
					return
				}
				if _, err := conn.r.Discard(n); err != nil {
					return
				}
			}
		})
	}
}

// benchCrowd measures what a connection costs that says nothing, how fast everybody comes back, and how fast the list of
// who is there is told.
func benchCrowd(ctx context.Context, p plan, r *report) error {
	h, err := newHome(ctx, p.app, filepath.Join(p.dir, "c"))
	if err != nil {
		return err
	}
	defer h.down()
	if err := h.run(ctx, nil, "daemon", "down"); err != nil {
		return err
	}
	m, err := h.member()
	if err != nil {
		return err
	}
	pid, err := h.brokerPID()
	if err != nil {
		return err
	}
	if err := rosterRounds(ctx, p, r, m); err != nil {
		return err
	}
	bare, err := startContender(ctx, upgradeVerb, filepath.Join(p.dir, "cb"))
	if err != nil {
		return err
	}
	defer bare.stop()
	return crowdRounds(ctx, p, r, m, pid, bare)
}

func crowdRounds(ctx context.Context, p plan, r *report, m member, pid int, bare contender) error {
	theirs := m
	theirs.BrokerURL = bare.addr
	c, other := newCrowd(m, crowdSize), newCrowd(theirs, crowdSize)
	defer c.leave()
	defer other.leave()
	empty, err := residentKiB(pid)
	if err != nil {
		return err
	}
	if _, err := c.enter(ctx); err != nil {
		return err
	}
	c.rest()
	time.Sleep(8 * time.Second) // what came with connecting is collected
	full, err := residentKiB(pid)
	if err != nil {
		return err
	}
	each := (full - empty) / crowdSize
	r.add(row{what: "memory of an idle signed connection, of 5,000", ours: fmt.Sprintf("%.1f KiB", each), theirs: "1 KiB", anchor: "a KiB", bar: 32, goal: 25}.
		compare([]float64{each}, []float64{1}))
	if _, err := other.enter(ctx); err != nil {
		return err
	}
	other.rest()
	var a, b []float64
	for range p.rounds {
		for _, side := range []struct {
			who   *crowd
			rates *[]float64
			pid   int
		}{{c, &a, pid}, {other, &b, bare.pid}} {
			c0, m0 := cpuOf(side.pid), cpuOf(os.Getpid())
			took, err := side.who.back(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", side.who.BrokerURL, err)
			}
			time.Sleep(500 * time.Millisecond)
			fmt.Fprintf(os.Stderr, "%s server %v client %v took %v\n", side.who.BrokerURL, (cpuOf(side.pid)-c0)/crowdSize, (cpuOf(os.Getpid())-m0)/crowdSize, took/crowdSize)
			*side.rates = append(*side.rates, crowdSize/took.Seconds())
			side.who.rest()
		}
	}
	rate := func(v []float64) string { return fmt.Sprintf("%.0f/s", quantile(v, 0.5)) }
	r.add(row{what: "5,000 sessions coming back, 64 at once", ours: rate(a), theirs: rate(b), anchor: "bare WebSocket upgrade, the same hello", bar: 0.7, moreIsGood: true}.compare(a, b))
	return nil
}

func cpuOf(pid int) time.Duration {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(string(data))
	u, _ := strconv.Atoi(f[13])
	s, _ := strconv.Atoi(f[14])
	return time.Duration(u+s) * 10 * time.Millisecond
}

// rosterRounds measures list_peers of 500, page by page.
func rosterRounds(ctx context.Context, p plan, r *report, m member) error {
	c := newCrowd(m, villagers)
	if _, err := c.enter(ctx); err != nil {
		return err
	}
	defer c.leave()
	asking, err := dialLean(ctx, m, "asking")
	if err != nil {
		return err
	}
	defer asking.close()
	asking.wide()
	var times []float64
	for end := time.Now().Add(p.slice); time.Now().Before(end); {
		began := time.Now()
		if err := asking.roster(); err != nil {
			return err
		}
		times = append(times, float64(time.Since(began).Microseconds())/1e3)
	}
	p50 := quantile(times, 0.5)
	r.add(row{what: "roster of 500 peers, p50", ours: fmt.Sprintf("%.2f ms", p50), theirs: "1 ms", anchor: "a millisecond", bar: 5}.compare([]float64{p50}, []float64{1}))
	return nil
}

// roster reads who is there, all pages.
func (c *lean) roster() error {
	after, found := "", 0
	for {
		if err := c.write([]byte(`{"type":"list_peers","_reqId":"r","limit":1000,"after":"` + after + `"}`)); err != nil {
			return err
		}
		data, err := c.next()
		for err == nil && !bytes.HasPrefix(data, []byte(`{"type":"peers_list"`)) {
			data, err = c.next()
		}
		if err != nil {
			return err
		}
		found += bytes.Count(data, []byte(`"sessionId"`))
		_, rest, more := bytes.Cut(data, []byte(`"next":"`))
		if !more {
			if found < villagers {
				return fmt.Errorf("got %d peers, want %d", found, villagers)
			}
			return nil
		}
		next, _, _ := bytes.Cut(rest, []byte(`"`))
		after = string(next)
	}
}
