// Package demo shows claudemesh at work: it runs the program itself, as child processes in a temporary folder, in two
// homes that stand for two machines.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
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
}

// stage is the demonstration: two homes and what they share.
type stage struct {
	out       term.Stream
	now       mesh.Clock
	dir       string
	anna, ben *home
	began     time.Time
}

// Run shows everything, cleans up, and fails loudly where something did not come out as promised.
func Run(ctx context.Context, opt Options) (err error) {
	dir, err := os.MkdirTemp("", "cmdemo") // short: a socket's path has 107 bytes
	if err != nil {
		return mesh.Errorf(mesh.IOError, "make a temporary folder: %w", err)
	}
	s := &stage{out: term.NewStream(opt.Out, opt.NoColour), now: opt.Now, dir: dir, began: opt.Now()}
	listen, err := freeAddress()
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	s.anna = newHome("anna", filepath.Join(dir, "a"), listen, opt)
	s.ben = newHome("ben", filepath.Join(dir, "b"), listen, opt)
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
		{"Two sessions in a host program", s.sessions},
	} {
		s.out.Section(act.title)
		if err := act.play(ctx); err != nil {
			s.out.Line("%s", s.out.Paint(term.Red, "✘ "+act.title))
			return fmt.Errorf("%s: %w", act.title, err)
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

// clean stops what was started and removes the folder, whatever happened before.
func (s *stage) clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanTime)
	defer cancel()
	return errors.Join(s.ben.end(ctx), s.anna.end(ctx), os.RemoveAll(s.dir))
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
	return mesh.Errorf(mesh.Internal, format, args...)
}
