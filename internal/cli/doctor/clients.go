package doctor

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/install"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// clientView is a program whose sessions can be on the mesh.
type clientView struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Told  bool   `json:"told" jsonschema:"it knows of our MCP server"`
	Hooks bool   `json:"hooks" jsonschema:"its sessions say what they do, and what they were shown"`
	Wakes bool   `json:"wakes" jsonschema:"a message can wake an idle session"`
	Path  string `json:"path" jsonschema:"how a message arrives, for people"`
}

// sessionView is one registered session.
type sessionView struct {
	ID    string `json:"session_id"`
	Name  string `json:"name"`
	Host  string `json:"host"`
	Mode  string `json:"message_mode"`
	Holds bool   `json:"holds" jsonschema:"messages of others wait for its human"`
	Path  string `json:"path" jsonschema:"how a message arrives, for people"`
}

// Ways by which a message arrives.
const (
	bySocket = "its inbox socket: between two tool calls, and an idle session wakes; where there is none, the channel, with the next turn"
	byHand   = "held: nobody knows whether it acts alone. One notice, then `claudemesh inbox` in a terminal of your own"
	notTold  = "nothing arrives: `claudemesh install` tells it of claudemesh"
)

// claudeCode is how Claude Code calls itself.
const claudeCode = "claude-code"

func clientsOf(p *patient) []clientView {
	all := []clientView{}
	for _, c := range p.clients {
		v := clientView{ID: c.ID, Name: c.Name, Told: c.Told(p.places), Path: byHand}
		for _, s := range p.steps {
			v.Hooks = v.Hooks || s.Client == c.ID && s.What == install.Hooks && s.Action == install.Unchanged
		}
		if c.ID == "claude" {
			v.Path, v.Wakes = bySocket, true
		}
		if !v.Told {
			v.Path, v.Wakes = notTold, false
		}
		all = append(all, v)
	}
	return all
}

// sessionsOf lists the sessions that the daemon knows.
func sessionsOf(ctx context.Context, p *patient) []sessionView {
	all := []sessionView{}
	answer, err := shell.Ask(ctx, p.app, localapi.Sessions, shell.ProbeTime, localapi.None{})
	if err != nil {
		return all // that the daemon does not answer is said already
	}
	for _, s := range answer.Sessions {
		v := sessionView{ID: s.SessionID, Name: s.DisplayName, Host: s.Host.Name, Mode: s.MessageMode, Holds: s.Holds, Path: byHand}
		switch {
		case s.MessageMode == localapi.ModeOff:
			v.Path = "nothing is shown: its message mode is off"
		case s.Holds:
			v.Path = "held for its human: it acts without asking"
		case s.Host.Name == claudeCode:
			v.Path = bySocket
		}
		all = append(all, v)
	}
	return all
}
