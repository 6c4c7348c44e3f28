package paths

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// lookup makes an environment of name, value, name, value.
func lookup(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func TestLesson121Find(t *testing.T) {
	t.Parallel()
	user, other := t.TempDir(), t.TempDir()
	home := []string{"HOME", user, "USERPROFILE", user}
	root := filepath.Join(user, ".claudemesh")
	gone := filepath.Join(other, "gone")
	file := filepath.Join(other, "file")
	if err := os.WriteFile(file, nil, FileMode); err != nil {
		t.Fatal(err)
	}
	standard := At(root)
	noticed := func(dir string) Home {
		h := standard
		h.Notice = Warning("CLAUDEMESH_CONFIG_DIR names " + dir + ", which is not a folder; using " + root)
		return h
	}
	tests := []struct {
		name string
		env  []string
		want Home
	}{
		{"nothing set", home, standard},
		{"empty counts as unset", append(home, ConfigVariable, "", DaemonVariable, "", BrokerVariable, ""), standard},
		{"config moves alone", append(home, ConfigVariable, other), Home{Config{other}, standard.Daemon, standard.Broker, standard.Root, ""}},
		{"config is gone", append(home, ConfigVariable, gone), noticed(gone)},
		{"config is a file", append(home, ConfigVariable, file), noticed(file)},
		{"daemon moves, made later", append(home, DaemonVariable, gone), Home{standard.Config, Daemon{gone}, standard.Broker, standard.Root, ""}},
		{"broker moves, made later", append(home, BrokerVariable, gone), Home{standard.Config, standard.Daemon, Broker{gone}, standard.Root, ""}},
		{"all moved, no home folder", []string{ConfigVariable, other, DaemonVariable, other, BrokerVariable, other}, Home{Config{other}, Daemon{other}, Broker{other}, "", ""}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := Find(lookup(tc.env...))
			if err != nil {
				t.Fatalf("got error %v, want a home", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Find (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("got %v for %s, want Find to have made nothing", err, root)
	}
}

func TestFindNeedsHome(t *testing.T) {
	t.Parallel()
	for _, env := range [][]string{nil, {"HOME", "", "USERPROFILE", ""}, {ConfigVariable, t.TempDir()}} {
		_, err := Find(lookup(env...))
		if !mesh.IsCode(err, mesh.SettingsRefused) || !strings.Contains(err.Error(), "is not set") {
			t.Errorf("with %q got %v, want settings_refused that names the variable", env, err)
		}
	}
}

func TestFindMakesPathsAbsolute(t *testing.T) {
	t.Parallel()
	home, err := Find(lookup("HOME", "h", "USERPROFILE", "h", ConfigVariable, ".", DaemonVariable, "d"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{home.Config.Dir, home.Daemon.Dir, home.Broker.Dir} {
		if !filepath.IsAbs(dir) {
			t.Errorf("got %q, want an absolute path", dir)
		}
	}
}
