package paths

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Config is the folder that both systems share, with our keys and settings (design A5).
type Config struct{ Dir string }

// File is config.json: the joined meshes. Only the daemon writes it on our side.
func (c Config) File() string { return filepath.Join(c.Dir, "config.json") }

// Lock is locked around each read-modify-write of config.json.
func (c Config) Lock() string { return filepath.Join(c.Dir, "config.json.lock") }

// UpLock is held while `up` or `down` works, so that two at once make one mesh and one broker.
func (c Config) UpLock() string { return filepath.Join(c.Dir, ".up.lock") }

// Settings is settings.json: what a user sets for daemon and CLI.
func (c Config) Settings() string { return filepath.Join(c.Dir, "settings.json") }

// policy is policy.yaml: what verbs may do (cli 10).
func (c Config) policy() string { return filepath.Join(c.Dir, "policy.yaml") }

// Audit is the log of what was asked, refused and approved (cli 10.5). Older parts of it have a number behind the name.
func (c Config) Audit() string { return filepath.Join(c.Dir, "audit.log") }

// LastUsed is what was launched last; presets for the next time.
func (c Config) LastUsed() string { return filepath.Join(c.Dir, "last-used.json") }

// Grants is where the TypeScript client notes whom its user blocks, and whom it grants more. We only read it.
func (c Config) Grants() string { return filepath.Join(c.Dir, "grants.json") }

// Keys is the folder of owner keys; it holds one folder of session keys per mesh.
func (c Config) Keys() string { return filepath.Join(c.Dir, "keys") }

// OwnerKey is the file of the key that owns a mesh made on this device. An id that could leave the folder
// is bad_request: ids come from brokers.
func (c Config) OwnerKey(meshID mesh.ID) (string, error) {
	if err := checkName("mesh id", string(meshID)); err != nil {
		return "", err
	}
	return filepath.Join(c.Keys(), string(meshID)+".owner.json"), nil
}

// SessionKeys is the folder of the session keys of one mesh. It refuses ids as OwnerKey does.
func (c Config) SessionKeys(meshID mesh.ID) (string, error) {
	if err := checkName("mesh id", string(meshID)); err != nil {
		return "", err
	}
	return filepath.Join(c.Keys(), string(meshID)), nil
}

// SessionKey is the key file of one host session in one mesh (design A5). It refuses ids as OwnerKey does.
func (c Config) SessionKey(meshID mesh.ID, sessionID string) (string, error) {
	dir, err := c.SessionKeys(meshID)
	if err != nil {
		return "", err
	}
	if err := checkName("session id", sessionID); err != nil {
		return "", err
	}
	return filepath.Join(dir, sessionID+".json"), nil
}

// maxNameBytes is far above the 36 of a UUID and keeps every file name below the 255 of file systems.
const maxNameBytes = 128

// checkName admits what may be a file name on every system: letters, digits, - and _.
func checkName(what, name string) error {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
	if name == "" || len(name) > maxNameBytes || strings.Trim(name, letters) != "" {
		return mesh.Errorf(mesh.BadRequest, "%s %q is not 1 to %d letters, digits, - or _", what, name, maxNameBytes)
	}
	return nil
}

// Daemon is the daemon's folder (daemon 2.1).
type Daemon struct{ Dir string }

// Socket is the IPC socket. Before listening or dialling, ask CheckSocket.
func (d Daemon) Socket() string { return filepath.Join(d.Dir, "daemon.sock") }

// Lock is held for the daemon's life: who holds it is the daemon.
func (d Daemon) Lock() string { return filepath.Join(d.Dir, "daemon.lock") }

// PID holds the daemon's process id, as information only.
func (d Daemon) PID() string { return filepath.Join(d.Dir, "daemon.pid") }

// HostFingerprint says on which machine the folder was made (daemon 2.4).
func (d Daemon) HostFingerprint() string { return filepath.Join(d.Dir, "host_fingerprint.json") }

// Version holds the version of the daemon that runs, or ran last, as a hint only.
func (d Daemon) Version() string { return filepath.Join(d.Dir, "daemon.version") }

// Log is the daemon's log, JSON lines.
func (d Daemon) Log() string { return filepath.Join(d.Dir, "daemon.log") }

// Outbox is the database of what this user wants to send.
func (d Daemon) Outbox() string { return filepath.Join(d.Dir, "outbox.db") }

