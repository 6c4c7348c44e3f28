package install

import (
	"path/filepath"
	"strings"

	"github.com/claudemesh/claudemesh/internal/splice"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// events are those of Claude Code that we hear of (host 5).
var events = []string{"SessionStart", "UserPromptSubmit", "PostToolUse", "Stop", asking}

// asking is the event of a session that wants a permission. Its hook may wait until the user answers on another device; the
// host asks at the session meanwhile.
const asking = "PermissionRequest"

// timeoutOf is how long Claude Code waits for the hook of an event, in seconds.
func timeoutOf(event string) int {
	if event == asking {
		return 330 // half a minute more than a question lives
	}
	return hookTimeout
}

// hookTimeout is how long Claude Code waits for one of ours, in seconds; it is done in a hundredth of that.
const hookTimeout = 5

// matcher is an element of an event's list in Claude Code's settings.
type matcher struct {
	Hooks []command `json:"hooks"`
}

type command struct {
	Type        string `json:"type"`
	Command     string `json:"command"`
	Timeout     int    `json:"timeout,omitzero"`
	AsyncRewake bool   `json:"asyncRewake,omitzero"`
}

// wakeTimeout is for how long the hook that waits beside a session that rests may do that, in seconds: a day.
const wakeTimeout = 24 * 60 * 60

// commands are those of ours at an event; program is a word of a shell.
func commands(program, event string) []command {
	all := []command{{Type: "command", Command: program + " hook " + event, Timeout: timeoutOf(event)}}
	if event == "Stop" { // it ends at once where it is not needed
		all = append(all, command{Type: "command", Command: program + " hook wake", Timeout: wakeTimeout, AsyncRewake: true})
	}
	return all
}

// hooksPart is the hooks of Claude Code.
func hooksPart(path, program string) part {
	around := []string{"hooks"}
	for _, event := range events {
		around = append(around, "hooks"+separator+event)
	}
	return part{
		what: Hooks, path: path, around: around,
		set: func(text []byte) ([]byte, error) {
			for _, event := range events {
				var err error
				if text, err = setHook(text, program, event); err != nil {
					return nil, err
				}
			}
			return text, nil
		},
		unset: func(text []byte, made []string) ([]byte, error) {
			for _, event := range events {
				var err error
				if text, err = splice.DeleteElements(text, ours(program), "hooks", event); err != nil {
					return nil, err
				}
			}
			return prune(text, made)
		},
		in: func([]byte) bool { return false }, // it is no server
	}
}

// setHook makes ours the only one of ours at an event.
func setHook(text []byte, program, event string) ([]byte, error) {
	want, err := wire.Encode(matcher{commands(shellWord(program), event)})
	if err != nil {
		return nil, err
	}
	isOurs := ours(program)
	var there []string
	if list, ok, err := splice.JSON(text, "hooks", event); err != nil {
		return nil, err
	} else if ok {
		var all []wire.RawMessage
		if err := wire.Decode(list, &all); err != nil {
			return nil, err
		}
		for _, e := range all {
			if isOurs(e) {
				there = append(there, string(e))
			}
		}
	}
	if len(there) == 1 && there[0] == string(want) {
		return text, nil
	}
	if text, err = splice.DeleteElements(text, isOurs, "hooks", event); err != nil {
		return nil, err
	}
	return splice.AppendJSON(text, string(want), "hooks", event)
}

// ours tells elements that run nothing but this program's hooks, wherever it lay when they were written.
func ours(program string) func(element []byte) bool {
	return func(element []byte) bool {
		var m matcher
		if wire.Decode(element, &m) != nil || len(m.Hooks) == 0 {
			return false
		}
		for _, c := range m.Hooks {
			if path, _, ok := strings.Cut(c.Command, " hook "); !ok || !isProgram(path, program) {
				return false
			}
		}
		return true
	}
}

// isProgram reports whether a word of a shell names this program, wherever it lay when the word was written.
func isProgram(word, program string) bool {
	name := filepath.Base(strings.ReplaceAll(strings.Trim(word, `"'`), `\`, "/"))
	return strings.TrimSuffix(name, ".exe") == "claudemesh" || word == shellWord(program)
}

// shellWord is a path as one word of a shell.
func shellWord(path string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-"
	if strings.Trim(path, plain) == "" {
		return path
	}
	if filepath.Separator == '\\' {
		return `"` + path + `"`
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
