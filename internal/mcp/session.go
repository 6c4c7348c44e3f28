package mcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Times of reaching the daemon (mcp 1.1, daemon 21).
const (
	startTime    = 10 * time.Second
	callTime     = 10 * time.Second
	reopenMin    = time.Second
	reopenMax    = 30 * time.Second
	lockStep     = 500 * time.Millisecond
	farewellTime = time.Second
)

// claudeCode is what Claude Code calls itself.
const claudeCode = "claude-code"

// session is the host session as the daemon knows it, and the stream of what comes for it.
type session struct {
	daemon  paths.Daemon
	client  *local.Client
	starter *local.Starter
	screen  *screen
	offers  *offers
	skills  *shelf
	log     *slog.Logger

	request localapi.RegisterRequest
	tools   bool                   // they are offered to the host
	lasting bool                   // the id is the host's; otherwise the session ends with this process
	token   atomic.Pointer[string] // of the registration; nil while there is none
}

// newSession describes the session of a host. Claude Code's variables count for Claude Code only: a program that was
// started inside one of its sessions has them too, and is another session.
func newSession(opt Options, program info, s *server, log *slog.Logger) *session {
	v := &session{
		daemon: opt.Daemon, client: local.New(opt.Daemon.Socket(), opt.Now), log: log,
		starter: &local.Starter{
			Daemon: opt.Daemon, Executable: opt.Executable, Environ: opt.Environ, Forbidden: opt.Env.NoAutospawn, Now: opt.Now,
			Manager: opt.Manager,
		},
		request: localapi.RegisterRequest{
			SessionID: mesh.NewToken(), PID: os.Getppid(), CWD: opt.WorkDir, DisplayName: mesh.SafeName(opt.Env.DisplayName, ""),
			Host: localapi.Host{Name: short(program.Name), Version: short(program.Version)},
		},
	}
	claude := opt.Env.Claude
	var inbox host.Inbox
	if program.Name == claudeCode {
		inbox = host.Inbox{Path: claude.MessagingSocket, Token: claude.MessagingToken}
		v.request.PID = claudePID(claude.PID)
		if claude.SessionID != "" {
			v.request.SessionID, v.lasting = claude.SessionID, true
		}
		if filepath.IsAbs(claude.ProjectDir) {
			v.request.CWD = claude.ProjectDir
		}
	}
	v.launched(opt.Env.Launch)
	v.client.Token = v.currentToken
	rules := host.NewReader(host.Subject{Program: program.Name, PID: v.request.PID, WorkDir: v.request.CWD})
	v.screen = newScreen(s, inbox, rules, log)
	v.tools = opt.Tools
	v.screen.channelled = program.Name != claudeCode && !opt.Tools || // who has tools is known to show their answers
		program.Name == claudeCode && host.Channelled(v.request.PID, "claudemesh")
	v.offers = newOffers(v.client, log)
	return v
}

// launched takes what `claudemesh launch` said of the session. What cannot be read is logged, and left out.
func (v *session) launched(l config.Launch) {
	v.request.Role, v.request.MessageMode, v.request.Mesh = l.Role, l.MessageMode, l.Mesh
	if l.MessageMode != "" && !slices.Contains(localapi.Modes(), l.MessageMode) {
		v.log.Warn("the message mode that was asked for is none")
		v.request.MessageMode = ""
	}
	if l.Groups == "" {
		return
	}
	groups, err := localapi.ParseGroups(strings.Split(l.Groups, ","))
	if err != nil {
		v.log.Warn("the groups are not readable", slog.Any(logkey.Err, err))
	}
	v.request.Groups = groups
}

// short is what a host says of itself, at a length that the daemon takes.
func short(text string) string { return host.Line(text[:min(len(text), 100)]) }

// claudePID is the process of the session: Claude Code itself where a shell or a runner stands in between, else what
// the host said, else who started this process.
func claudePID(said int) int {
	parent := os.Getppid()
	if p, ok := host.ClaudeAncestor(parent); ok {
		return p.PID
	}
	if said != 0 && host.Descends(parent, said) {
		return said
	}
	return parent
}

func (v *session) currentToken() string {
	if t := v.token.Load(); t != nil {
		return *t
	}
	return ""
}

