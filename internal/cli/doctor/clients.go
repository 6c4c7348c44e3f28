package doctor

import (
	"context"
	"slices"

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

// sessionView is one registered session with the paths by which messages reach it.
type sessionView struct {
	localapi.SessionPaths
	Holds bool `json:"holds" jsonschema:"messages of others wait for its human"`
}

// Ways by which a message arrives.
const (
	bySocket = "its inbox socket: between two tool calls, and an idle session wakes; where there is none, the channel, with the next turn"
	orHooks  = "; its hooks show what came by neither"
	byHand   = "held: nobody knows whether it acts alone. One notice, then `claudemesh inbox` in a terminal of your own"
	notTold  = "nothing arrives: `claudemesh install` tells it of claudemesh"
)

func clientsOf(p *patient) []clientView {
	all := []clientView{}
	for _, c := range p.clients {
		v := clientView{ID: c.ID, Name: c.Name, Told: c.Told(p.places), Path: byHand}
		for _, s := range p.steps {
			v.Hooks = v.Hooks || s.Client == c.ID && s.What == install.Hooks && (s.Action == install.Unchanged || plugged(p, s))
		}
		if c.ID == "claude" {
			v.Path, v.Wakes = bySocket, true
			if v.Hooks {
				v.Path += orHooks
			}
		}
		if !v.Told {
			v.Path, v.Wakes = notTold, false
		}
		all = append(all, v)
	}
	return all
}

// sessionsOf lists the sessions that the daemon knows. That it does not answer is said already.
func sessionsOf(ctx context.Context, p *patient) []sessionView {
	all := []sessionView{}
	paths, err := shell.Ask(ctx, p.app, localapi.SessionPathsList, shell.ProbeTime, localapi.None{})
	if err != nil {
		return all
	}
	known, err := shell.Ask(ctx, p.app, localapi.Sessions, shell.ProbeTime, localapi.None{})
	if err != nil {
		return all
	}
	for _, one := range paths.Sessions {
		i := slices.IndexFunc(known.Sessions, func(s localapi.Session) bool { return s.SessionID == one.SessionID })
		all = append(all, sessionView{one, i >= 0 && known.Sessions[i].Holds})
	}
	return all
}

// way is a path in words.
func way(path string) string {
	switch path {
	case localapi.PathSocket:
		return "its inbox socket"
	case localapi.PathChannel:
		return "its channel"
	case localapi.PathHook:
		return "its hooks"
	case localapi.PathTool:
		return "answers of our tools"
	}
	return "its inbox, when it looks"
}

// arrives says how the next message comes into a session.
func arrives(s sessionView) string {
	switch {
	case s.MessageMode == localapi.ModeOff:
		return "shown nothing: its message mode is off"
	case s.Holds:
		return "messages of others are held for its human: it acts without asking"
	}
	facts := []string{"by " + way(s.Chosen)}
	for _, path := range s.Paths {
		switch {
		case path.Path == s.Chosen && path.State == localapi.PathProved:
			facts[0] += ", proved"
		case path.Path != s.Chosen && path.Reason != "":
			facts = append(facts, "not by "+way(path.Path)+": "+path.Reason)
		}
	}
	if s.Wakes {
		facts = append(facts, "an idle session wakes")
	}
	return shell.Facts(facts...)
}
