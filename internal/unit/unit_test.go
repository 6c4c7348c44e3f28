package unit

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

var update = flag.Bool("update", false, "write the golden files")

// odd is a service whose paths have every letter that one of the systems reads as something else.
func odd(system string) Service {
	return Service{
		System: system, Program: "/opt/50% $HOME/bin/claude<mesh>&", Log: "/home/an na/.claudemesh/daemon/100%.log", UserHome: "/home/an na", UserID: 501,
		Variables: map[string]string{paths.DaemonVariable: "/srv/a&b%c", paths.ConfigVariable: "/etc/x"},
	}
}

func TestCLILesson114TextsOfTheUnits(t *testing.T) {
	t.Parallel()
	for _, system := range []string{"linux", "darwin", "windows"} {
		got, err := odd(system).Text()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", system+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", system, diff)
		}
		if system == "linux" {
			continue
		}
		for d := xml.NewDecoder(strings.NewReader(got)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s is no XML: %v", system, err)
			}
		}
	}
	quoted := odd("linux")
	quoted.Program = `/opt/"x"`
	if _, err := quoted.Text(); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("got %v for a path that systemd refuses, want %s", err, mesh.BadRequest)
	}
	if _, err := odd("plan9").Text(); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("got %v for a system without a manager, want %s", err, mesh.BadRequest)
	}
}

// TestSystemdReadsIt has systemd itself read the unit.
func TestSystemdReadsIt(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze")
	}
	dir := t.TempDir()
	s := odd("linux")
	s.Program, s.File = filepath.Join(dir, "50% $HOME"), filepath.Join(dir, systemdName)
	if err := os.WriteFile(s.Program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(analyze, "verify", "--user", "--man=no", s.File)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "bus") || strings.Contains(string(out), "XDG_RUNTIME_DIR") {
		t.Skipf("systemd-analyze does not work here: %s", out)
	}
	if err != nil || strings.Contains(string(out), s.Program) {
		t.Errorf("systemd says %v:\n%s", err, out)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	type commands struct {
		Start  [][]string
		Again  []string
		Remove [][]string
	}
	want := map[string]commands{
		"linux": {
			[][]string{{"systemctl", "--user", "daemon-reload"}, {"systemctl", "--user", "enable", "--now", "claudemesh-daemon.service"}},
			[]string{"systemctl", "--user", "start", "claudemesh-daemon.service"},
			[][]string{{"systemctl", "--user", "disable", "--now", "claudemesh-daemon.service"}},
		},
		"darwin": {
			[][]string{{"launchctl", "bootstrap", "gui/501", "/unit"}}, []string{"launchctl", "kickstart", "gui/501/com.claudemesh.daemon"},
			[][]string{{"launchctl", "bootout", "gui/501/com.claudemesh.daemon"}},
		},
		"windows": {
			[][]string{{"schtasks", "/Create", "/TN", "claudemesh-daemon", "/XML", "/unit", "/F"}, {"schtasks", "/Run", "/TN", "claudemesh-daemon"}},
			[]string{"schtasks", "/Run", "/TN", "claudemesh-daemon"},
			[][]string{{"schtasks", "/End", "/TN", "claudemesh-daemon"}, {"schtasks", "/Delete", "/TN", "claudemesh-daemon", "/F"}},
		},
	}
	for system, want := range want {
		s := odd(system)
		s.File = "/unit"
		if diff := cmp.Diff(want, commands{s.Start(), s.Again(), s.Remove()}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", system, diff)
		}
	}
}

// TestInstalled: a unit counts for the daemon of its folder only.
func TestInstalled(t *testing.T) {
	t.Parallel()
	for _, system := range []string{"linux", "darwin", "windows"} {
		s := odd(system)
		s.File = filepath.Join(t.TempDir(), "units", "unit")
		want := func(there, same bool, what string, s Service) {
			t.Helper()
			if a, b := s.Installed(); a != there || b != same {
				t.Errorf("%s, %s: got %t, %t, want %t, %t", system, what, a, b, there, same)
			}
		}
		want(false, false, "nothing written", s)
		if err := s.Write(); err != nil {
			t.Fatal(err)
		}
		want(true, true, "written", s)
		other := s
		other.Program = "/elsewhere"
		want(true, false, "another program", other)
		other.Log = "/another/log"
		want(false, false, "another daemon", other)
		if info, err := os.Stat(s.File); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o644 {
			t.Errorf("%s: got %v, %v, want mode 644", system, info.Mode(), err)
		}
		for _, there := range []bool{true, false} {
			if got, err := s.Delete(); err != nil || got != there {
				t.Errorf("%s: got %t, %v from Delete, want %t", system, got, err, there)
			}
		}
	}
}
