//go:build unix

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// buildVersion builds the program as a version.
func buildVersion(t *testing.T, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "claudemesh")
	cmd := exec.Command("go", "build", "-o", path, "-ldflags", "-X github.com/claudemesh/claudemesh/internal/buildinfo.version="+version, "./cmd/claudemesh")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", version, err, out)
	}
	return path
}

// A daemon older than the verbs that find it is replaced, once, and no message is lost: not those that wait for a broker,
// and not those that are sent at that moment. A newer daemon stays.
func TestLessonUpgradeReplacesTheOldDaemon(t *testing.T) {
	t.Parallel()
	older, newer := buildVersion(t, "v0.9.0"), buildVersion(t, "v0.10.0")
	w := newWorld(t)
	anna, ben := w.pair()
	anna.must("daemon", "down")
	anna.build = older
	anna.must("daemon", "up")
	var want []string
	send := func(text string) {
		anna.must("send", ben.address(), text)
		want = append(want, text)
	}
	anna.eventually("ben is found", func() bool { return strings.Contains(anna.must("peers"), ben.address()) })
	send("at first")
	anna.broker().kill(t)
	for i := range 5 {
		send(fmt.Sprint("before ", i))
	}

	anna.build = newer
	old := anna.daemon().pid()
	replaced := make(chan string, 20)
	var verbs sync.WaitGroup
	for i := range 20 {
		want = append(want, fmt.Sprint("during ", i))
		verbs.Go(func() {
			r := anna.run("send", ben.address(), fmt.Sprint("during ", i))
			if r.exit != mesh.ExitOK {
				t.Errorf("exit status %d\n%s%s", r.exit, r.out, r.err)
			}
			if strings.Contains(r.err, "info daemon of version v0.9.0 replaced by v0.10.0") {
				replaced <- r.err
			}
		})
	}
	verbs.Wait()
	if len(replaced) != 1 {
		t.Errorf("%d verbs replaced the daemon, want 1", len(replaced))
	}
	pid := anna.daemon().pid()
	if pid == old {
		t.Errorf("the old daemon still runs")
	}
	if out := anna.must("daemon", "version"); !strings.Contains(out, "v0.10.0") {
		t.Errorf("got %s", out)
	}

	anna.build = older
	send("after")
	if anna.daemon().pid() != pid {
		t.Errorf("a newer daemon was replaced by an older one")
	}
	anna.build = ""
	anna.must("up")
	ben.eventually("all has come", func() bool { return len(ben.inbox()) >= len(want) })
	if diff := cmp.Diff(sorted(want), sorted(ben.texts())); diff != "" {
		t.Errorf("messages (-sent +came):\n%s", diff)
	}
}

func sorted(texts []string) []string { return slices.Sorted(slices.Values(texts)) }
