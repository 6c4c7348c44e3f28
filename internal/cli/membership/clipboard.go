package membership

import (
	"context"
	"encoding/base64"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
)

// clipboardTime is how long a clipboard's program may take: one that waits for a screen that is gone must not hold us.
const clipboardTime = 2 * time.Second

// copyText puts text into the clipboard: by the system's program for it, else by asking the terminal (OSC 52), which
// says nothing about whether it did. It reports false when there is neither.
func copyText(ctx context.Context, a *shell.App, text string) bool {
	ctx, cancel := context.WithTimeout(ctx, clipboardTime)
	defer cancel()
	for _, argv := range clipboards(runtime.GOOS, a.Sys.Lookup) {
		path, err := exec.LookPath(argv[0])
		if err != nil {
			continue
		}
		cmd := exec.CommandContext(ctx, path, argv[1:]...)
		cmd.Stdin = strings.NewReader(text) // a list of processes shows arguments
		cmd.Env = a.Sys.Environ
		if cmd.Run() == nil {
			return true
		}
	}
	name, _ := a.Sys.Lookup("TERM")
	for _, s := range []term.Stream{a.Out, a.Err} {
		if s.TTY && name != "" && name != "dumb" && name != "linux" {
			_, err := io.WriteString(s, "\x1b]52;c;"+base64.StdEncoding.EncodeToString([]byte(text))+"\a")
			return err == nil
		}
	}
	return false
}

// clipboards lists the programs that may own a clipboard here, with their arguments. They read it from standard input.
func clipboards(system string, lookup func(string) (string, bool)) (argv [][]string) {
	switch system {
	case "darwin":
		return [][]string{{"pbcopy"}}
	case "windows":
		return [][]string{{"clip"}}
	}
	if _, ok := lookup("WAYLAND_DISPLAY"); ok {
		argv = append(argv, []string{"wl-copy"})
	}
	if _, ok := lookup("DISPLAY"); ok {
		argv = append(argv, []string{"xclip", "-selection", "clipboard"}, []string{"xsel", "--clipboard", "--input"})
	}
	return argv
}
