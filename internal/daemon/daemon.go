// Package daemon is the per-user process: it wires the parts below, starts them in order and stops them in order.
package daemon

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/daemon/clone"
	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/ipc"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Options are what a daemon is started with.
type Options struct {
	Home     paths.Home
	Settings config.Daemon
	User     string          // <user>@<host>, the name of new members
	Dial     uplink.DialFunc // nil means the network of the machine
	Network  func() string   // describes the networks of the machine; nil asks the system
	Now      mesh.Clock
	Log      *slog.Logger
	Ready    func() // called when the socket answers; may be nil

	// Machine tells which machine this is; nil does not look.
	Machine func(context.Context) clone.Facts

	PollConfig bool // look at config.json every 15 s, where the system cannot tell of changes
}

// Daemon is an opened daemon: it holds the lock and the databases.
type Daemon struct {
	opt      Options
	lock     *flock.Flock
	db       *localdb.DB
	outbox   *outbox.Outbox
	inbox    *inbox.Inbox
	node     *node.Node
	registry *registry.Registry
	server   *ipc.Server
	token    string
}

// Run runs a daemon until ctx ends, and returns when everything has stopped: already_running when another lives.
func Run(ctx context.Context, opt Options) error {
	d, err := Open(ctx, opt)
	if err != nil {
		return err
	}
	return errors.Join(d.Serve(ctx), d.Close())
}

// lockPatience outlasts those who only ask whether the lock is held.
const lockPatience = 500 * time.Millisecond

// Open takes the lock, then opens the databases; whoever holds the lock is the daemon, and nobody else touches its
// files (daemon 2.2).
func Open(ctx context.Context, opt Options) (*Daemon, error) {
	for _, dir := range []string{opt.Home.Config.Dir, opt.Home.Daemon.Dir, opt.Home.Daemon.Sessions()} {
		if err := paths.EnsureDir(dir, paths.DirMode); err != nil {
			return nil, err
		}
	}
	lock, err := occupy(ctx, opt.Home.Daemon)
	if err != nil {
		return nil, err
	}
	d := &Daemon{opt: opt, lock: lock}
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// occupy takes the lock of a folder.
func occupy(ctx context.Context, dir paths.Daemon) (*flock.Flock, error) {
	lock := flock.New(dir.Lock(), flock.SetPermissions(paths.FileMode))
	wait, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	switch ok, err := lock.TryLockContext(wait, lockPatience/10); {
	case ok:
		return lock, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && !errors.Is(err, context.DeadlineExceeded):
		return nil, mesh.Errorf(mesh.IOError, "lock the daemon's folder: %w", err)
	}
	return nil, mesh.Errorf(mesh.AlreadyRunning, "a daemon holds %s", dir.Lock())
}

func (d *Daemon) open(ctx context.Context) error {
	opt := d.opt
	if err := sameMachine(ctx, opt); err != nil {
		return err
	}
	var err error
	if d.token, err = localToken(opt.Home.Daemon.Token()); err != nil {
		return err
	}
	if d.outbox, err = outbox.Open(ctx, outbox.Options{
		Path: opt.Home.Daemon.Outbox(), Now: opt.Now, Log: opt.Log, Keep: opt.Settings.OutboxRetention,
	}); err != nil {
		return err
	}
	if d.inbox, err = inbox.Open(ctx, inbox.Options{
		Path: opt.Home.Daemon.Inbox(), Keep: opt.Settings.InboxRetention, Now: opt.Now, Log: opt.Log,
	}); err != nil {
		return err
	}
	if d.db, err = localdb.Open(ctx, opt.Home.Daemon.DB(), opt.Now, opt.Log); err != nil {
		return err
	}
	book, err := membership.Open(opt.Home, opt.Log)
	if err != nil {
		return err
	}
	if opt.PollConfig {
		book.PollOnly()
	}
	if err := checkMeshes(book, opt.Settings.Meshes); err != nil {
		return err
	}
	d.node = node.New(node.Options{
		Home: opt.Home, Settings: opt.Settings, User: opt.User, Book: book, DB: d.db, Outbox: d.outbox, Inbox: d.inbox,
		Dial: opt.Dial, Network: opt.Network, Now: opt.Now, Log: opt.Log,
	})
	d.registry = registry.New(registry.Options{
		Daemon: opt.Home.Daemon, Book: book, DB: d.db, Lines: d.node, Now: opt.Now, Log: opt.Log,
	})
	d.server = ipc.New(ipc.Options{
		Node: d.node, Registry: d.registry, Inbox: d.inbox, Outbox: d.outbox, DB: d.db, Settings: opt.Settings, User: opt.User,
		PID: os.Getpid(), Token: d.token, Now: opt.Now, Log: opt.Log,
	})
	return d.registry.Restore(ctx)
}

// checkMeshes refuses to serve meshes that are not joined: mesh_not_attached, with those that are (daemon 6.1).
func checkMeshes(book *membership.Book, wanted []string) error {
	if len(wanted) == 0 {
		return nil
	}
	joined, err := book.List()
	if err != nil {
		return err
	}
	var slugs []string
	for _, m := range joined {
		slugs = append(slugs, m.Slug)
	}
	for _, slug := range wanted {
		if !slices.Contains(slugs, slug) {
			return mesh.Errorf(mesh.MeshNotAttached, "no mesh %q is joined, which the daemon is to serve", slug).With(mesh.Details{Attached: slugs})
		}
	}
	return nil
}

// Server answers requests, also within this process.
func (d *Daemon) Server() *ipc.Server { return d.server }

// Work attaches to the joined meshes until ctx ends; it serves no socket. Serve includes it.
func (d *Daemon) Work(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.node.Run(ctx) })
	group.Go(func() error { return d.registry.Run(ctx) })
	group.Go(func() error { return d.follow(ctx) })
	return group.Wait()
}

