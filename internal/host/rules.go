package host

// Mode is how much a session does without asking its human.
type Mode string

// The modes, by Claude Code's names, from the most careful. A mode that cannot be read is Bypass (design E3).
const (
	Plan        Mode = "plan"
	Default     Mode = "default"
	AcceptEdits Mode = "acceptEdits"
	Auto        Mode = "auto"
	DontAsk     Mode = "dontAsk"
	Bypass      Mode = "bypassPermissions"
)

// Unattended reports whether a session in mode m acts where its human would have been asked (design E3).
func (m Mode) Unattended() bool { panic("host: in the making") }

// AtLeast reports whether m is as permissive as other, or more. A mode that is not known is Bypass.
func (m Mode) AtLeast(other Mode) bool { panic("host: in the making") }

// Inbound is what a host does with messages of other sessions (crossSessionInbound).
type Inbound string

// The values of crossSessionInbound. Unset leaves it to the modes.
const (
	Unset  Inbound = ""
	Accept Inbound = "accept"
	Held   Inbound = "hold"
	Refuse Inbound = "refuse"
)

// Rules are what holds in a session now.
type Rules struct {
	Mode            Mode
	Inbound         Inbound
	IsolateMachines bool // isolatePeerMachines: its human is asked before anything leaves the machine
}

// Subject is the session whose rules are read.
type Subject struct {
	Program string // as the host names itself: claude-code, codex, …
	PID     int    // of the host's process
	WorkDir string // of the session: its project's settings lie below it
}

// Reader reads the rules of one session: Claude Code's from the flags of its process and the settings files that it
// reads itself, any other program's from a table (design E3). Its methods may be called from any goroutine.
type Reader struct{}

// NewReader returns a reader. It reads nothing.
func NewReader(s Subject) *Reader { panic("host: in the making") }

// Rules returns what holds now. Files are parsed again only after they have changed. What cannot be read is taken for
// the strictest: mode Bypass, or Held.
func (r *Reader) Rules() Rules { panic("host: in the making") }

// SessionName is the name that the host shows for a session; empty when it has none.
func (r *Reader) SessionName(sessionID string) string { panic("host: in the making") }