// run keeps the session registered and its messages coming until ctx ends. It opens the door as soon as the daemon
// knows the session.
func (v *session) run(ctx context.Context, d *door, skills *shelf) {
	v.skills = skills
	confirmed := make(chan struct{})
	go func() {
		defer close(confirmed)
		v.offers.run(ctx)
	}()
	release := v.alone(ctx, d)
	wait := reopenMin
	for ctx.Err() == nil {
		err := v.follow(ctx, func() {
			wait = reopenMin
			d.open(v.client, v.bring)
			skills.connected()
		})
		skills.lost()
		if ctx.Err() != nil {
			break
		}
		v.log.Warn("not connected to the daemon", slog.Any(logkey.Err, err), slog.Int64(logkey.WaitMS, wait.Milliseconds()))
		pause(ctx, wait)
		wait = min(2*wait, reopenMax)
	}
	<-confirmed
	v.leave()
	release()
}

// alone waits until no other server shows messages to the session: a host may be configured to start two, and they
// would take the stream from each other for ever. Its tools work meanwhile. A lock that cannot be had for another reason
// is done without.
func (v *session) alone(ctx context.Context, d *door) (release func()) {
	if err := paths.EnsureDir(v.daemon.Sessions(), paths.DirMode); err != nil {
		v.log.Warn("folder of the sessions is missing", slog.Any(logkey.Err, err))
	}
	turn := flock.New(v.daemon.SessionLock(v.request.SessionID, v.request.PID), flock.SetPermissions(paths.FileMode))
	if first, err := turn.TryLock(); !first {
		v.log.Info("another server may show the session its messages", slog.Any(logkey.Err, err))
		if err == nil {
			v.token.Store(v.leftToken())
			d.open(v.client, v.bring)
			_, _ = turn.TryLockContext(ctx, lockStep) // fails when ctx ends
		}
	}
	return func() { _ = turn.Unlock() } // the file stays until the session is forgotten
}

// follow reaches the daemon, registers where that is needed, calls connected, and shows what comes until the stream ends.
// No event id is given: the daemon claims each message for this session once, also those that it held back for a while (design D6, E3).
func (v *session) follow(ctx context.Context, connected func()) error {
	if err := v.reach(ctx); err != nil {
		return err
	}
	if !v.known(ctx) {
		if err := v.register(ctx); err != nil {
			return fmt.Errorf("register the session: %w", err)
		}
	}
	connected()
	paths := v.paths()
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		v.watchPaths(ctx, paths)
	}()
	defer func() { cancel(); <-watched }()
	ask := localapi.EventsRequest{Deliver: true, Paths: strings.Join(paths, ",")}
	take := func(e local.Event) error { return v.event(ctx, e) }
	err := v.client.Events(ctx, ask, "", take)
	if mesh.IsCode(err, mesh.BadRequest) { // a daemon of an older version leaves the choice to us
		err = v.client.Events(ctx, localapi.EventsRequest{Deliver: true}, "", take)
	}
	return err
}

// paths lists those into the session, as the daemon is told. It chooses among them and its own; one that has none is told
// that messages wait to be asked for.
func (v *session) paths() []string {
	paths := v.screen.paths()
	if v.tools {
		paths = append(paths, localapi.PathTool)
	}
	return append(paths, localapi.PathPoll)
}

// pathsStep is how often is looked whether there are other paths: a host may open its inbox late, and lose it.
const pathsStep = time.Second

// watchPaths tells the daemon when the paths change, until ctx ends.
func (v *session) watchPaths(ctx context.Context, told []string) {
	step := time.NewTicker(pathsStep)
	defer step.Stop()
	for {
		select {
		case <-step.C:
		case <-ctx.Done():
			return
		}
		now := v.paths()
		if slices.Equal(now, told) {
			continue
		}
		call, cancel := context.WithTimeout(ctx, callTime)
		_, err := localapi.OpenPaths.Do(call, v.client, localapi.OpenPathsRequest{Paths: now})
		cancel()
		if err != nil {
			v.log.Warn("paths are not told", slog.Any(logkey.Err, err))
			continue
		}
		v.log.Info("paths into the session changed", slog.String(logkey.Path, strings.Join(now, ",")))
		told = now
	}
}

