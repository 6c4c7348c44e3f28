package paths

import (
	"path/filepath"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// UnitFile is where the service manager of a system (as runtime.GOOS) looks for the daemon's unit, and the home folder of
// the user (daemon 17). On Windows nobody looks for it: it is imported.
func UnitFile(system string, lookup func(name string) (string, bool)) (file, userHome string, err error) {
	home, ok := lookup(homeVariable(system))
	if !ok || home == "" {
		return "", "", mesh.Errorf(mesh.SettingsRefused, "find the home folder: %s is not set", homeVariable(system))
	}
	config := filepath.Join(home, ".config")
	if named, ok := lookup("XDG_CONFIG_HOME"); ok && filepath.IsAbs(named) {
		config = named
	}
	switch system {
	case "darwin":
		return filepath.Join(home, "Library", "LaunchAgents", "com.claudemesh.daemon.plist"), home, nil
	case "windows":
		return filepath.Join(home, ".claudemesh", "claudemesh-daemon.xml"), home, nil
	}
	return filepath.Join(config, "systemd", "user", "claudemesh-daemon.service"), home, nil
}

func homeVariable(system string) string {
	if system == "windows" {
		return "USERPROFILE"
	}
	return "HOME"
}
