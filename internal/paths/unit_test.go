package paths

import (
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestUnitFile(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		system, want string
		env          []string
	}{
		{"linux", "/home/ann/.config/systemd/user/claudemesh-daemon.service", []string{"HOME", "/home/ann"}},
		{"linux", "/etc/ann/systemd/user/claudemesh-daemon.service", []string{"HOME", "/home/ann", "XDG_CONFIG_HOME", "/etc/ann"}},
		{"linux", "/home/ann/.config/systemd/user/claudemesh-daemon.service", []string{"HOME", "/home/ann", "XDG_CONFIG_HOME", "relative"}},
		{"darwin", "/home/ann/Library/LaunchAgents/com.claudemesh.daemon.plist", []string{"HOME", "/home/ann"}},
		{"windows", "/home/ann/.claudemesh/claudemesh-daemon.xml", []string{"USERPROFILE", "/home/ann"}},
	} {
		if file, home, err := UnitFile(tc.system, lookup(tc.env...)); err != nil || file != tc.want || home != "/home/ann" {
			t.Errorf("%s: got %s, %s, %v, want %s", tc.system, file, home, err, tc.want)
		}
	}
	if _, _, err := UnitFile("linux", lookup("USERPROFILE", "/x")); !mesh.IsCode(err, mesh.SettingsRefused) {
		t.Errorf("got %v without a home folder, want %s", err, mesh.SettingsRefused)
	}
}
