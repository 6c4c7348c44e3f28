package shell

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/cli/projection"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// mistake is an error in the words of a command line. It shows the form of the verb that it is about.
type mistake struct {
	err error
	cmd *cobra.Command
}

// Error is the sentence.
func (m *mistake) Error() string { return m.err.Error() }

// Unwrap gives the error with its code, usage.
func (m *mistake) Unwrap() error { return m.err }

// Usage is an error in the words of a command line, printed with the form of the verb. Its code is mesh.Usage.
func Usage(cmd *cobra.Command, format string, args ...any) error {
	return &mistake{mesh.Errorf(mesh.Usage, format, args...), cmd}
}

// sendError is an error about one message, whose id the user needs to follow it.
type sendError struct {
	err error
	id  mesh.ClientID
}

// Error is the sentence.
func (e *sendError) Error() string { return e.err.Error() }

// Unwrap gives the error with its code.
func (e *sendError) Unwrap() error { return e.err }

// AboutMessage adds to an error the message that it is about: its id is in the hint and in the JSON.
func AboutMessage(err error, id mesh.ClientID) error { return &sendError{err, id} }

// Exit ends a verb with a status after it has printed everything itself.
type Exit mesh.Exit

// Error says nothing: everything was said.
func (Exit) Error() string { return "" }

// Finish prints what went wrong, in the form asked for, and gives the exit status.
func (a *App) Finish(ctx context.Context, err error) mesh.Exit {
	var quiet Exit
	var sent *sendError
	switch {
	case err == nil:
		return mesh.ExitOK
	case errors.As(err, &quiet):
		return mesh.Exit(quiet)
	case ctx.Err() != nil && mesh.IsCode(err, mesh.Cancelled) && !a.wantsJSON() && !errors.As(err, &sent):
		return mesh.ExitCancelled // who pressed Ctrl-C knows, but for what became of a message
	}
	text := mesh.PublicText(err)
	if mesh.IsCode(err, mesh.Internal) && (a.Flags.Verbose || a.Env.Debug) {
		text = err.Error()
	}
	if a.wantsJSON() {
		a.writeErrorJSON(newErrorView(text, err))
	} else {
		writeError(a.Err, text, err)
	}
	return mesh.CodeOf(err).Exit()
}

// wantsJSON reports whether JSON was asked for, also by a command line that was not read to its end.
func (a *App) wantsJSON() bool {
	if a.Flags.JSON.On {
		return true
	}
	for _, arg := range a.Sys.Args {
		if arg == "--" {
			break
		}
		if arg == "--json" || strings.HasPrefix(arg, "--json=") && arg != "--json=false" {
			return true
		}
	}
	return false
}

// errorView is the JSON of a verb that failed (design A3): what everyone needs, then what belongs to some codes.
type errorView struct {
	Header
	OK              bool                 `json:"ok"`
	Error           string               `json:"error"`
	Code            mesh.Code            `json:"code"`
	Hint            string               `json:"hint,omitzero"`
	ClientMessageID mesh.ClientID        `json:"client_message_id,omitzero"`
	State           mesh.State           `json:"state,omitzero"`
	Missing         []string             `json:"missing,omitzero"`
	Candidates      []localapi.Candidate `json:"candidates,omitzero"`
	Attached        []string             `json:"attached,omitzero"`
	Limit           int64                `json:"limit,omitzero"`
	Conflict        string               `json:"conflict,omitzero"`
	BrokerMessageID *mesh.ID             `json:"broker_message_id,omitzero"`
}

func newErrorView(text string, err error) errorView {
	_, body := localapi.EncodeError(err)
	v := errorView{
		Header: NewHeader(), Error: text, Code: mesh.CodeOf(err), Hint: hint(err), State: body.State, Missing: body.Missing, Candidates: body.Candidates,
		Attached: body.Attached, Limit: body.Limit, Conflict: body.Conflict, BrokerMessageID: body.BrokerMessageID,
	}
	var sent *sendError
	if errors.As(err, &sent) {
		v.ClientMessageID = sent.id
	}
	return v
}

func (a *App) writeErrorJSON(v errorView) {
	data, err := wire.EncodeIndent(v)
	if err != nil { // a text that is not UTF-8
		data = []byte(`{"schema_version":"1.0","ok":false,"error":"internal error","code":"internal"}`)
	}
	_, _ = fmt.Fprintf(a.Out, "%s\n", projection.Escape(data)) // a closed pipe has nobody to tell
}

// writeError writes an error for people: what, the form of the verb, who or what could be meant, what to do (cli 29).
func writeError(s term.Stream, text string, err error) {
	s.Plain("claudemesh: %s", term.CleanBlock(text))
	var m *mistake
	if errors.As(err, &m) {
		s.Plain("usage: %s", UseLine(m.cmd))
	}
	var e *mesh.Error
	if errors.As(err, &e) {
		for _, c := range e.Details.Candidates {
			s.Line("%s", s.Paint(term.Dim, Facts(c.Name, c.Key.Short(), c.Mesh, onlineWord(c.Online))))
		}
		if len(e.Details.Attached) > 0 {
			s.Line("%s", s.Paint(term.Dim, "joined: "+strings.Join(e.Details.Attached, ", ")))
		}
		if e.Details.State != "" {
			s.Line("%s", s.Paint(term.Dim, "so far: "+string(e.Details.State)))
		}
	}
	if text := hint(err); text != "" {
		s.Plain("hint: %s", term.Clean(text))
	}
}

// hint is what to do about an error, with the words of this run in it.
func hint(err error) string {
	var m *mistake
	if errors.As(err, &m) {
		return "see `" + m.cmd.CommandPath() + " --help`"
	}
	text := mesh.CodeOf(err).Hint()
	var sent *sendError
	if errors.As(err, &sent) {
		switch mesh.CodeOf(err) { // without its id a second try would be a second message (daemon 25, row 38)
		case mesh.Timeout:
			text = "it may be queued all the same: the same command with --id <id> sends it once"
		case mesh.Cancelled:
			text = "the message may have been queued: `claudemesh message status <id>` tells"
		}
		text = strings.ReplaceAll(text, "<id>", string(cmp.Or(sent.id, "<id>")))
	}
	return text
}
