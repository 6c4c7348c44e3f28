package host

import (
	"context"
	"errors"
	"strconv"
	"unsafe"

	"golang.org/x/sys/windows"
)

// errClosed tells that this system does not show a process's arguments to others.
var errClosed = errors.New("this system does not tell")

// stillActive is the exit code of a process that has none yet.
const stillActive = 259

func find(pid int) (Process, error) {
	p, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return Process{}, err
	}
	defer func() { _ = windows.CloseHandle(p) }() // it was only a question
	var code uint32
	if err := windows.GetExitCodeProcess(p, &code); err != nil || code != stillActive {
		return Process{}, errors.Join(err, errors.New("it has exited"))
	}
	var created, ended, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(p, &created, &ended, &kernel, &user); err != nil {
		return Process{}, err
	}
	parent, err := parentOf(uint32(pid))
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Parent: parent, Start: strconv.FormatInt(created.Nanoseconds(), 10)}, nil
}

func parentOf(pid uint32) (int, error) {
	all, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = windows.CloseHandle(all) }() // it was only a question
	e := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(all, &e); err == nil; err = windows.Process32Next(all, &e) {
		if e.ProcessID == pid {
			return int(e.ParentProcessID), nil
		}
	}
	return 0, err
}

func commandLine(int) ([]string, error) { return nil, errClosed }

func environ(int) ([]string, error) { return nil, errClosed }

// watcher is a handle of a process, signalled when it has exited.
type watcher struct{ process windows.Handle }

func watch(pid int) (watcher, error) {
	p, err := windows.OpenProcess(windows.SYNCHRONIZE, false, uint32(pid))
	return watcher{p}, err
}

// wait asks with a timeout, because nothing else would end it with ctx.
func (w watcher) wait(ctx context.Context) error {
	for ctx.Err() == nil {
		ev, err := windows.WaitForSingleObject(w.process, uint32(pollEvery.Milliseconds()))
		switch {
		case ev == windows.WAIT_OBJECT_0:
			return nil
		case ev != uint32(windows.WAIT_TIMEOUT):
			return err
		}
	}
	return ctx.Err()
}

func (w watcher) close() { _ = windows.CloseHandle(w.process) } // nothing was written
