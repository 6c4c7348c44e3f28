package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// aside runs a test in a process that has a network of its own, whose one interface can go down with nobody else on it.
// It reports whether it did: the process itself has to do the test, and so has one that may not make networks (without
// root), where relays alone break lines.
func aside(t *testing.T, args ...string) bool {
	t.Helper()
	if inside() || os.Getuid() != 0 {
		return false
	}
	slots <- struct{}{} // of its world
	defer func() { <-slots }()
	args = append([]string{"-test.run=^" + t.Name() + "$", "-test.count=1", "-test.timeout=0"}, args...)
	if deadline, ok := t.Deadline(); ok {
		args[2] = fmt.Sprintf("-test.timeout=%s", time.Until(deadline))
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asideVariable+"="+program)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Logf("without a network of its own: %v", err)
		return false
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("in a network of its own: %v; what it printed stands above", err)
	}
	return true
}

// inside reports whether this process has a network of its own.
func inside() bool { return os.Getenv(asideVariable) != "" }

// networkFaults are those of the whole network of this process, where it is its own.
func networkFaults() []fault {
	if !inside() {
		return nil
	}
	return []fault{{name: "network-down", harm: func(a *arena) {
		turnNetwork(a.t, false)
		if conn, err := net.DialTimeout("tcp", a.listen, pollStep); err == nil {
			a.t.Errorf("the network is down, and %s was reached", conn.RemoteAddr())
			_ = conn.Close() // nothing was written to it
		}
		<-time.After(a.upTo(4 * time.Second))
		turnNetwork(a.t, true)
	}}}
}

// turnNetwork takes the loopback interface of this process's network up or down. While it is
// down all packets are lost, and nobody is told.
func turnNetwork(t testing.TB, up bool) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written to it
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	if up {
		lo.SetUint16(unix.IFF_UP)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatalf("turn the network (up: %t): %v", up, err)
	}
}
