// Package rig runs a whole mesh in one process, for tests: brokers and daemons as the program has them, with their files
// on disks that lose what was not synced, fail and fill up, over a network in memory that can be cut, stalled and lied on, with
// clocks that can be turned.
//
// Everything also runs in a testing/synctest bubble, where waiting costs nothing, except registered sessions: the daemon
// asks the system to be told of the end of their processes, and a bubble's clock stands still meanwhile.
package rig

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/claudemesh/claudemesh/internal/rig/disk"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// Rig is the world of one test. What was started in it ends with the test.
type Rig struct {
	T   testing.TB
	Net *memnet.Network
	Log *slog.Logger

	Seed uint64 // of what power cuts leave
}

// New returns an empty world. Warnings of its processes are part of the test's output.
func New(t testing.TB) *Rig {
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	return &Rig{T: t, Net: memnet.New(), Log: log}
}

// patience bounds what a test waits for; no test that passes waits so long.
const patience = time.Minute

// Until waits until a condition holds. It is asked again and again, ever less often.
func (r *Rig) Until(what string, holds func() bool) {
	r.T.Helper()
	end, pause := time.Now().Add(patience), time.Millisecond
	for !holds() {
		if time.Now().After(end) {
			r.T.Fatalf("waited %v for: %s", patience, what)
		}
		<-time.After(pause)
		pause = min(pause*2, 200*time.Millisecond)
	}
}

// must ends the test on an error.
func (r *Rig) must(err error) {
	r.T.Helper()
	if err != nil {
		r.T.Fatal(err)
	}
}

// Clock is the clock of one machine: the real one, or that of the bubble, and how far a test has turned it. The zero
// Clock is right.
type Clock struct{ ahead atomic.Int64 } // nanoseconds

// instant is how package time keeps a time with a monotonic part: seconds since 1885 and nanoseconds below a flag, and
// nanoseconds since some moment.
type instant struct {
	wall uint64
	ext  int64
}

// from1885 is how many seconds lie between 1885 and 1970.
const from1885 = 31_045 * 24 * 60 * 60

// Now is what the clock shows. As with time.Now on a machine, times of one process are compared and subtracted by what
// really passed between them, also when the clock was turned meanwhile; a turn shows in what is written down or
// compared as a number. Package time cannot make such a time, and its own ones in a bubble are none.
func (c *Clock) Now() time.Time {
	now := time.Now()
	turned := now.Round(0).Add(time.Duration(c.ahead.Load()))
	wall := 1<<63 | uint64(turned.Unix()+from1885)<<30 | uint64(turned.Nanosecond())
	*(*instant)(unsafe.Pointer(&turned)) = instant{wall, now.UnixNano()}
	return turned
}

// Turn sets the clock forward, or back.
func (c *Clock) Turn(by time.Duration) { c.ahead.Add(int64(by)) }

// folder is where the files of one process lie, with the disk below them.
type folder struct {
	dir  string
	disk *disk.Disk // nil in a benchmark, which measures the real one
}

// newDir makes a folder.
func (r *Rig) newDir() string {
	r.T.Helper()
	dir, err := filepath.EvalSymlinks(r.T.TempDir())
	r.must(err)
	dir = filepath.Join(dir, "data")
	r.must(os.Mkdir(dir, 0o700))
	return dir
}

// newFolder makes an empty one.
func (r *Rig) newFolder() folder {
	r.T.Helper()
	f := folder{dir: r.newDir()}
	if _, measured := r.T.(*testing.B); measured {
		return f
	}
	var err error
	f.disk, err = disk.Mount(f.dir, r.Seed)
	r.must(err)
	r.T.Cleanup(f.disk.Unmount)
	return f
}

// left copies a folder as a process that ends now leaves it. The process goes on to run, on the folder that it had; it must
// not tell anybody anything any more.
func (r *Rig) left(from folder, how disk.Ending) folder {
	r.T.Helper()
	to := folder{dir: r.newDir()}
	r.must(filepath.WalkDir(from.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary file
		}
		if err != nil {
			return err
		}
		copied := filepath.Join(to.dir, strings.TrimPrefix(path, from.dir))
		switch {
		case path == from.dir:
			return nil
		case d.IsDir():
			return os.Mkdir(copied, 0o700)
		case !d.Type().IsRegular() || strings.HasSuffix(path, "-shm") || from.disk.Holds(path):
			return nil
		}
		if err := copyFile(path, copied); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}))
	var err error
	to.disk, err = from.disk.Leave(to.dir, how)
	r.must(err)
	r.T.Cleanup(to.disk.Unmount)
	return to
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}
