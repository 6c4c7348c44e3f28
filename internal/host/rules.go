package host

import "slices"

// Mode is how much a session does without asking its human.
type Mode string

// The modes, by Claude Code's names, from the most careful.
const (
	Plan        Mode = "plan"
	Default     Mode = "default"
	AcceptEdits Mode = "acceptEdits"
	Auto        Mode = "auto"
	DontAsk     Mode = "dontAsk"
	Bypass      Mode = "bypassPermissions"
)

// modes are in the order of what they allow.
var modes = []Mode{Plan, Default, AcceptEdits, Auto, DontAsk, Bypass}

// ParseMode reads a mode as Claude Code writes it. What is no mode is Bypass, because nobody knows what it allows
// (design E3).
func ParseMode(s string) Mode {
	if s == "manual" { // the newer name of default
		return Default
	}
	if slices.Contains(modes, Mode(s)) {
		return Mode(s)
	}
	return Bypass
}

// Unattended reports whether a session in mode m acts where its human would have been asked (design E3).
func (m Mode) Unattended() bool { return m.AtLeast(DontAsk) }

// AtLeast reports whether m is as permissive as other, or more.
func (m Mode) AtLeast(other Mode) bool { return m.rank() >= other.rank() }

func (m Mode) rank() int { return slices.Index(modes, ParseMode(string(m))) }

// Inbound is what a host does with messages of other sessions (crossSessionInbound).
type Inbound string

// The values of crossSessionInbound. Unset leaves it to the modes.
const (
	Unset  Inbound = ""
	Accept Inbound = "accept"
	Held   Inbound = "hold"
	Refuse Inbound = "refuse"
)

// inbounds are in the order of their strictness.
var inbounds = []Inbound{Unset, Accept, Held, Refuse}

// stricter returns the stricter of two values.
func (i Inbound) stricter(other Inbound) Inbound {
	if slices.Index(inbounds, other) > slices.Index(inbounds, i) {
		return other
	}
	return i
}

// Rules are what holds in a session now.
type Rules struct {
	Mode    Mode
	Inbound Inbound
	// IsolateMachines: its human is asked before anything leaves the machine (isolatePeerMachines). It says nothing
	// about what comes.
	IsolateMachines bool
}

// Strictest are the rules for a session of whose process nothing can be read: it counts as one in bypass (design E3).
// Nothing is made up for crossSessionInbound: only so can the session be told why it gets no messages.
func Strictest() Rules { return Rules{Mode: Bypass, IsolateMachines: true} }

// claudeCode is what Claude Code calls itself to its MCP servers.
const claudeCode = "claude-code"

// modeless are the programs, by the names they give to their MCP servers, that are known to have no mode in which they
// act without their human (design E3). Every other program but Claude Code might have one.
var modeless = map[string]bool{
	"claude-ai":        true, // Claude Desktop
	"inspector-client": true, // MCP Inspector: there is no model
}

// Subject is the session whose rules are read.
type Subject struct {
	Program string // as the host names itself: claude-code, codex, …
	PID     int    // of the host's process
	WorkDir string // of the session: its project's settings lie below it
}

// Reader reads the rules of one session: Claude Code's from the flags of its process and the settings files that it
// reads itself, any other program's from a table (design E3). Its methods may be called from any goroutine.
type Reader struct {
	subject Subject
	managed string // folder of the organisation's settings
	files   cache
}

// NewReader returns a reader. It reads nothing.
func NewReader(s Subject) *Reader { return &Reader{subject: s, managed: managedFolder()} }

// Rules returns what holds now: flags and settings are read anew, and files parsed again only when they have changed.
// What cannot be read is taken for the Strictest.
func (r *Reader) Rules() Rules {
	switch {
	case modeless[r.subject.Program]:
		return Rules{Mode: Default}
	case r.subject.Program != claudeCode:
		return Rules{Mode: Bypass} // its settings, if it has any, are not ours to read
	}
	flags, err := readFlags(r.subject.PID)
	if err != nil {
		return Strictest()
	}
	folder, err := configFolder(r.subject.PID)
	if err != nil {
		return Strictest()
	}
	return resolve(flags, r.layers(flags, folder))
}
