package setup_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/cli"
	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestURLHandler(t *testing.T) {
	t.Parallel()
	const link = "claudemesh://mesh.example.com/i/7dQm4xZt9BcA#q0Zr2v8mT5Wc1yN4kLxU3g"
	clitest.Verbs(t, cli.Run, "url", []clitest.Line{
		{Args: "url-handler open " + link},
		{Args: "url-handler open --yes " + link},
		{Args: "url-handler open --yes --json " + link},
		{Args: "url-handler open --yes claudemesh://mesh.example.com/i/$(reboot)"},
		{Args: "url-handler open --yes " + link, Given: clitest.Inside(t)},
		{Args: "url-handler open -- " + link + " --yes"}, // as a link with quotes may arrive
		{Args: "url-handler install", Given: clitest.Inside(t)},
		{Args: "url-handler uninstall", Given: clitest.Inside(t)},
	})
	if runtime.GOOS != "linux" {
		t.Skip("the rest is about the desktop of Linux")
	}
	w := clitest.WithDaemon(t, cli.Run)
	entry := filepath.Join(w.Root, ".local", "share", "applications", "claudemesh.desktop")
	for _, step := range []struct {
		args, says   string
		unmanageable bool
		there        bool
	}{
		{"url-handler uninstall", "are not given", false, false},
		{"url-handler install", "are given to this program (" + entry + ")", false, true},
		{"url-handler install", "may not know it before you log in again", true, true},
		{"url-handler remove", "no longer given", false, false},
	} {
		w.Unmanageable = step.unmanageable
		r := w.Run(strings.Fields(step.args)...)
		_, err := os.Stat(entry)
		if r.Exit != mesh.ExitOK || !strings.Contains(r.Out+r.Err, step.says) || (err == nil) != step.there {
			t.Errorf("%s: got exit %d, %q and the entry %v, want %q", step.args, r.Exit, r.Out+r.Err, err == nil, step.says)
		}
	}
}
