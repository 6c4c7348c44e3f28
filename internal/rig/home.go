package rig

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/daemon"
	"github.com/claudemesh/claudemesh/internal/daemon/ipc"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/rig/disk"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// Home is a user with a daemon. It is the user's way to the daemon (localapi.Doer), which any goroutine may take; so may
// Kill. The other methods are called from one.
type Home struct {
	Name     string
	Clock    *Clock
	Settings config.Daemon // of the next Start
	Network  atomic.Value  // a string: the networks that its machine is in
	Fails    bool          // its disk fails: the daemon may end with an error

	rig *Rig

	mu      sync.Mutex // guards what follows
	files   folder
	process *homeProcess // also one that was killed, until it is over; nil without any
	killed  bool
}

// homeProcess is one run of a daemon.
type homeProcess struct {
	daemon *daemon.Daemon
	port   *memnet.Port
	disk   *disk.Disk
	ctx    context.Context // of requests; ends with stop
	stop   context.CancelFunc
	ended  chan error
	calls  sync.WaitGroup // requests under way
}

// Home starts a daemon with an empty home. Edit may change its settings; nil leaves the defaults.
func (r *Rig) Home(name string, edit func(*config.Daemon)) *Home {
	r.T.Helper()
	h := &Home{Name: name, Clock: &Clock{}, Settings: config.DefaultDaemon(), rig: r, files: r.newFolder()}
	if edit != nil {
		edit(&h.Settings)
	}
	h.Start()
	r.T.Cleanup(h.Stop)
	return h
}

// Link is its way to a broker.
func (h *Home) Link(b *Broker) *memnet.Link { return h.rig.Net.Link(h.Name, b.Addr) }

// Paths says where its files lie; Kill moves them.
func (h *Home) Paths() paths.Home {
	h.mu.Lock()
	defer h.mu.Unlock()
	return paths.At(h.files.dir)
}

// Start runs the daemon on its files, without a socket, and returns when it knows its meshes; connected it is later.
func (h *Home) Start() {
	h.rig.T.Helper()
	h.Stop()
	p := &homeProcess{port: h.rig.Net.Port(h.Name), disk: h.Disk(), ended: make(chan error, 1)}
	p.ctx, p.stop = context.WithCancel(context.Background())
	var err error
	p.daemon, err = daemon.Open(p.ctx, daemon.Options{
		Home: h.Paths(), Settings: h.Settings, User: h.Name, Dial: p.port.Dial, Network: h.network, Now: h.Clock.Now, Log: h.rig.Log.With("at", h.Name),
		PollConfig: true,
	})
	h.rig.must(err)
	go func() { p.ended <- p.daemon.Work(p.ctx) }()
	<-p.daemon.Ready()
	h.mu.Lock()
	h.process = p
	h.mu.Unlock()
}

func (h *Home) network() string {
	name, _ := h.Network.Load().(string) // empty before a test moves it
	return name
}

// Stop ends the daemon as a signal does. One that does not run stays so.
func (h *Home) Stop() {
	h.rig.T.Helper()
	h.mu.Lock()
	p := h.process
	h.process, h.killed = nil, false
	h.mu.Unlock()
	if p == nil {
		return
	}
	p.stop()
	if err := <-p.ended; err != nil && !h.Fails {
		h.rig.T.Errorf("the daemon of %s ended with %v", h.Name, err)
	}
	p.calls.Wait()
	p.port.Kill()
	if err := p.daemon.Close(); err != nil && !h.Fails {
		h.rig.T.Errorf("the daemon of %s closed with %v", h.Name, err)
	}
	if p.disk != h.Disk() {
		p.disk.Unmount()
	}
}

// Kill ends the daemon as kill -9 does: from one moment on nobody hears of it, requests under way have no answer, and the
// next Start finds its files as they were at that moment.
func (h *Home) Kill() { h.die(disk.Killed) }

// CutPower ends the daemon as a power cut of its machine does: the next Start finds of what was not synced anything, or nothing.
func (h *Home) CutPower() { h.die(disk.PowerCut) }

func (h *Home) die(how disk.Ending) {
	h.rig.T.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process == nil || h.killed {
		return
	}
	h.killed = true
	h.process.port.Kill()
	h.files = h.rig.left(h.files, how)
}

// Disk is what lies below its files; Kill and CutPower change it.
func (h *Home) Disk() *disk.Disk {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.files.disk
}

// Do asks the daemon as the user. Without a daemon, or when it ends first, the error is daemon_down: whether it did what
// was asked is unknown.
func (h *Home) Do(ctx context.Context, r localapi.Request) (localapi.Response, error) {
	return h.do(ctx, registry.Caller{UID: os.Getuid()}, "", r)
}

func (h *Home) do(ctx context.Context, who registry.Caller, token string, r localapi.Request) (answer localapi.Response, err error) {
	gone := h.enter(ctx, func(ctx context.Context, s *ipc.Server) { answer, err = s.As(who, token).Do(ctx, r) })
	if gone != nil {
		return localapi.Response{}, gone
	}
	return answer, err
}

