package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
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

	"github.com/claudemesh/claudemesh/internal/protocol"
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
	if err := announce(dir, "ws://"+ln.Addr().String()); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc(barePath, func(w http.ResponseWriter, r *http.Request) { welcome(w, r, func([]byte) error { return nil }) })
	mux.HandleFunc(checkedPath, func(w http.ResponseWriter, r *http.Request) { welcome(w, r, checkHello) })
	return http.Serve(ln, mux)
}

// The two servers: one asks nothing, one checks one signature of the hello.
const (
	barePath    = "/ws"
	checkedPath = "/checked"
)

func welcome(w http.ResponseWriter, r *http.Request, check func(hello []byte) error) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	_, hello, err := conn.Read(r.Context())
	if err != nil || check(hello) != nil {
		return
	}
	if conn.Write(r.Context(), websocket.MessageText, []byte(`{"type":"hello_ack"}`)) == nil {
		conn.Read(r.Context()) // until it leaves
	}
}

// checkHello verifies that the session signed.
func checkHello(hello []byte) error {
	var req protocol.SessionHelloRequest
	if err := json.Unmarshal(hello, &req); err != nil {
		return err
	}
	parent, err := seal.DecodePublicKey(req.ParentMemberPubkey)
	if err != nil {
		return err
	}
	session, err := seal.DecodePublicKey(req.SessionPubkey)
	if err != nil {
		return err
	}
	signature, err := seal.ParseSignature(req.Signature)
	if err != nil {
		return err
	}
	at := time.UnixMilli(req.Timestamp)
	return seal.SessionHello{MeshID: req.MeshID, Parent: parent, Session: session, At: at}.Verify(signature, at)
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
	words []protocol.Attestation // of the member for each key
	conns []*lean

	resting sync.WaitGroup // those who read what comes
	came    func(int)      // acknowledges messages, and is told of them; nil: nothing is acknowledged
}

func newCrowd(m member, n int) (*crowd, error) {
	parent, err := seal.ParseSecretKey(m.SecretKey)
	if err != nil {
		return nil, err
	}
	c := &crowd{member: m, conns: make([]*lean, n)}
	for range n {
		key := seal.NewSecretKey()
		word, err := attest(parent, key)
		if err != nil {
			return nil, err
		}
		c.keys, c.words = append(c.keys, key), append(c.words, word)
	}
	return c, nil
}

// hellos signs what everybody will say. It is not what is measured.
func (c *crowd) hellos() (all [][]byte, err error) {
	all = make([][]byte, len(c.keys))
	for i, key := range c.keys {
		if all[i], err = helloWith(c.member, c.words[i], key, "s"+strconv.Itoa(i)); err != nil {
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
	took := time.Since(began)
	c.rest()
	return took, failed
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
		if conn == nil {
			continue
		}
		c.resting.Go(func() {
			if c.came != nil {
				conn.receive(c.came)
				return
			}
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
	h, m, err := p.alone(ctx, "c")
	if err != nil {
		return err
	}
	defer h.down()
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
	c, err := newCrowd(m, crowdSize)
	if err != nil {
		return err
	}
	defer c.leave()
	empty, err := residentKiB(pid)
	if err != nil {
		return err
	}
	if _, err := c.enter(ctx); err != nil {
		return err
	}
	time.Sleep(8 * time.Second) // what came with connecting is collected
	full, err := residentKiB(pid)
	if err != nil {
		return err
	}
	each := (full - empty) / crowdSize
	r.add(row{what: "memory of an idle signed connection, of 5,000", ours: fmt.Sprintf("%.1f KiB", each), theirs: "1 KiB", anchor: "a KiB", bar: 32, goal: 25}.
		compare([]float64{each}, []float64{1}))
	if err := tenThousand(ctx, r, m, pid); err != nil {
		return err
	}
	ours, asking, checked := &side{crowd: c, pid: pid}, &side{pid: bare.pid}, &side{pid: bare.pid}
	for path, s := range map[string]*side{barePath: asking, checkedPath: checked} {
		theirs := m
		theirs.BrokerURL = bare.addr + path
		if s.crowd, err = newCrowd(theirs, crowdSize); err != nil {
			return err
		}
		defer s.leave()
		if _, err := s.enter(ctx); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	for range p.rounds {
		for _, s := range []*side{ours, asking, checked} {
			if err := s.round(ctx); err != nil {
				return fmt.Errorf("%s: %w", s.BrokerURL, err)
			}
		}
	}
	back := row{what: "5,000 sessions coming back, 64 at once", ours: ours.rate(), bar: 0.7, moreIsGood: true}
	back.theirs, back.anchor = checked.rate(), "WebSocket upgrade, and one signature of the hello"
	r.add(back.compare(ours.rates, checked.rates))
	back.theirs, back.anchor, back.bar = asking.rate(), "bare WebSocket upgrade, the same hello unread", 0 // how much all of the hello costs
	r.add(back.compare(ours.rates, asking.rates))
	return nil
}

// tenThousand measures the whole broker while a second crowd is there beside the first.
func tenThousand(ctx context.Context, r *report, m member, pid int) error {
	more, err := newCrowd(m, crowdSize)
	if err != nil {
		return err
	}
	defer more.leave()
	if _, err := more.enter(ctx); err != nil {
		return err
	}
	kib, err := settledKiB(pid)
	if err != nil {
		return err
	}
	mib := kib / 1024
	r.add(row{what: "memory of a broker with 10,000 idle sessions", ours: fmt.Sprintf("%.0f MiB", mib), theirs: "1 MiB", anchor: "a MiB", bar: 350}.
		compare([]float64{mib}, []float64{1}))
	return nil
}

// settledKiB is the memory of a process that has come to rest: the least that it has, until that has not changed for a
// while. What came with connecting is collected every two minutes at the latest.
func settledKiB(pid int) (float64, error) {
	const still, most = 30, 180 // seconds
	least, since := math.Inf(1), 0
	for range most {
		kib, err := residentKiB(pid)
		if err != nil {
			return 0, err
		}
		if since++; kib < least-1024 {
			least, since = kib, 0
		}
		if since >= still {
			break
		}
		time.Sleep(time.Second)
	}
	return least, nil
}

// side is a crowd that comes back in every round.
type side struct {
	*crowd
	pid   int
	rates []float64
	cpu   []float64 // of the server, microseconds each
}

func (s *side) round(ctx context.Context) error {
	before, err := cpuTime(s.pid)
	if err != nil {
		return err
	}
	took, err := s.back(ctx)
	if err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond) // the server ends what the former connections left
	after, err := cpuTime(s.pid)
	s.rates, s.cpu = append(s.rates, crowdSize/took.Seconds()), append(s.cpu, float64((after-before).Microseconds())/crowdSize)
	return err
}

func (s *side) rate() string {
	return fmt.Sprintf("%.0f/s, %.0f µs of CPU", quantile(s.rates, 0.5), quantile(s.cpu, 0.5))
}

// cpuTime is what a process has used.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var ticks int
	for _, f := range fields[11:13] { // in user and in system, in hundredths of a second
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// rosterRounds measures list_peers of 500, page by page.
func rosterRounds(ctx context.Context, p plan, r *report, m member) error {
	c, err := newCrowd(m, villagers)
	if err != nil {
		return err
	}
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
