package host

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/claudemesh/claudemesh/internal/paths"
)

// Within reports whether a process is one of these, or has one of them among its ancestors. What the environment says does
// not count: a program that a session starts may take its variables away, but not its parents.
func Within(pid int, sessions []Process) bool {
	if len(sessions) == 0 {
		return false
	}
	starts := make(map[int]string, len(sessions))
	for _, p := range sessions {
		starts[p.PID] = p.Start
	}
	for a := range Ancestry(pid) {
		if starts[a.PID] == a.Start {
			return true
		}
	}
	return false
}

// markEnding is that of a file which names the process of a registered session.
const markEnding = ".process"

// IsMark reports whether a path is that of a mark.
func IsMark(path string) bool { return filepath.Ext(path) == markEnding }

// WriteMark notes on the disk which process a session runs in, for verbs that no daemon answers.
func WriteMark(path string, p Process) error {
	return paths.WriteSecret(path, []byte(strconv.Itoa(p.PID)+" "+p.Start+"\n"))
}

// Marked gives the processes that the marks of a folder name. Some of them may have ended. What cannot be read marks
// nothing.
func Marked(folder string) []Process {
	files, _ := filepath.Glob(filepath.Join(folder, "*"+markEnding)) // the pattern is a good one
	var all []Process
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		number, start, ok := strings.Cut(strings.TrimSpace(string(data)), " ")
		pid, err := strconv.Atoi(number)
		if ok && err == nil && pid > 0 && start != "" {
			all = append(all, Process{PID: pid, Start: start})
		}
	}
	return all
}