// enter asks the daemon that runs something. The error is daemon_down without one, and when it ends meanwhile.
func (h *Home) enter(ctx context.Context, ask func(context.Context, *ipc.Server)) error {
	h.mu.Lock()
	p := h.process
	if p == nil || h.killed {
		h.mu.Unlock()
		return mesh.Errorf(mesh.DaemonDown, "the daemon of %s does not run", h.Name)
	}
	p.calls.Add(1)
	h.mu.Unlock()
	defer p.calls.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	ask(ctx, p.daemon.Server())
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process != p || h.killed {
		return mesh.Errorf(mesh.DaemonDown, "the daemon of %s ended before it answered", h.Name)
	}
	return nil
}

// Session is a session of a home. It is the session's way to the daemon (localapi.Doer).
type Session struct {
	ID, Token string
	Key       mesh.Key // in the first mesh
	home      *Home
	pid       int       // 0: this process
	process   *exec.Cmd // its own; nil for this one
}

// Do asks the daemon as a process of the session.
func (s *Session) Do(ctx context.Context, r localapi.Request) (localapi.Response, error) {
	return s.home.do(ctx, registry.Caller{PID: cmp.Or(s.pid, os.Getpid()), UID: os.Getuid()}, s.Token, r)
}

// Kill ends the process of a session that has one of its own, as kill -9 does, and returns when it is over.
func (s *Session) Kill() {
	_ = s.process.Process.Kill() // it may be over
	_ = s.process.Wait()         // of what it died is known
}

// Spawn makes a process of its own a session, and returns it also where the daemon did not answer.
func (h *Home) Spawn(id string) (*Session, error) {
	h.rig.T.Helper()
	cmd := exec.Command("cat") // ends with this process, when its input does
	_, err := cmd.StdinPipe()
	h.rig.must(err)
	h.rig.must(cmd.Start())
	s := &Session{ID: id, home: h, pid: cmd.Process.Pid, process: cmd}
	h.rig.T.Cleanup(s.Kill)
	req := h.registration(id, nil)
	req.PID = s.pid
	return s, s.register(req)
}

// Register makes this process a session that is shown what comes. Old is the registration that it replaces, or nil.
func (h *Home) Register(id string, old *Session) *Session {
	h.rig.T.Helper()
	s := &Session{ID: id, home: h}
	h.rig.must(s.register(h.registration(id, old)))
	return s
}

func (s *Session) register(req localapi.RegisterRequest) error {
	answer, err := localapi.SessionRegister.Do(s.home.rig.T.Context(), s, req)
	if err != nil {
		return err
	}
	s.Token = answer.Token
	if len(answer.Sessions) > 0 {
		s.Key = answer.Sessions[0].SessionPubkey
	}
	return nil
}

// registration makes this process a session.
func (h *Home) registration(id string, old *Session) localapi.RegisterRequest {
	req := localapi.RegisterRequest{
		SessionID: id, PID: os.Getpid(), CWD: h.Paths().Config.Dir, DisplayName: id, Host: localapi.Host{Name: "claude-ai"},
	}
	if old != nil {
		req.OldToken = old.Token
	}
	return req
}

// Found makes a mesh on a broker.
func (h *Home) Found(b *Broker, slug string) {
	h.rig.T.Helper()
	_, err := localapi.MeshCreate.Do(h.rig.T.Context(), h, localapi.MeshCreateRequest{
		Name: slug, Slug: slug, BrokerURL: b.URL(), Token: b.Token(), DisplayName: h.Name,
	})
	h.rig.must(err)
}

// Join makes another home a member of a mesh that h owns.
func (h *Home) Join(slug string, other *Home) {
	h.rig.T.Helper()
	invite, err := localapi.InviteCreate.Do(h.rig.T.Context(), h, localapi.InviteCreateRequest{Slug: slug})
	h.rig.must(err)
	_, err = localapi.MeshJoin.Do(h.rig.T.Context(), other, localapi.MeshJoinRequest{Link: invite.URL, DisplayName: other.Name})
	h.rig.must(err)
}

// Mesh is one of its meshes, as it stands.
func (h *Home) Mesh(slug string) localapi.Mesh {
	h.rig.T.Helper()
	answer, err := localapi.Meshes.Do(h.rig.T.Context(), h, localapi.None{})
	h.rig.must(err)
	i := slices.IndexFunc(answer.Meshes, func(m localapi.Mesh) bool { return m.Slug == slug })
	if i < 0 {
		return localapi.Mesh{}
	}
	return answer.Meshes[i]
}

// Send sends a text as whoever d is, and ends the test when that is refused.
func (r *Rig) Send(d localapi.Doer, to, text string) localapi.SendAnswer {
	r.T.Helper()
	answer, err := localapi.Send.Do(r.T.Context(), d, localapi.SendRequest{To: to, Message: text})
	r.must(err)
	return answer
}

// Inbox is the newest thousand of what whoever d is may read, oldest first. It stays unread.
func (r *Rig) Inbox(d localapi.Doer) []localapi.InboxItem {
	r.T.Helper()
	unread := false
	answer, err := localapi.Inbox.Do(r.T.Context(), d, localapi.InboxRequest{Limit: 1000, MarkSeen: &unread})
	r.must(err)
	slices.Reverse(answer.Items)
	return answer.Items
}

// Texts are the texts of Inbox; what did not open, or is not shown, is "-".
func (r *Rig) Texts(d localapi.Doer) []string {
	r.T.Helper()
	texts := []string{}
	for _, i := range r.Inbox(d) {
		if i.Body == nil {
			texts = append(texts, "-")
			continue
		}
		texts = append(texts, *i.Body)
	}
	return texts
}
