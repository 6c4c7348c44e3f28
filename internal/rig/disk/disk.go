// Package disk is the disk below the databases of a test: it loses at a power cut what was not synced, tears what was being
// written, fails, lies and is full when a test wants it. It lies between SQLite and the files, so that the program above it is
// the real one; files of tests that mount no disk pass through.
package disk

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// Op is an operation on a file.
type Op string

// The operations that are seen.
const (
	Open     Op = "open"
	Read     Op = "read"
	Write    Op = "write"
	Truncate Op = "truncate"
	Sync     Op = "sync"
	Delete   Op = "delete"
)

// Hook is called before each operation on a file, from any goroutine. It decides: nil lets the operation happen, ErrLie says
// that it has happened and does nothing, syscall.ENOSPC is a full disk, and any other error one of the device.
type Hook func(op Op, path string) error

// Disk is what lies below one folder. Its methods may be called from any goroutine, also from a Hook.
type Disk struct {
	root string
	hook atomic.Pointer[Hook]

	mu    sync.Mutex
	rnd   *rand.Rand
	files map[string]*file // by path; those that SQLite has opened
	limit int64            // bytes of all files; negative for none
}

// mounts are the disks by their folders.
var mounts sync.Map

// Mount puts a disk below a folder, which no database is open in. What lies there is synced. The seed decides what a power
// cut leaves. Unmount ends it.
func Mount(root string, seed uint64) (*Disk, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, err
	}
	d := &Disk{root: root, rnd: rand.New(rand.NewPCG(seed, 0)), files: map[string]*file{}, limit: -1}
	mounts.Store(root, d)
	return d, nil
}

// Unmount lets the files of the folder pass through from now on. Those that are open stay with the disk.
func (d *Disk) Unmount() { mounts.Delete(d.root) }

// find returns the disk below a file, or nil.
func find(path string) *Disk {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if d, ok := mounts.Load(dir); ok {
			return d.(*Disk)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// Set makes a hook decide about the operations that follow; nil lets all happen.
func (d *Disk) Set(h Hook) {
	if h == nil {
		d.hook.Store(nil)
		return
	}
	d.hook.Store(&h)
}

// ask asks the hook.
func (d *Disk) ask(op Op, path string) error {
	if h := d.hook.Load(); h != nil {
		return (*h)(op, path)
	}
	return nil
}

// Limit bounds the bytes of all databases and logs together: what is more does not fit. A negative number is no bound.
func (d *Disk) Limit(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limit = bytes
}

// Used is how many bytes all databases and logs have.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used()
}

func (d *Disk) used() (n int64) {
	for _, f := range d.files {
		n += f.size
	}
	return n
}

// fit returns how many of n bytes at an offset of a file fit onto the disk.
func (d *Disk) fit(f *file, off int64, n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	more := off + int64(n) - f.size
	if d.limit < 0 || more <= 0 {
		return n
	}
	return n - int(min(int64(n), max(0, d.used()+more-d.limit)))
}

// open returns the file of a path, which is about to be opened.
func (d *Disk) open(path string) *file {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.files[path]
	if !ok {
		f = &file{}
		data, err := os.ReadFile(path)
		f.synced = content{there: err == nil, data: data} // what cannot be read will not be opened either
		f.size = int64(len(data))
		d.files[path] = f
	}
	return f
}

// note remembers a change that has happened.
func (d *Disk) note(f *file, c change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.note(c)
}

// sync makes everything that was done to a file last.
func (d *Disk) sync(f *file) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.sync()
}

// syncFolder makes last which files a folder has.
func (d *Disk) syncFolder(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for path, f := range d.files {
		if filepath.Dir(path) == dir {
			f.syncName()
		}
	}
}

// forget follows a sync that failed: what it was for may never last, whatever a later one says.
func (d *Disk) forget(f *file) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.pending = f.survivors(d.rnd)
}

// Ending is how a process that has files on a disk can end.
type Ending int

// The endings.
const (
	Killed   Ending = iota // the process ends, and the system writes what it was given
	PowerCut               // of what was not synced anything may be there, or not, or half
)

// Leave writes into another folder what an ending in this moment leaves of the databases, and mounts a disk there. Below it
// the same is synced as here. The folder has the same folders inside. Who has files open here may go on.
func (d *Disk) Leave(to string, how Ending) (*Disk, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	left, err := Mount(to, d.rnd.Uint64())
	if err != nil {
		return nil, err
	}
	for path, f := range d.files {
		path = filepath.Join(left.root, strings.TrimPrefix(path, d.root))
		kept := f.clone()
		if how == PowerCut {
			kept.pending = kept.survivors(d.rnd)
			kept.sync()
		}
		left.files[path] = kept
		now := kept.current()
		if !now.there {
			continue
		}
		if err := os.WriteFile(path, now.data, 0o600); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// Holds reports whether Leave writes a file.
func (d *Disk) Holds(path string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.files[path]
	return ok
}

// exists reports whether there is a file.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil || !os.IsNotExist(err)
}
