package config

import (
	"fmt"
	"io"
	"log/slog"
	"os/user"
	"strconv"
	"strings"
)

// Env is what the environment says besides settings: switches of this run, and what the host tells of the
// session around it. It may be printed and logged: its one secret shows as a label.
type Env struct {
	NoAutospawn  bool   // CLAUDEMESH_INTERNAL_NO_AUTOSPAWN: this process tree never starts a daemon
	StrictDaemon bool   // CLAUDEMESH_STRICT_DAEMON, as --strict
	NoDaemon     bool   // CLAUDEMESH_NO_DAEMON, as --no-daemon
	Debug        bool   // CLAUDEMESH_DEBUG: debug lines on stderr
	ApprovalMode string // CLAUDEMESH_APPROVAL_MODE, as --approval-mode, which wins outside of a session; it only tightens
	PolicyFile   string // CLAUDEMESH_POLICY, beside what --policy names
	DisplayName  string // CLAUDEMESH_DISPLAY_NAME, as --name
	User         string // USER, LOGNAME or USERNAME: login name, for the member's name

	NoColor bool   // NO_COLOR is set, or TERM is dumb
	Term    string // TERM
	CI      string // name of the first variable that tells of a CI system; empty outside one (daemon 2.5)

	Launch Launch
	Claude Claude
}

// Launch is what `claudemesh launch` says of the session that it starts.
type Launch struct {
	Role        string // CLAUDEMESH_ROLE
	Groups      string // CLAUDEMESH_GROUPS: names, with a role behind a colon, between commas
	MessageMode string // CLAUDEMESH_MESSAGE_MODE: push, inbox or off
	Mesh        string // CLAUDEMESH_SESSION_MESH: the only mesh that the session is in
}

// Claude is what Claude Code tells the processes it starts. All of it is empty outside a session.
type Claude struct {
	Inside          bool   // CLAUDECODE
	Program         string // CLAUDE_BIN: the program itself, for launch
	PID             int    // CLAUDE_PID; 0 when unset or no number
	SessionID       string // CLAUDE_CODE_SESSION_ID
	ProjectDir      string // CLAUDE_PROJECT_DIR
	ConfigDir       string // CLAUDE_CONFIG_DIR: its settings, where they are not in ~/.claude
	MessagingSocket string // CLAUDE_CODE_MESSAGING_SOCKET: the session's inbox
	MessagingToken  Secret // CLAUDE_CODE_MESSAGING_TOKEN; it never leaves the process that the host started
}

// ReadEnv reads the switches. A switch is on for 1, true, yes and on in any case, and off for all else.
func ReadEnv(lookup Lookup) Env {
	text := func(name string) string {
		value, _ := lookup(name)
		return value
	}
	on := func(name string) bool {
		switch strings.ToLower(text(name)) {
		case "1", "true", "yes", "on":
			return true
		}
		return false
	}
	pid, err := strconv.Atoi(text("CLAUDE_PID"))
	if err != nil || pid < 0 {
		pid = 0
	}
	return Env{
		NoAutospawn:  on("CLAUDEMESH_INTERNAL_NO_AUTOSPAWN"),
		StrictDaemon: on("CLAUDEMESH_STRICT_DAEMON"),
		NoDaemon:     on("CLAUDEMESH_NO_DAEMON"),
		Debug:        on("CLAUDEMESH_DEBUG"),
		ApprovalMode: text("CLAUDEMESH_APPROVAL_MODE"),
		PolicyFile:   text("CLAUDEMESH_POLICY"),
		DisplayName:  text("CLAUDEMESH_DISPLAY_NAME"),
		User:         firstOf(text, "USER", "LOGNAME", "USERNAME"),
		NoColor:      text("NO_COLOR") != "" || text("TERM") == "dumb",
		Term:         text("TERM"),
		CI:           firstSet(text, "CI", "GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI", "JENKINS_URL"),
		Launch: Launch{
			Role: text("CLAUDEMESH_ROLE"), Groups: text("CLAUDEMESH_GROUPS"), MessageMode: text("CLAUDEMESH_MESSAGE_MODE"),
			Mesh: text("CLAUDEMESH_SESSION_MESH"),
		},
		Claude: Claude{
			Inside:          on("CLAUDECODE"),
			Program:         text("CLAUDE_BIN"),
			PID:             pid,
			SessionID:       text("CLAUDE_CODE_SESSION_ID"),
			ProjectDir:      text("CLAUDE_PROJECT_DIR"),
			ConfigDir:       text("CLAUDE_CONFIG_DIR"),
			MessagingSocket: text("CLAUDE_CODE_MESSAGING_SOCKET"),
			MessagingToken:  NewSecret(text("CLAUDE_CODE_MESSAGING_TOKEN")),
		},
	}
}

// Login is the name of the user: what the environment says, else the system; "user" where nobody knows.
func (e Env) Login() string {
	if e.User != "" {
		return e.User
	}
	if u, err := user.Current(); err == nil {
		_, name, found := strings.Cut(u.Username, `\`) // DOMAIN\name on Windows
		if !found {
			name = u.Username
		}
		if name != "" {
			return name
		}
	}
	return "user"
}

// firstSet is the first of names that is set to something.
func firstSet(text func(string) string, names ...string) string {
	for _, name := range names {
		if text(name) != "" {
			return name
		}
	}
	return ""
}

// firstOf is the value of the first of names that is set to something.
func firstOf(text func(string) string, names ...string) string {
	return text(firstSet(text, names...))
}

// Secret is a text that prints, logs and marshals as a label. Its bytes lie behind a pointer, because fmt
// cannot ask a value in an unexported field for its label and then prints what it holds.
type Secret struct{ value *string }

// NewSecret wraps value; empty gives the zero Secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
}

// Reveal returns the text itself; the caller keeps it out of logs, errors and arguments of programs.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// String gives the label.
func (s Secret) String() string {
	if s.value == nil {
		return ""
	}
	return "[redacted]"
}

// Format writes the label for every verb.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.String()) // fmt keeps the error of its writer
}

// LogValue gives the label.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText gives the label.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
