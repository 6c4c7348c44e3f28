package local

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Spawn starts a program of ours as a process that outlives this one: a session of its own, nothing of a host session
// in its environment, its output appended to a log. The channel gives its exit while this process lives.
func Spawn(executable string, args, environ []string, logPath string) (<-chan error, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, paths.FileMode)
	if err != nil {
		return nil, mesh.Errorf(mesh.IOError, "open a log: %w", err)
	}
	defer func() { _ = log.Close() }()       // the child has its own handle
	cmd := exec.Command(executable, args...) // no context: it outlives the verb
	cmd.Dir = filepath.Dir(logPath)
	cmd.Env = serviceEnv(environ)
	cmd.Stdout, cmd.Stderr = log, log
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, mesh.Errorf(mesh.IOError, "start %s: %w", executable, err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }() // ends with the child, or with this process
	return exited, nil
}

// guardVariable keeps a process tree from starting daemons.
const guardVariable = "CLAUDEMESH_INTERNAL_NO_AUTOSPAWN"

// hostVariables belong to the session whose verb happens to start the daemon.
var hostVariables = []string{"CLAUDE_", "CLAUDECODE", "CLAUDEMESH_DISPLAY_NAME", "CLAUDEMESH_IPC_TOKEN", "CLAUDEMESH_SESSION_ID", guardVariable}

// folderVariables move the folders of a service. It runs in another folder than the verb that starts it.
var folderVariables = []string{paths.ConfigVariable, paths.DaemonVariable, paths.BrokerVariable}

// serviceEnv is the environment of a daemon or broker: nothing of a session, the same folders, and no starting of
// further daemons.
func serviceEnv(environ []string) []string {
	var env []string
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if slices.ContainsFunc(hostVariables, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		if slices.Contains(folderVariables, name) && value != "" {
			if abs, err := filepath.Abs(value); err == nil { // it fails without a working folder, where nothing relative can be meant
				kv = name + "=" + abs
			}
		}
		env = append(env, kv)
	}
	return append(env, guardVariable+"=1")
}

// sizeOf is the size of a file; 0 where there is none.
func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// maxWords bounds what is read and repeated of a log.
const maxWords = 16 << 10

// lastWords gives the error that a program of ours printed last behind an offset of its log, and what it said to do about
// it, or nothing.
func lastWords(logPath string, from int64) string {
	file, err := os.Open(logPath)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }() // nothing was written
	text, err := io.ReadAll(io.NewSectionReader(file, max(from, sizeOf(logPath)-maxWords), maxWords))
	if err != nil {
		return ""
	}
	said := ""
	for line := range bytes.Lines(text) {
		if words, ok := bytes.CutPrefix(line, []byte("claudemesh: ")); ok {
			said = strings.TrimSpace(string(words))
		} else if words, ok := bytes.CutPrefix(line, []byte("hint: ")); ok && said != "" {
			said += "; " + strings.TrimSpace(string(words))
		}
	}
	return said
}
