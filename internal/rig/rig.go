// Package rig runs a whole mesh in one process, for tests: brokers and daemons as the program has them, with their files
// on the disk, over a network in memory that can be cut, stalled and lied on, with clocks that can be turned.
//
// Everything also runs in a testing/synctest bubble, where waiting costs nothing, except registered sessions: the daemon
// asks the system to be told of the end of their processes, and a bubble's clock stands still meanwhile.
package rig

import (
	"database/sql"
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

	"modernc.org/sqlite"

	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// Rig is the world of one test. What was started in it ends with the test.
type Rig struct {
	T   testing.TB
	Net *memnet.Network
	Log *slog.Logger
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

// newDir makes a folder for the files of one process.
func (r *Rig) newDir() string {
	r.T.Helper()
	dir := filepath.Join(r.T.TempDir(), "data")
	r.must(os.Mkdir(dir, 0o700))
	return dir
}

// image copies a folder as a process that is killed now leaves it: what was committed is in the copy, what is being
// written may be. The process goes on to run; it must not tell anybody anything any more.
func (r *Rig) image(from string) (to string) {
	r.T.Helper()
	to = r.newDir()
	r.must(filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary file
		}
		if err != nil {
			return err
		}
		copied := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case path == from:
			return nil
		case d.IsDir():
			return os.Mkdir(copied, 0o700)
		case strings.HasSuffix(path, ".db"):
			return imageDB(path, copied)
		case !d.Type().IsRegular() || strings.HasSuffix(path, "-wal") || strings.HasSuffix(path, "-shm"):
			return nil
		}
		if err := copyFile(path, copied); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}))
	return to
}

// imageDB copies a database: first the file, then its log. A reader keeps the log from being taken into the file
// meanwhile, so that the two belong together, as they do on a disk.
func imageDB(from, to string) (err error) {
	file, err := sqlite.NewConnector(from)
	if err != nil {
		return err
	}
	db := sql.OpenDB(file)
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it read only
	var n int
	if err := tx.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&n); err != nil {
		return err
	}
	if err := copyFile(from, to); err != nil {
		return err
	}
	if err := copyFile(from+"-wal", to+"-wal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}
