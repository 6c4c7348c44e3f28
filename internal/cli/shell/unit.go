package shell

import (
	"context"
	"os"
	"path/filepath"
	"runtime"

	"github.com/claudemesh/claudemesh/internal/install"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/unit"
)

// Unit is this user's daemon as a service of the system's manager, whether it is installed or not.
func Unit(a *App) (unit.Service, error) {
	file, userHome, err := paths.UnitFile(runtime.GOOS, a.Sys.Lookup)
	if err != nil {
		return unit.Service{}, err
	}
	s := unit.Service{
		System: runtime.GOOS, File: file, Program: Program(a), Log: a.Home.Daemon.Log(), UserHome: userHome, UserID: os.Getuid(),
		Variables: map[string]string{},
	}
	for _, name := range unit.Folders {
		value, _ := a.Sys.Lookup(name)
		if abs, err := filepath.Abs(value); value != "" && err == nil { // it fails without a working folder, where nothing relative can be meant
			s.Variables[name] = abs
		}
	}
	return s, nil
}

// Program is what others are told to start: this program by the name by which PATH finds it, rather than the file behind that.
// Package managers keep the name over upgrades, and put each version into a folder of its own.
func Program(a *App) string {
	if name, ok := OnPath(a); ok {
		return name
	}
	return a.Sys.Executable
}

// OnPath gives the absolute name by which PATH finds this program; not ok is for one that is not found, or another one first.
func OnPath(a *App) (name string, ok bool) {
	search, _ := a.Sys.Lookup("PATH")
	for _, dir := range filepath.SplitList(search) {
		name := filepath.Join(dir, filepath.Base(a.Sys.Executable))
		found, err := os.Stat(name)
		if err != nil || found.IsDir() || !filepath.IsAbs(name) {
			continue
		}
		this, err := os.Stat(a.Sys.Executable)
		return name, err == nil && os.SameFile(found, this)
	}
	return "", false
}

// UnitState reports whether the system's service manager starts this user's daemon, and whether that is this program.
func UnitState(a *App) (there, same bool) {
	s, err := Unit(a)
	if err != nil || a.Sys.Services.Manage == nil {
		return false, false
	}
	return s.Installed()
}

// HasUnit reports whether the system's service manager starts this user's daemon.
func HasUnit(a *App) bool {
	there, _ := UnitState(a)
	return there
}

// startUnit asks the manager to start the daemon, if it has a unit of it.
func startUnit(ctx context.Context, a *App) (bool, error) {
	s, err := Unit(a)
	if err != nil || a.Sys.Services.Manage == nil {
		return false, nil
	}
	if there, _ := s.Installed(); !there {
		return false, nil
	}
	return true, a.Sys.Services.Manage(ctx, s.Again(), a.Sys.Environ)
}

// UnitChange is what became of the daemon's service, or would become of it.
type UnitChange struct {
	Action  install.Action // or one of those below
	Path    string         // of the unit
	Reason  string         // why it is unavailable
	Waiting []string       // meshes whose broker was not reached yet
}

// Actions of a service alone: there is no manager that could start it, and it could not be done.
const (
	UnitUnavailable install.Action = "unavailable"
	UnitFailed      install.Action = "failed"
)
