//go:build unix

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mcp"
)

// cycle is the life of one MCP server: it is greeted, registers its session, answers a call, and ends with its input.
func cycle(ctx context.Context, opt mcp.Options) error {
	in, tell := io.Pipe()
	hear, out := io.Pipe()
	opt.Stdin, opt.Stdout = in, out
	ended := make(chan error, 1)
	go func() {
		ended <- mcp.Run(ctx, opt)
		_ = out.Close() // a pipe's end does not fail
	}()
	go func() {
		_, _ = io.WriteString(tell, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"desktop","version":"1"}}}`+"\n"+
			`{"jsonrpc":"2.0","method":"notifications/initialized"}`+"\n"+
			`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_peers","arguments":{}}}`+"\n") // what is not taken is not answered
	}()
	lines := bufio.NewScanner(hear)
	lines.Buffer(nil, 1<<20)
	answered := false
	for !answered && lines.Scan() {
		answered = strings.Contains(lines.Text(), `"id":2,`)
	}
	_ = tell.Close() // a pipe's end does not fail
	_, _ = io.Copy(io.Discard, hear)
	if err := <-ended; err != nil || !answered {
		return fmt.Errorf("answered %v, ended with %w", answered, err)
	}
	return nil
}

// A thousand MCP servers that start and end leave no session, connection or file behind.
func TestAThousandServersLeaveNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.home("anna")
	h.must("daemon", "up")
	opt := mcp.Options{
		Daemon: h.paths.Daemon, Env: config.Env{NoAutospawn: true}, WorkDir: h.dir, Executable: program, Tools: true, Now: time.Now,
	}
	files := func() (names []string) {
		err := filepath.WalkDir(h.paths.Daemon.Dir, func(path string, d os.DirEntry, err error) error {
			if !d.IsDir() {
				names = append(names, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(names, func(name string) bool { return strings.Contains(filepath.Base(name), ".log") }) // one log for all
	}
	before := files()
	var all errgroup.Group
	all.SetLimit(16)
	for range 1000 {
		all.Go(func() error { return cycle(t.Context(), opt) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	client := local.New(h.paths.Daemon.Socket(), time.Now)
	defer func() { _ = client.Close() }() // its answers have been read
	h.eventually("no session is left", func() bool {
		answer, err := localapi.Sessions.Do(t.Context(), client, localapi.None{})
		return err == nil && len(answer.Sessions) == 0
	})
	h.eventually("no file is left", func() bool { return len(files()) <= len(before) })
	if health, err := localapi.Health.Do(t.Context(), client, localapi.None{}); err != nil {
		t.Error(err)
	} else if open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", health.PID)); err == nil { // on Linux
		h.eventually("no connection is left", func() bool {
			open, err = os.ReadDir(fmt.Sprintf("/proc/%d/fd", health.PID))
			return err == nil && len(open) < 60
		})
	}
}
