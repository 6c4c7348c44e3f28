// Package unit is the daemon as a service of the operating system's own manager: what is written where, and what the manager
// is told (daemon 17).
package unit

import (
	"bytes"
	"errors"
	"html"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Service is the daemon of one user.
type Service struct {
	System    string // as runtime.GOOS
	File      string // where the unit lies, as paths.UnitFile says
	Program   string // absolute path of this program
	Log       string // the daemon's log
	UserHome  string
	UserID    int               // of launchd's domain
	Variables map[string]string // folders that the environment moves
}

// names of the service.
const (
	systemdName = "claudemesh-daemon.service"
	launchdName = "com.claudemesh.daemon"
	taskName    = "claudemesh-daemon"
)

// Folders are the variables that move the folders of a daemon; those that are set belong into the unit.
var Folders = []string{paths.ConfigVariable, paths.DaemonVariable, paths.BrokerVariable}

// Arguments are those of the daemon. A service that is managed ends well where another start could not help.
var Arguments = []string{"daemon", "up", "--foreground", "--service-managed"}

// Text is the content of the unit; bad_request on a system without a manager that we know.
func (s Service) Text() (string, error) {
	switch s.System {
	case "linux":
		if strings.ContainsAny(s.Program, "\"'\\\n") {
			return "", mesh.Errorf(mesh.BadRequest, "systemd starts no program whose path has quotes or backslashes: %s", s.Program)
		}
		return s.systemd(), nil
	case "darwin":
		return s.launchd(), nil
	case "windows":
		return s.task(), nil
	}
	return "", mesh.Errorf(mesh.BadRequest, "there is no service manager that is known on %s", s.System)
}

// Probe is a command that changes nothing, and fails where no manager serves this user; nil where there always is one.
func (s Service) Probe() []string {
	switch s.System {
	case "linux":
		return []string{"systemctl", "--user", "show-environment"}
	case "darwin":
		return []string{"launchctl", "print", s.domain()}
	}
	return nil
}

// Start are the commands that make the manager read the unit and start the daemon, now and at each login.
func (s Service) Start() [][]string {
	switch s.System {
	case "linux":
		return [][]string{{"systemctl", "--user", "daemon-reload"}, {"systemctl", "--user", "enable", "--now", systemdName}}
	case "darwin":
		return [][]string{{"launchctl", "bootstrap", s.domain(), s.File}}
	}
	return [][]string{{"schtasks", "/Create", "/TN", taskName, "/XML", s.File, "/F"}, {"schtasks", "/Run", "/TN", taskName}}
}

// Again is the command that starts a daemon whose unit the manager knows.
func (s Service) Again() []string {
	switch s.System {
	case "linux":
		return []string{"systemctl", "--user", "start", systemdName}
	case "darwin":
		return []string{"launchctl", "kickstart", s.domain() + "/" + launchdName}
	}
	return []string{"schtasks", "/Run", "/TN", taskName}
}

// Remove are the commands that stop the daemon and make the manager forget it.
func (s Service) Remove() [][]string {
	switch s.System {
	case "linux":
		return [][]string{{"systemctl", "--user", "disable", "--now", systemdName}}
	case "darwin":
		return [][]string{{"launchctl", "bootout", s.domain() + "/" + launchdName}}
	}
	return [][]string{{"schtasks", "/End", "/TN", taskName}, {"schtasks", "/Delete", "/TN", taskName, "/F"}}
}

func (s Service) domain() string { return "gui/" + strconv.Itoa(s.UserID) }

// Write puts the unit in its place, which everybody may read: it holds no secret.
func (s Service) Write() error {
	text, err := s.Text()
	if err != nil {
		return err
	}
	return s.Put([]byte(text))
}

// Put writes a unit as it was once.
func (s Service) Put(text []byte) error {
	if err := os.MkdirAll(filepath.Dir(s.File), 0o755); err != nil {
		return mesh.Errorf(mesh.IOError, "make the folder of the unit: %w", err)
	}
	if err := paths.WriteSecret(s.File, text); err != nil {
		return err
	}
	if err := os.Chmod(s.File, 0o644); err != nil {
		return mesh.Errorf(mesh.IOError, "make the unit readable: %w", err)
	}
	return nil
}

// Installed reports whether the unit is there and has a daemon of the same folder, and whether it starts this program.
func (s Service) Installed() (there, same bool) {
	text, err := os.ReadFile(s.File)
	log, program := xmlText(s.Log), xmlText(s.Program)
	if s.System == "linux" {
		log, program = systemdText(s.Log), systemdWord(s.Program)
	}
	if err != nil || !bytes.Contains(text, []byte(log)) {
		return false, false
	}
	return true, bytes.Contains(text, []byte(program))
}

// Delete removes the unit; it reports whether there was one.
func (s Service) Delete() (bool, error) {
	err := os.Remove(s.File)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, mesh.Errorf(mesh.IOError, "remove the unit: %w", err)
}

// xmlText writes text as XML. Package encoding/xml would be linked, and begun by each verb, for this alone.
func xmlText(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' {
			return unicode.ReplacementChar // XML has no control characters
		}
		return r
	}, text)
	return html.EscapeString(clean)
}
