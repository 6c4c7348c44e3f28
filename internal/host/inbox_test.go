package host

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// inboxHost takes connections as a session does and hands on the lines of each.
func inboxHost(t *testing.T) (path string, conns <-chan []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	out := make(chan []string, 64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var lines []string
			for sc := bufio.NewScanner(c); sc.Scan(); {
				lines = append(lines, sc.Text())
			}
			out <- lines
			_ = c.Close()
		}
	}()
	return path, out
}

func TestPostWritesAuthAndOneLine(t *testing.T) {
	t.Parallel()
	path, conns := inboxHost(t)
	tests := []struct {
		priority mesh.Priority
		want     string
	}{{mesh.Now, "next"}, {mesh.Next, "next"}, {mesh.Low, "later"}}
	ids := map[string]bool{}
	for _, tt := range tests {
		in := Inbox{path, config.NewSecret("s3cret")}
		if err := in.Post(t.Context(), "a\n\"b\" <c>", tt.priority); err != nil {
			t.Fatal(err)
		}
		lines := <-conns
		if len(lines) != 2 || lines[0] != `{"type":"auth","token":"s3cret"}` {
			t.Fatalf("%s: got lines %q, want auth and one message", tt.priority, lines)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(lines[1]), &got); err != nil {
			t.Fatal(err)
		}
		id, _ := got["msg_id"].(string)
		if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) || ids[id] {
			t.Errorf("msg_id %q is no new UUID of version 4", id)
		}
		ids[id] = true
		want := map[string]any{
			"type": "user", "msgV": 1.0, "msg_id": id, "priority": tt.want,
			"message": map[string]any{"role": "user", "content": "a\n\"b\" <c>"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: line differs (-want +got):\n%s", tt.priority, diff)
		}
	}
}

func TestPostKeepsOrder(t *testing.T) {
	t.Parallel()
	path, conns := inboxHost(t)
	for i := range 30 {
		if err := (Inbox{Path: path}).Post(t.Context(), fmt.Sprint("m", i), mesh.Next); err != nil {
			t.Fatal(err)
		}
		lines := <-conns // handed on before the connection is closed, so before Post returned
		if len(lines) != 1 || !strings.Contains(lines[0], fmt.Sprintf(`"m%d"`, i)) {
			t.Fatalf("connection %d: got %q", i, lines)
		}
	}
}

func TestPostSaysWhenNothingWasWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"missing": filepath.Join(dir, "none"), "no socket": file} {
		err := Inbox{path, config.NewSecret("s3cret")}.Post(t.Context(), "x", mesh.Next)
		if !mesh.IsCode(err, mesh.DaemonDown) {
			t.Errorf("%s: got %v, want daemon_down", name, err)
		}
		if strings.Contains(fmt.Sprint(err), "s3cret") {
			t.Errorf("%s: the error shows the token", name)
		}
	}
	if data, _ := os.ReadFile(file); len(data) != 0 {
		t.Errorf("a file that is no socket was written: %q", data)
	}
}

func TestPostEndsWithItsContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.ReadFull(c, make([]byte, 1)) // the write has begun; nothing more is read
		cancel()
		<-t.Context().Done()
		_ = c.Close()
	}()
	err = Inbox{Path: path}.Post(ctx, strings.Repeat("x", 8<<20), mesh.Next)
	if !mesh.IsCode(err, mesh.IOError) || ctx.Err() == nil {
		t.Errorf("got %v, want io_error after the context ended", err)
	}
}
