package paths

import (
	"path/filepath"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// UserFolders are the home folder of the user and the one that the environment names for settings; that one is empty where
// none is named. System is as runtime.GOOS.
func UserFolders(system string, lookup func(name string) (string, bool)) (home, config string, err error) {
	home, ok := lookup(homeVariable(system))
	if !ok || home == "" {
		return "", "", mesh.Errorf(mesh.SettingsRefused, "find the home folder: %s is not set", homeVariable(system))
	}
	variable := "XDG_CONFIG_HOME"
	if system == "windows" {
		variable = "APPDATA"
	}
	if named, ok := lookup(variable); ok && filepath.IsAbs(named) {
		config = named
	}
	return home, config, nil
}

// UnitFile is where the service manager of a system (as runtime.GOOS) looks for the daemon's unit, and the home folder of
// the user (daemon 17). On Windows nobody looks for it: it is imported.
func UnitFile(system string, lookup func(name string) (string, bool)) (file, userHome string, err error) {
	home, config, err := UserFolders(system, lookup)
	if err != nil {
		return "", "", err
	}
	switch {
	case system == "darwin":
		return filepath.Join(home, "Library", "LaunchAgents", "com.claudemesh.daemon.plist"), home, nil
	case system == "windows":
		return filepath.Join(home, ".claudemesh", "claudemesh-daemon.xml"), home, nil
	case config == "":
		config = filepath.Join(home, ".config")
	}
	return filepath.Join(config, "systemd", "user", "claudemesh-daemon.service"), home, nil
}

func homeVariable(system string) string {
	if system == "windows" {
		return "USERPROFILE"
	}
	return "HOME"
}
