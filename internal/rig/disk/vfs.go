package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"

	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// ErrLie is what a Hook answers for an operation that is said to have happened and has not.
var ErrLie = errors.New("disk: said and not done")

// The layer is SQLite's own virtual file system with a few of its functions replaced. Its files keep their shape; those of a
// mounted disk have a table of functions of ours, which is theirs with the same few replaced.
type (
	vfs     = lib.Tsqlite3_vfs
	file3   = lib.Tsqlite3_file
	methods = lib.Tsqlite3_io_methods

	openFunc     = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	deleteFunc   = func(tls *libc.TLS, vfs, name uintptr, syncFolder int32) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
	transferFunc = func(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
)

// handle is an open file of a mounted disk.
type handle struct {
	disk  *Disk
	file  *file
	path  string
	below *methods // what the layer is put in front of
	fresh bool     // the next sync is one of its folder, too
}

var (
	handles sync.Map   // *handle by the address of SQLite's file
	tables  = struct { // addresses of our methods by those of SQLite's
		sync.Mutex
		ours map[uintptr]uintptr
	}{ours: map[uintptr]uintptr{}}
	below vfs // SQLite's own
	_     = install()
)

// install makes the layer the one that SQLite takes, before any file is opened. It is there until the program ends.
func install() bool {
	tls := libc.NewTLS()
	defer tls.Close()
	below = *at[vfs](lib.Xsqlite3_vfs_find(tls, 0))
	layer := copied(tls, &below)
	ours := at[vfs](layer)
	ours.FpNext, ours.FxOpen, ours.FxDelete = 0, address(open), address(remove)
	if code := lib.Xsqlite3_vfs_register(tls, layer, 1); code != lib.SQLITE_OK {
		panic(fmt.Sprintf("disk: register: code %d", code))
	}
	sqlite.Flush = flush
	return true
}

// copied puts a copy of a value where SQLite can follow it, for good.
func copied[T any](tls *libc.TLS, v *T) uintptr {
	p := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*v)))
	if p == 0 {
		panic("disk: no memory")
	}
	*at[T](p) = *v
	return p
}