// Inbox is the database of what came.
func (d Daemon) Inbox() string { return filepath.Join(d.Dir, "inbox.db") }

// DB is the database of everything else: pins, peers, sessions.
func (d Daemon) DB() string { return filepath.Join(d.Dir, "daemon.db") }

// Token is the bearer token of the TCP listener.
func (d Daemon) Token() string { return filepath.Join(d.Dir, "local-token") }

// SpawnLock is held by the verb that is starting the daemon.
func (d Daemon) SpawnLock() string { return filepath.Join(d.Dir, ".spawn.lock") }

// SpawnFailure marks a start that failed; only its time of change counts (daemon 16.2).
func (d Daemon) SpawnFailure() string { return filepath.Join(d.Dir, ".spawn-failure") }

// VersionCheck marks when a verb last compared its version with the daemon's; it holds the verb's.
func (d Daemon) VersionCheck() string { return filepath.Join(d.Dir, ".version-check") }

// Upgrade holds the newest release that somebody asked for, and when.
func (d Daemon) Upgrade() string { return filepath.Join(d.Dir, "upgrade.json") }

// MCPLog is the log of the MCP servers, which have no other place: their streams belong to the host.
func (d Daemon) MCPLog() string { return filepath.Join(d.Dir, "mcp.log") }

// Sessions is the folder of session tokens.
func (d Daemon) Sessions() string { return filepath.Join(d.Dir, "sessions") }

// SessionToken is the token file by which a verb run inside a host session speaks as it (design C6). Where a conversation goes
// on in several processes it holds the tokens of all, with commas between them. The id is hashed, so any text may be given.
func (d Daemon) SessionToken(sessionID string) string {
	sum := sha256.Sum256([]byte(sessionID))
	return filepath.Join(d.Sessions(), hex.EncodeToString(sum[:])+".token")
}

// SessionLock is held by the MCP server that shows a session in a process its messages: there may be several, one of them does.
func (d Daemon) SessionLock(sessionID string, pid int) string {
	return strings.TrimSuffix(d.SessionToken(sessionID), ".token") + "." + strconv.Itoa(pid) + ".lock"
}

// SessionProcess is the mark of the process that a session runs in (package host).
func (d Daemon) SessionProcess(sessionID string) string {
	return strings.TrimSuffix(d.SessionToken(sessionID), ".token") + ".process"
}

// Broker is the data folder of a broker.
type Broker struct{ Dir string }

// DB is the broker's database.
func (b Broker) DB() string { return filepath.Join(b.Dir, "broker.db") }

// Lock is held for the broker's life.
func (b Broker) Lock() string { return filepath.Join(b.Dir, "broker.lock") }

// PID holds the broker's process id, as information only.
func (b Broker) PID() string { return filepath.Join(b.Dir, "broker.pid") }

// Log is the broker's log, written only when it was started detached.
func (b Broker) Log() string { return filepath.Join(b.Dir, "broker.log") }

// CreateToken allows who presents it to create meshes (design C1).
func (b Broker) CreateToken() string { return filepath.Join(b.Dir, "create-token") }

// TLSCert is the certificate that a broker made itself, instead of an authority.
func (b Broker) TLSCert() string { return filepath.Join(b.Dir, "tls-cert.pem") }

// TLSKey goes with TLSCert.
func (b Broker) TLSKey() string { return filepath.Join(b.Dir, "tls-key.pem") }

// StartedByUp holds the process id of the broker that `up` started, so that `down` stops no other.
func (b Broker) StartedByUp() string { return filepath.Join(b.Dir, ".started-by-up") }

// Settings is broker.json.
func (b Broker) Settings() string { return filepath.Join(b.Dir, "broker.json") }

// CheckSocket refuses a socket path that is too long for this system, which would otherwise fail with
// "invalid argument" (daemon 2.1).
func CheckSocket(path string) error { return checkSocket(path, socketLimit(runtime.GOOS)) }

// socketLimit is how many bytes the path of a socket may have: the size of sun_path less its final zero.
func socketLimit(goos string) int {
	switch goos {
	case "linux", "windows":
		return 108 - 1
	}
	return 104 - 1
}

func checkSocket(path string, limitBytes int) error {
	if len(path) <= limitBytes {
		return nil
	}
	return mesh.Errorf(mesh.SettingsRefused,
		"socket path %s has %d bytes, this system allows %d: set %s to a shorter folder", path, len(path), limitBytes, DaemonVariable)
}
