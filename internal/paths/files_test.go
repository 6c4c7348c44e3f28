package paths

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	h := At("/r")
	owner, err := h.Config.OwnerKey("Mesh1")
	if err != nil {
		t.Fatal(err)
	}
	session, err := h.Config.SessionKey("Mesh1", "0b9c-4d")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ got, want string }{
		{h.Config.File(), "config.json"},
		{h.Config.Lock(), "config.json.lock"},
		{h.Config.UpLock(), ".up.lock"},
		{h.Config.Settings(), "settings.json"},
		{owner, "keys/Mesh1.owner.json"},
		{session, "keys/Mesh1/0b9c-4d.json"},
		{h.Daemon.Socket(), "daemon/daemon.sock"},
		{h.Daemon.Lock(), "daemon/daemon.lock"},
		{h.Daemon.PID(), "daemon/daemon.pid"},
		{h.Daemon.Version(), "daemon/daemon.version"},
		{h.Daemon.Log(), "daemon/daemon.log"},
		{h.Daemon.Outbox(), "daemon/outbox.db"},
		{h.Daemon.Inbox(), "daemon/inbox.db"},
		{h.Daemon.DB(), "daemon/daemon.db"},
		{h.Daemon.Token(), "daemon/local-token"},
		{h.Daemon.SpawnLock(), "daemon/.spawn.lock"},
		{h.Daemon.SpawnFailure(), "daemon/.spawn-failure"},
		{h.Daemon.VersionCheck(), "daemon/.version-check"},
		{h.Daemon.MCPLog(), "daemon/mcp.log"},
		// printf %s abc | sha256sum
		{h.Daemon.SessionToken("abc"), "daemon/sessions/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.token"},
		{h.Broker.DB(), "broker/broker.db"},
		{h.Broker.Lock(), "broker/broker.lock"},
		{h.Broker.PID(), "broker/broker.pid"},
		{h.Broker.Log(), "broker/broker.log"},
		{h.Broker.CreateToken(), "broker/create-token"},
		{h.Broker.StartedByUp(), "broker/.started-by-up"},
		{h.Broker.Settings(), "broker/broker.json"},
	}
	for _, tc := range tests {
		if want := filepath.Join("/r", tc.want); tc.got != want {
			t.Errorf("got %s, want %s", tc.got, want)
		}
	}
}

// TestThreat23KeyFilesStayInTheirFolder gives ids that a hostile broker or caller could send.
func TestThreat23KeyFilesStayInTheirFolder(t *testing.T) {
	t.Parallel()
	config := At(t.TempDir()).Config
	for _, bad := range []string{"", ".", "..", "../x", "a/b", `a\b`, "a.owner", "a\x00", "é", strings.Repeat("a", maxNameBytes+1)} {
		if got, err := config.OwnerKey(mesh.ID(bad)); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("owner key of %q: got %q, %v, want bad_request", bad, got, err)
		}
		if got, err := config.SessionKey(mesh.ID(bad), "s"); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("session key in %q: got %q, %v, want bad_request", bad, got, err)
		}
		if got, err := config.SessionKey("m", bad); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("session key of %q: got %q, %v, want bad_request", bad, got, err)
		}
	}
}

func TestCheckSocket(t *testing.T) {
	t.Parallel()
	for goos, limitBytes := range map[string]int{"linux": 107, "darwin": 103, "freebsd": 103} {
		if got := socketLimit(goos); got != limitBytes {
			t.Errorf("%s: got a limit of %d bytes, want %d", goos, got, limitBytes)
		}
		if err := checkSocket(strings.Repeat("s", limitBytes), limitBytes); err != nil {
			t.Errorf("%s: got %v at the limit, want it admitted", goos, err)
		}
		err := checkSocket(strings.Repeat("s", limitBytes+1), limitBytes)
		if !mesh.IsCode(err, mesh.SettingsRefused) || !strings.Contains(err.Error(), DaemonVariable) {
			t.Errorf("%s: got %v beyond the limit, want settings_refused with the way out", goos, err)
		}
	}
}

// TestSocketLimitIsTheSystems listens at the limit and one byte beyond it.
func TestSocketLimitIsTheSystems(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "s") // t.TempDir holds the test's name, too long here
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a leftover in the temporary folder harms nobody
	limitBytes := socketLimit(runtime.GOOS)
	fits := filepath.Join(dir, strings.Repeat("s", limitBytes-len(dir)-1))
	for path, want := range map[string]bool{fits: true, fits + "s": false} {
		listener, err := net.Listen("unix", path)
		if err == nil {
			defer listener.Close()
		}
		if (err == nil) != want || (CheckSocket(path) == nil) != want {
			t.Errorf("%d bytes: got %v from the system and %v from CheckSocket, want both to admit it: %t", len(path), err, CheckSocket(path), want)
		}
	}
}