// at is what lies at an address of SQLite's.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// address is what SQLite calls a function by; function is the way back.
func address[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

func function[F any](address uintptr) F {
	p := &struct{ uintptr }{address}
	return *(*F)(unsafe.Pointer(p))
}

// code is what SQLite is told of an error of an operation.
func code(err error, of int32) int32 {
	switch {
	case err == nil || errors.Is(err, ErrLie):
		return lib.SQLITE_OK
	case errors.Is(err, syscall.ENOSPC):
		return lib.SQLITE_FULL
	}
	return of
}

func open(tls *libc.TLS, vfs, name, f uintptr, flags int32, outFlags uintptr) int32 {
	do := function[openFunc](below.FxOpen)
	if name == 0 {
		return do(tls, vfs, name, f, flags, outFlags)
	}
	path := libc.GoString(name)
	d := find(path)
	if d == nil {
		return do(tls, vfs, name, f, flags, outFlags)
	}
	if err := d.ask(Open, path); err != nil {
		at[file3](f).FpMethods = 0
		return lib.SQLITE_CANTOPEN
	}
	h := &handle{disk: d, file: d.open(path), path: path}
	made := !exists(path)
	if rc := do(tls, vfs, name, f, flags, outFlags); rc != lib.SQLITE_OK {
		return rc
	}
	if made {
		d.note(h.file, change{op: Open})
	}
	const logs = lib.SQLITE_OPEN_WAL | lib.SQLITE_OPEN_MAIN_JOURNAL
	h.fresh = flags&logs != 0 && flags&lib.SQLITE_OPEN_CREATE != 0
	h.below = at[methods](at[file3](f).FpMethods)
	at[file3](f).FpMethods = table(tls, at[file3](f).FpMethods)
	handles.Store(f, h)
	return lib.SQLITE_OK
}

// table is SQLite's table of functions for a file with ours in it.
func table(tls *libc.TLS, theirs uintptr) uintptr {
	tables.Lock()
	defer tables.Unlock()
	if t, ok := tables.ours[theirs]; ok {
		return t
	}
	ours := *at[methods](theirs)
	ours.FxClose, ours.FxSync, ours.FxTruncate = address(closeFile), address(syncFile), address(truncate)
	ours.FxRead, ours.FxWrite = address(read), address(write)
	tables.ours[theirs] = copied(tls, &ours)
	return tables.ours[theirs]
}

func of(f uintptr) *handle {
	h, _ := handles.Load(f)
	return h.(*handle)
}

func closeFile(tls *libc.TLS, f uintptr) int32 {
	h := of(f)
	handles.Delete(f)
	return function[closeFunc](h.below.FxClose)(tls, f)
}

func read(tls *libc.TLS, f, buf uintptr, n int32, off int64) int32 {
	h := of(f)
	if err := h.disk.ask(Read, h.path); err != nil {
		return lib.SQLITE_IOERR_READ
	}
	return function[transferFunc](h.below.FxRead)(tls, f, buf, n, off)
}

func write(tls *libc.TLS, f, buf uintptr, n int32, off int64) int32 {
	h := of(f)
	if err := h.disk.ask(Write, h.path); err != nil {
		return code(err, lib.SQLITE_IOERR_WRITE)
	}
	fits := int32(h.disk.fit(h.file, off, int(n)))
	if fits > 0 {
		if rc := function[transferFunc](h.below.FxWrite)(tls, f, buf, fits, off); rc != lib.SQLITE_OK {
			return rc
		}
		h.disk.note(h.file, change{Write, off, slices.Clone(unsafe.Slice(at[byte](buf), fits))})
	}
	if fits < n {
		return lib.SQLITE_FULL
	}
	return lib.SQLITE_OK
}

func truncate(tls *libc.TLS, f uintptr, size int64) int32 {
	h := of(f)
	if err := h.disk.ask(Truncate, h.path); err != nil {
		return code(err, lib.SQLITE_IOERR_TRUNCATE)
	}
	rc := function[truncateFunc](h.below.FxTruncate)(tls, f, size)
	if rc == lib.SQLITE_OK {
		h.disk.note(h.file, change{op: Truncate, at: size})
	}
	return rc
}

func syncFile(_ *libc.TLS, f uintptr, _ int32) int32 {
	h := of(f)
	err := h.disk.syncPath(h.file, h.path)
	if err == nil && h.fresh {
		h.disk.syncFolder(filepath.Dir(h.path))
		h.fresh = false
	}
	return code(err, lib.SQLITE_IOERR_FSYNC)
}

// syncPath is a sync of a file, by whomever.
func (d *Disk) syncPath(f *file, path string) error {
	err := d.ask(Sync, path)
	switch {
	case err == nil:
		d.sync(f)
	case !errors.Is(err, ErrLie):
		d.forget(f)
	}
	return err
}

// flush is a sync that does not come from SQLite.
func flush(f *os.File) error {
	path, err := filepath.EvalSymlinks(f.Name())
	if err != nil {
		return err
	}
	d := find(path)
	if d == nil {
		return f.Sync()
	}
	if err := d.syncPath(d.open(path), path); !errors.Is(err, ErrLie) {
		return err
	}
	return nil
}

func remove(tls *libc.TLS, vfs, name uintptr, syncFolder int32) int32 {
	path := libc.GoString(name)
	d := find(path)
	if d == nil {
		return function[deleteFunc](below.FxDelete)(tls, vfs, name, syncFolder)
	}
	if err := d.ask(Delete, path); err != nil {
		return code(err, lib.SQLITE_IOERR_DELETE)
	}
	f := d.open(path)
	rc := function[deleteFunc](below.FxDelete)(tls, vfs, name, 0)
	if rc == lib.SQLITE_OK {
		d.note(f, change{op: Delete})
		if syncFolder != 0 {
			d.sync(f)
		}
	}
	return rc
}