// known asks whether the daemon still knows the registration.
func (v *session) known(ctx context.Context) bool {
	if v.currentToken() == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err := localapi.SessionMe.Do(ctx, v.client, localapi.None{})
	return err == nil
}

// reach makes sure that a daemon listens.
func (v *session) reach(ctx context.Context) error {
	conn, err := local.Dial(ctx, v.daemon.Socket())
	switch {
	case err == nil:
		return conn.Close()
	case !mesh.IsCode(err, mesh.DaemonDown):
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	took, err := v.starter.Start(ctx)
	if err == nil {
		v.log.Info("daemon started", slog.Int64(logkey.TookMS, took.Milliseconds()))
	}
	return err
}

// register announces the session. What registered it before, another process of the same session, left its token in a
// file.
func (v *session) register(ctx context.Context) error {
	req := v.request
	if left := v.leftToken(); left != nil {
		req.OldToken = *left
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	a, err := localapi.SessionRegister.Do(ctx, v.client, req)
	if err != nil {
		return err
	}
	v.token.Store(&a.Token)
	v.log.Info("session registered", slog.String(logkey.Session, req.SessionID), slog.Int(logkey.PID, req.PID), slog.Int(logkey.Count, len(a.Sessions)))
	return nil
}

// leftToken is the token that the last registration of this session left in its file; nil for none.
func (v *session) leftToken() *string {
	data, _, err := paths.ReadSecret(v.daemon.SessionToken(v.request.SessionID))
	if err != nil {
		return nil
	}
	token := strings.TrimSpace(string(data))
	return &token
}

// event shows one event. Only the end of ctx ends the stream: what could not be shown is told by the daemon as
// unconfirmed.
func (v *session) event(ctx context.Context, e local.Event) error {
	switch e.Kind {
	case localapi.EventMessage:
		var item localapi.InboxItem
		if err := wire.Decode(e.Data, &item); err != nil {
			v.log.Error("event of the daemon is not a message", slog.Any(logkey.Err, err))
			return nil
		}
		v.message(ctx, item)
	case localapi.EventSkills:
		v.skills.changed()
	case localapi.EventNotice:
		var n localapi.Notice
		if err := wire.Decode(e.Data, &n); err != nil {
			v.log.Error("event of the daemon is not a notice", slog.Any(logkey.Err, err))
			return nil
		}
		if err := v.screen.notice(ctx, n); err != nil {
			v.log.Warn("notice was not shown", slog.String(logkey.Topic, n.Kind), slog.Any(logkey.Err, err))
		}
	}
	return ctx.Err()
}

func (v *session) message(ctx context.Context, item localapi.InboxItem) {
	path, err := v.screen.show(ctx, item)
	id := slog.String(logkey.MessageID, string(item.BrokerMessageID))
	if errors.As(err, &unwritten{}) && v.giveBack(ctx, item, path, err) {
		v.log.Info("message was not taken, and is given back", id, slog.String(logkey.Path, path), slog.Any(logkey.Err, err))
		return
	}
	if err != nil {
		v.log.Warn("message was not shown", id, slog.Any(logkey.Err, err))
		return
	}
	v.log.Info("message was offered to the host", id, slog.String(logkey.Path, path))
	v.offers.add(ctx, offer{item.Attempt, path})
}

// giveBack has the daemon try another path for a message that was not written to one.
func (v *session) giveBack(ctx context.Context, item localapi.InboxItem, path string, why error) bool {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err := localapi.InboxReturn.Do(ctx, v.client, localapi.ReturnRequest{
		Attempts: []string{item.Attempt}, Path: path, Reason: host.Line(mesh.PublicText(why)[:min(len(mesh.PublicText(why)), 100)]),
	})
	return err == nil
}

// leave ends a registration that nobody can take up again.
func (v *session) leave() {
	token := v.currentToken()
	if !v.lasting && token != "" {
		ctx, cancel := context.WithTimeout(context.Background(), farewellTime) // the run's own context has ended
		defer cancel()
		if _, err := localapi.SessionDeregister.Do(ctx, v.client, localapi.DeregisterRequest{Token: token}); err != nil {
			v.log.Warn("session was not deregistered", slog.Any(logkey.Err, err))
		}
	}
	_ = v.client.Close() // nothing is under way
}
