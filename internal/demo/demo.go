// Package demo shows claudemesh at work: it runs the program itself, as child processes in a temporary folder, in three
// homes that stand for three machines.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Options are what a demonstration is run with.
type Options struct {
	Executable string
	Environ    []string
	Out        io.Writer
	NoColour   bool
	Now        mesh.Clock
	// Stage is the folder to play in. Run without it makes one and runs the program again in there, with a home and an
	// environment of its own: the player is also the host program of the sessions, and a host's home has settings.
	Stage string
}

// stage is the demonstration: three homes and what they share.
type stage struct {
	out             term.Stream
	now             mesh.Clock
	anna, ben, cleo *home
	began           time.Time
}

// Run shows everything, cleans up, and fails loudly where something did not come out as promised.
func Run(ctx context.Context, opt Options) error {
	if opt.Stage != "" {
		return play(ctx, opt)
	}
	dir, err := os.MkdirTemp("", "cmdemo") // short: a socket's path has 107 bytes
	if err != nil {
		return mesh.Errorf(mesh.IOError, "make a temporary folder: %w", err)
	}
	cmd := exec.CommandContext(ctx, opt.Executable, "demo", "--stage", dir, "--channels", "claudemesh")
	cmd.Args[0] = "claude"                                                // the name of the host program that it plays; its rules are read from its command line
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it cleans up by itself
	cmd.WaitDelay = cleanTime
	cmd.Env, cmd.Stdout, cmd.Stderr = ownEnv(opt.Environ, dir, "stage"), opt.Out, os.Stderr
	if opt.NoColour {
		cmd.Env = append(cmd.Env, "NO_COLOR=1")
	}
	if err = cmd.Run(); err != nil {
		err = mesh.Errorf(mesh.Undelivered, "the demonstration failed: %w", err)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// play is the demonstration in its folder.
func play(ctx context.Context, opt Options) (err error) {
	s := &stage{out: term.NewStream(opt.Out, opt.NoColour), now: opt.Now, began: opt.Now()}
	listen, err := freeAddress()
	if err != nil {
		return err
	}
	s.anna = newHome("anna", filepath.Join(opt.Stage, "a"), listen, opt)
	s.ben = newHome("ben", filepath.Join(opt.Stage, "b"), listen, opt)
	s.cleo = newHome("cleo", filepath.Join(opt.Stage, "c"), listen, opt)
	defer func() { err = errors.Join(err, s.clean()) }()
	for _, act := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"Two machines, one mesh", s.meet},
		{"A message each way", s.talk},
		{"Ben's machine is off", s.away},
		{"The broker dies", s.brokerDies},
		{"Ben's daemon is killed while anna writes", s.daemonDies},
		{"A third machine joins by a code", s.third},
		{"A message to a group", s.toGroup},
		{"Anna bans cleo while ben watches", s.ban},
		{"Two sessions in a host program", s.sessions},
	} {
		s.out.Section(act.title)
		if err := act.play(ctx); err != nil {
			s.out.Line("%s", s.out.Paint(term.Red, "✘ "+act.title))
			return mesh.Errorf(mesh.Undelivered, "%s: %w", act.title, err)
		}
	}
	s.out.Section("done")
	s.out.OK("everything arrived once, in order", s.now().Sub(s.began).Round(time.Millisecond).String())
	return nil
}

// freeAddress finds a port of this machine that is free now.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", mesh.Errorf(mesh.PortInUse, "find a free port: %w", err)
	}
	return ln.Addr().String(), ln.Close()
}

// clean stops what was started, whatever happened before.
func (s *stage) clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanTime)
	defer cancel()
	return errors.Join(s.cleo.end(ctx), s.ben.end(ctx), s.anna.end(ctx))
}

// cleanTime bounds stopping everything.
const cleanTime = 30 * time.Second

// say prints a sentence of the story.
func (s *stage) say(format string, args ...any) {
	s.out.Line("%s", s.out.Paint(term.Dim, fmt.Sprintf(format, args...)))
}

// check fails with a sentence unless ok.
func check(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return mesh.Errorf(mesh.Undelivered, format, args...)
}
