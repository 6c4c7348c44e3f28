// Package buildinfo says which build this is: version, commit and commit time.
package buildinfo

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
)

// Set by the linker (-X) from the VCS tag; empty in a plain `go build`, which is then asked for what the
// toolchain recorded.
var version, commit, commitTime string

// Info is what is known of a build. Commit and Time are empty when nothing recorded them.
type Info struct {
	Version string // tag or description of the tree; "dev" when unknown
	Commit  string // full hash
	Time    string // commit time, RFC 3339
}

var (
	once    sync.Once
	current Info
)

// Read returns the facts of this build. The first call works, later ones are free; it may be called from
// any goroutine.
func Read() Info {
	once.Do(func() {
		recorded, _ := debug.ReadBuildInfo() // nil without module support: the linker's values alone then count
		current = resolve(Info{Version: version, Commit: commit, Time: commitTime}, recorded)
	})
	return current
}

// Version returns the version of this build, "dev" when unknown.
func Version() string { return Read().Version }

// String describes this build in one line, as `claudemesh version` prints it.
func String() string { return Read().String() }

// String describes the build in one line: version, short commit and time where known, toolchain, system.
func (i Info) String() string {
	text := i.Version + " ("
	if i.Commit != "" {
		text += i.Commit[:min(12, len(i.Commit))] + ", "
	}
	if i.Time != "" {
		text += i.Time + ", "
	}
	return text + fmt.Sprintf("%s %s/%s)", runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// resolve fills what the linker did not set from what the toolchain recorded.
func resolve(linked Info, recorded *debug.BuildInfo) Info {
	if recorded != nil {
		linked = merge(linked, recorded)
	}
	if linked.Version == "" {
		linked.Version = "dev"
	}
	return linked
}

func merge(linked Info, recorded *debug.BuildInfo) Info {
	if v := recorded.Main.Version; linked.Version == "" && v != "(devel)" {
		linked.Version = v
	}
	if linked.Commit != "" {
		return linked
	}
	for _, setting := range recorded.Settings {
		switch setting.Key {
		case "vcs.revision":
			linked.Commit = setting.Value
		case "vcs.time":
			linked.Time = setting.Value
		}
	}
	return linked
}
