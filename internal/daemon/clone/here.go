package clone

import (
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// hostTime is how long the system may take to say which machine it is.
const hostTime = 2 * time.Second

// Here is this machine.
func Here(ctx context.Context) Facts {
	return Facts{HostID: hostID(ctx), Interfaces: interfacesOf()}
}

// hostID is what the system calls this machine, or nothing.
func hostID(ctx context.Context) string {
	switch runtime.GOOS {
	case "linux":
		if id := firstLine("/etc/machine-id", "/var/lib/dbus/machine-id"); id != "" {
			return "linux:" + id
		}
	case "darwin":
		ctx, cancel := context.WithTimeout(ctx, hostTime)
		defer cancel()
		out, err := exec.CommandContext(ctx, "/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice").Output()
		if err != nil {
			return ""
		}
		if id := regexp.MustCompile(`"IOPlatformUUID"\s*=\s*"([^"]+)"`).FindSubmatch(out); id != nil {
			return "darwin:" + string(id[1])
		}
	}
	return ""
}

// interfacesOf lists the network hardware of this machine.
func interfacesOf() map[string][]string {
	found := map[string][]string{}
	all, err := net.Interfaces()
	if err != nil {
		return found // nothing can be told by it
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 && len(i.HardwareAddr) > 0 {
			found[i.Name] = append(found[i.Name], i.HardwareAddr.String())
		}
	}
	return found
}

// firstLine is the first of some files that says something.
func firstLine(files ...string) string {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if line := strings.TrimSpace(string(text)); err == nil && line != "" {
			return line
		}
	}
	return ""
}
