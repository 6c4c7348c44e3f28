package host

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

var (
	errZombie = errors.New("it has exited")
	errStat   = errors.New("its stat line is of an unknown form")
)

// The fields of /proc/<pid>/stat behind the name, which may hold spaces and brackets itself.
const (
	statState  = 0
	statParent = 1
	statStart  = 19 // field 22 of the whole line, in clock ticks since boot
)

func find(pid int) (Process, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Process{}, err
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) <= statStart {
		return Process{}, errStat
	}
	if state := fields[statState][0]; state == 'Z' || state == 'X' {
		return Process{}, errZombie
	}
	parent, err := strconv.Atoi(string(fields[statParent]))
	if err != nil {
		return Process{}, errStat
	}
	return Process{PID: pid, Parent: parent, Start: boot() + "-" + string(fields[statStart])}, nil
}

// boot tells this boot from others: ticks since boot repeat themselves.
var boot = sync.OnceValue(func() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it, only a restart of the machine is not told
	first, _, _ := strings.Cut(string(id), "-")
	return first
})

func commandLine(pid int) ([]string, error) {
	return readStrings("/proc/" + strconv.Itoa(pid) + "/cmdline")
}

func environ(pid int) ([]string, error) {
	return readStrings("/proc/" + strconv.Itoa(pid) + "/environ")
}

// readStrings reads a file of strings that end in a zero byte.
func readStrings(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00"), nil
}

// watcher is a file descriptor of a process, readable when it has exited.
type watcher struct{ file *os.File }

func watch(pid int) (watcher, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return watcher{}, err
	}
	return watcher{os.NewFile(uintptr(fd), "pidfd")}, nil
}

func (w watcher) wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = w.file.SetReadDeadline(time.Unix(1, 0)) }) // wakes the read below
	defer stop()
	raw, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	err = raw.Read(exited)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// exited reports whether the process behind a file descriptor is gone.
func exited(fd uintptr) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n > 0 && err == nil
}

func (w watcher) close() { _ = w.file.Close() } // nothing was written
