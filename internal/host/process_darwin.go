package host

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	errZombie = errors.New("it has exited")
	errArgs   = errors.New("its arguments are of an unknown form")
)

// stateZombie is SZOMB of sys/proc.h.
const stateZombie = 5

func find(pid int) (Process, error) {
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return Process{}, err
	}
	if int(k.Proc.P_pid) != pid || k.Proc.P_stat == stateZombie {
		return Process{}, errZombie
	}
	start := fmt.Sprintf("%d.%06d", k.Proc.P_starttime.Sec, k.Proc.P_starttime.Usec)
	return Process{PID: pid, Parent: int(k.Eproc.Ppid), Start: start}, nil
}

func commandLine(pid int) ([]string, error) {
	args, _, err := readArgs(pid)
	return args, err
}

func environ(pid int) ([]string, error) {
	_, env, err := readArgs(pid)
	return env, err
}

// readArgs takes kern.procargs2 apart: the number of arguments, the program's path, zero bytes, the arguments, the
// environment.
func readArgs(pid int) (args, env []string, err error) {
	data, err := unix.SysctlRaw("kern.procargs2", pid)
	if err != nil {
		return nil, nil, err
	}
	if len(data) < 4 {
		return nil, nil, errArgs
	}
	count := int(binary.LittleEndian.Uint32(data))
	path := bytes.IndexByte(data[4:], 0)
	if path < 0 || count < 1 {
		return nil, nil, errArgs
	}
	all := strings.Split(strings.TrimLeft(string(data[4+path:]), "\x00"), "\x00")
	if len(all) < count {
		return nil, nil, errArgs
	}
	return all[:count], all[count:], nil
}

// watcher is a queue of kernel events that tells of the exit of one process.
type watcher struct{ queue int }

func watch(pid int) (watcher, error) {
	queue, err := unix.Kqueue()
	if err != nil {
		return watcher{}, err
	}
	unix.CloseOnExec(queue)
	var ev unix.Kevent_t
	unix.SetKevent(&ev, pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	ev.Fflags = unix.NOTE_EXIT
	if _, err := unix.Kevent(queue, []unix.Kevent_t{ev}, nil, nil); err != nil {
		_ = unix.Close(queue) // the first error is the one to report
		return watcher{}, err
	}
	return watcher{queue}, nil
}

// wait asks with a timeout, because nothing else would end it with ctx.
func (w watcher) wait(ctx context.Context) error {
	limit := unix.NsecToTimespec(pollEvery.Nanoseconds())
	for ctx.Err() == nil {
		n, err := unix.Kevent(w.queue, nil, make([]unix.Kevent_t, 1), &limit)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if n > 0 {
			return nil
		}
	}
	return ctx.Err()
}

func (w watcher) close() { _ = unix.Close(w.queue) } // nothing was written