// Ready is closed when Work has found out what is joined; a request before that hears that nothing is.
func (d *Daemon) Ready() <-chan struct{} { return d.node.Ready() }

// follow gives sessions their place in meshes that come, whoever joined them.
func (d *Daemon) follow(ctx context.Context) error {
	for {
		changed := d.node.Changed()
		if err := d.registry.Refresh(ctx); err != nil && ctx.Err() == nil {
			d.opt.Log.Warn("sessions not refreshed", logkey.Err, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// Serve binds the socket first, so that it answers at once, then works, until ctx ends. It stops in this order: no new
// work, streams, connections to brokers, socket (daemon 5.2).
func (d *Daemon) Serve(ctx context.Context) error {
	listeners, err := d.listen()
	if err != nil {
		return err
	}
	if err := d.sign(); err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	working := make(chan error, 1)
	go func() { working <- d.Work(ctx) }()
	select {
	case <-d.Ready(): // who connected meanwhile waits a moment, instead of hearing that nothing is joined
	case err := <-working:
		return errors.Join(err, closeAll(listeners), removePID(d.opt.Home.Daemon.PID()))
	}
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	group := &errgroup.Group{}
	for i, ln := range listeners {
		group.Go(func() error { return d.server.Serve(serving, ln, i > 0) })
	}
	tcp := ""
	for _, ln := range listeners[1:] {
		tcp = ln.Addr().String()
	}
	d.opt.Log.Info("daemon_started", logkey.PID, os.Getpid(), logkey.Path, d.opt.Home.Daemon.Socket(), logkey.TCP, tcp,
		logkey.Meshes, append([]string{}, node.Slugs(d.node)...), logkey.Version, buildinfo.Version())
	if d.opt.Ready != nil {
		d.opt.Ready()
	}
	err = <-working
	d.opt.Log.Info("daemon_shutdown")
	d.server.End()
	stopServing()
	return errors.Join(err, group.Wait(), removePID(d.opt.Home.Daemon.PID()))
}

// sign says which process the daemon is, and of which version.
func (d *Daemon) sign() error {
	files := d.opt.Home.Daemon
	return errors.Join(
		paths.WriteSecret(files.PID(), []byte(strconv.Itoa(os.Getpid()))), paths.WriteSecret(files.Version(), []byte(buildinfo.Version())))
}

// listen binds the socket, and TCP where it is wanted; a port that is taken costs only TCP (daemon 5.1).
func (d *Daemon) listen() ([]net.Listener, error) {
	unix, err := listenUnix(d.opt.Home.Daemon.Socket())
	if err != nil {
		return nil, err
	}
	listeners := []net.Listener{unix}
	if d.opt.Settings.TCP {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(d.opt.Settings.TCPPort))
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			d.opt.Log.Warn("ipc_tcp_listen_failed", logkey.Addr, addr, logkey.Err, err)
		} else {
			listeners = append(listeners, tcp)
		}
	}
	return listeners, nil
}

// listenUnix binds the socket; the lock is held, so a file that is there belongs to nobody.
func listenUnix(path string) (net.Listener, error) {
	if err := paths.CheckSocket(path); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, mesh.Errorf(mesh.IOError, "remove a socket that nobody serves: %w", err)
	}
	ln, err := listenPrivate(path)
	if err != nil {
		return nil, mesh.Errorf(mesh.IOError, "listen on %s: %w", path, err)
	}
	return ln, nil
}

func closeAll(listeners []net.Listener) error {
	var errs []error
	for _, ln := range listeners {
		errs = append(errs, ln.Close())
	}
	return errors.Join(errs...)
}

func removePID(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return mesh.Errorf(mesh.IOError, "remove the pid file: %w", err)
	}
	return nil
}

// Close closes the databases and gives the lock back.
func (d *Daemon) Close() error {
	var errs []error
	if d.outbox != nil {
		errs = append(errs, d.outbox.Close())
	}
	if d.inbox != nil {
		errs = append(errs, d.inbox.Close())
	}
	if d.db != nil {
		errs = append(errs, d.db.Close())
	}
	return errors.Join(append(errs, d.lock.Unlock())...)
}

// localToken reads the token of the TCP listener, or makes it (daemon 2.1).
func localToken(path string) (string, error) {
	data, _, err := paths.ReadSecret(path)
	switch {
	case err == nil && len(data) > 0:
		return string(trim(data)), nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	token := newToken()
	return token, paths.WriteSecret(path, []byte(token+"\n"))
}
