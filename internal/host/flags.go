package host

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
)

// flags are what the command line of a Claude Code process says about its rules.
type flags struct {
	mode     Mode     // empty: not said
	settings []string // values of --settings: JSON or a file
	sources  []string // value of --setting-sources; nil: all
}

var (
	errOverwritten = errors.New("its arguments were overwritten")
	errOther       = errors.New("it is not Claude Code")
)

// readFlags reads the flags of a process that is Claude Code. A runtime that renames its process writes over its
// arguments and leaves zero bytes, which look like empty arguments at the end: then nothing is known.
func readFlags(pid int) (flags, error) {
	args, err := commandLine(pid)
	switch {
	case err != nil:
		return flags{}, err
	case args[len(args)-1] == "":
		return flags{}, errOverwritten
	case !isClaude(args):
		return flags{}, errOther
	}
	return parseFlags(args[1:]), nil
}

// isClaude reports whether a command line is that of Claude Code: its flags say nothing when they are a shell's.
func isClaude(args []string) bool {
	program := args[0]
	if slices.Contains([]string{"node", "bun", "deno"}, base(program)) {
		script := slices.IndexFunc(args[1:], func(arg string) bool { return !strings.HasPrefix(arg, "-") })
		if script < 0 {
			return false
		}
		program = args[1+script]
	}
	path := filepath.ToSlash(program)
	switch base(program) {
	case "claude":
		return true
	case "cli.js":
		return strings.Contains(path, "/claude-code/") || strings.Contains(path, "/claude-agent-sdk/")
	}
	return strings.Contains(path, "/claude/versions/") // where the native installer keeps it
}

// base is the file name of a program, without .exe and in lower case.
func base(path string) string {
	name := strings.ToLower(path[strings.LastIndexAny(path, `/\`)+1:])
	return strings.TrimSuffix(name, ".exe")
}

// parseFlags reads arguments up to `--`. Where they contradict one another, the most permissive mode counts; a bypass
// that is only made available counts as used, because a key stroke turns it on.
func parseFlags(args []string) flags {
	var f flags
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		name, value, given := strings.Cut(args[i], "=")
		if !given && i+1 < len(args) {
			value = args[i+1]
		}
		switch name {
		case "--dangerously-skip-permissions", "--allow-dangerously-skip-permissions":
			f.mode = Bypass
		case "--permission-mode":
			if m := ParseMode(value); f.mode == "" || m.AtLeast(f.mode) {
				f.mode = m
			}
		case "--settings":
			f.settings = append(f.settings, value)
		case "--setting-sources":
			f.sources = strings.Split(strings.ReplaceAll(value, " ", ""), ",")
		}
	}
	return f
}

// reads reports whether a settings source is read: user, project or local.
func (f flags) reads(source string) bool {
	return f.sources == nil || slices.Contains(f.sources, source)
}

// Channelled reports whether the process of a session shows channel notifications of an MCP server of ours, as far as its
// command line tells: Claude Code has to be told at its start which servers are channels (claude-code 1). What cannot be
// read might.
func Channelled(pid int, server string) bool {
	args, err := commandLine(pid)
	if err != nil || args[len(args)-1] == "" || !isClaude(args) {
		return true
	}
	named := false // the words behind one of the flags, up to the next
	for _, arg := range args[1:] {
		name, value, given := strings.Cut(arg, "=")
		switch {
		case arg == "--":
			return false
		case strings.HasPrefix(arg, "-"):
			if named = name == "--channels" || name == "--dangerously-load-development-channels"; !named || !given {
				continue
			}
		default:
			value = arg
		}
		if named && strings.Contains(value, server) {
			return true
		}
	}
	return false
}

// ClaudeAncestor returns the nearest of a process and its ancestors that is Claude Code, and whether there is one.
func ClaudeAncestor(pid int) (Process, bool) {
	for p := range Ancestry(pid) {
		if IsClaude(p.PID) {
			return p, true
		}
	}
	return Process{}, false
}

// IsClaude reports whether a process is Claude Code, as far as its command line tells.
func IsClaude(pid int) bool {
	args, err := commandLine(pid)
	return err == nil && isClaude(args)
}
