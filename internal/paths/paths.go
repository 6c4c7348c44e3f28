// Package paths says where the files of one user lie, and reads and writes those that hold secrets.
//
// Three folders, each movable by one variable: what both systems share and the keys (~/.claudemesh), the
// daemon's (~/.claudemesh/daemon) and the local broker's (~/.claudemesh/broker). The daemon's never follows
// the first: launchers point CLAUDEMESH_CONFIG_DIR at a throw-away folder, and a socket below it would
// never be found again (daemon 2.1).
package paths

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// The variables that move the folders. An empty value counts as unset.
const (
	ConfigVariable = "CLAUDEMESH_CONFIG_DIR"
	DaemonVariable = "CLAUDEMESH_DAEMON_DIR"
	BrokerVariable = "CLAUDEMESH_BROKER_DIR"
)

// Warning is a sentence for people about something that works but should be mended; empty means none.
type Warning string

// Home is where the files of one user lie. Finding it touches nothing but the folder that
// CLAUDEMESH_CONFIG_DIR names; no folder is created.
type Home struct {
	Config Config
	Daemon Daemon
	Broker Broker
	Root   string // ~/.claudemesh itself, wherever variables move the folders; empty where the user has no home

	// Notice is set when CLAUDEMESH_CONFIG_DIR names a folder that does not exist, and was passed over
	// (cli 5). Print it on a terminal only.
	Notice Warning
}

// Find reads the environment through lookup (os.LookupEnv, or a test's own) and returns absolute paths.
// It fails only when the user has no home folder and a folder depends on it.
func Find(lookup func(name string) (string, bool)) (Home, error) {
	env := environment(lookup)
	config, notice, err := env.config()
	if err != nil {
		return Home{}, err
	}
	daemon, err := env.folder(DaemonVariable, "daemon")
	if err != nil {
		return Home{}, err
	}
	broker, err := env.folder(BrokerVariable, "broker")
	if err != nil {
		return Home{}, err
	}
	root, _ := env.root() // without one, variables named all three
	return Home{Config: Config{config}, Daemon: Daemon{daemon}, Broker: Broker{broker}, Root: root, Notice: notice}, nil
}

// At returns the home whose folders lie below root as they do below ~/.claudemesh.
func At(root string) Home {
	return Home{
		Root:   root,
		Config: Config{root},
		Daemon: Daemon{filepath.Join(root, "daemon")},
		Broker: Broker{filepath.Join(root, "broker")},
	}
}

// Policies are the files that say what verbs may do: the user's, and one in the folder that a variable puts in its place,
// which does not make the first one void (design E4).
func (h Home) Policies() []string {
	if h.Root == "" || h.Root == h.Config.Dir {
		return []string{h.Config.policy()}
	}
	return []string{Config{h.Root}.policy(), h.Config.policy()}
}

// AdminPolicy is the file by which the administrator of this machine says what nobody's verbs may do (cli 10.4).
func AdminPolicy(goos string) string {
	if goos == "windows" {
		return `C:\ProgramData\claudemesh\admin-policy.yaml` // a variable could name another folder
	}
	return "/etc/claudemesh/admin-policy.yaml"
}

// Install is the folder of what install remembers of the files of other programs.
type Install struct{ Dir string }

// Install is where this home remembers what it wrote into the files of other programs.
func (c Config) Install() Install { return Install{filepath.Join(c.Dir, "install")} }

// File names the files that were written.
func (i Install) File() string { return filepath.Join(i.Dir, "files.json") }

// Lock is held while files of other programs are changed.
func (i Install) Lock() string { return filepath.Join(i.Dir, ".lock") }

// Backup is what a file was before, by its path, which may be any text.
func (i Install) Backup(path string) string {
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(i.Dir, hex.EncodeToString(sum[:8])+"-"+strings.TrimPrefix(filepath.Base(path), "."))
}

// environment reads one variable.
type environment func(name string) (string, bool)

// config is the folder of config.json; a folder that was removed since it was named is passed over.
func (e environment) config() (string, Warning, error) {
	named, ok := e(ConfigVariable)
	if !ok || named == "" {
		dir, err := e.root()
		return dir, "", err
	}
	if info, err := os.Stat(named); err == nil && info.IsDir() {
		dir, err := absolute(named)
		return dir, "", err
	}
	dir, err := e.root()
	return dir, Warning(ConfigVariable + " names " + named + ", which is not a folder; using " + dir), err
}

// folder is what variable names, else the folder called name below the user's.
func (e environment) folder(variable, name string) (string, error) {
	if named, ok := e(variable); ok && named != "" {
		return absolute(named)
	}
	root, err := e.root()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, name), nil
}

// root is the folder that holds everything unless a variable says otherwise.
func (e environment) root() (string, error) {
	variable := homeVariable(runtime.GOOS)
	home, ok := e(variable)
	if !ok || home == "" {
		return "", mesh.Errorf(mesh.SettingsRefused, "find the home folder: %s is not set", variable)
	}
	return absolute(filepath.Join(home, ".claudemesh"))
}

func absolute(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", mesh.Errorf(mesh.IOError, "make %s absolute: %w", path, err)
	}
	return abs, nil
}
