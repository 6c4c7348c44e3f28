package mcp

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// messageTools are what a host without a shell gets: to write, to see who is there, to read, and to follow what was
// written (mcp 4.1). Bodies of others come in our frame, as they do on every path (design E1, E3).
func messageTools(now mesh.Clock) []tool {
	return []tool{sendTool(now), peersTool(), checkTool(), statusTool()}
}

// severalTo is what a message can be sent to: a peer, or a list of them.
var severalTo = []schema{{Type: "string"}, {Type: "array", Items: &schema{Type: "string"}}}

func sendTool(now mesh.Clock) tool {
	t := offerTool(localapi.Send, tool{
		Title: "Send a message to other sessions",
		Description: "Queue a message for a peer, several, a group (@name) or everybody (*). The answer says what is known: queued is on this " +
			"machine's disk, and tells nothing of the recipient. Groups and * are not encrypted. To repeat a call that failed, give the same client_message_id.",
		Annotations: hints{OpenWorld: true},
	}, "to", "message", "priority", "reply_to_id", "mesh", "client_message_id", "require_encrypted")
	to, priority := t.InputSchema.Properties["to"], t.InputSchema.Properties["priority"]
	to.Type, to.AnyOf = "", severalTo
	priority.Enum = []string{string(mesh.Now), string(mesh.Next), string(mesh.Low)}
	t.InputSchema.Properties["to"], t.InputSchema.Properties["priority"] = to, priority
	t.run = func(ctx context.Context, c *local.Client, raw wire.RawMessage) (string, error) {
		req, to, err := letterOf(t.InputSchema, raw)
		if err != nil {
			return "", err
		}
		req.ClientMessageID = cmp.Or(req.ClientMessageID, string(mesh.NewClientID(now())))
		var sent []localapi.SendAnswer
		if len(to) == 1 {
			req.To = to[0]
			var one localapi.SendAnswer
			one, err = localapi.Send.Do(ctx, c, req)
			sent = []localapi.SendAnswer{one}
		} else {
			var all localapi.SendManyAnswer
			all, err = localapi.SendMany.Do(ctx, c, localapi.SendManyRequest{Recipients: to, Letter: req})
			sent = all.Messages
		}
		if err != nil {
			return "", &letterError{err, req.ClientMessageID}
		}
		return sentText(sent), nil
	}
	return t
}

// letterError is an error about a message that a repetition must name.
type letterError struct {
	err error
	id  string
}

func (e *letterError) Error() string { return e.err.Error() + ", client_message_id " + e.id }
func (e *letterError) Unwrap() error { return e.err }

// letterOf reads a letter, and whom it is to go to: one, or several.
func letterOf(s schema, raw wire.RawMessage) (req localapi.SendRequest, to []string, err error) {
	given, err := s.check(raw)
	if err != nil {
		return req, nil, err
	}
	if given["to"].Kind() == '[' {
		if wire.Decode(given["to"], &to) != nil || len(to) == 0 {
			return req, nil, mesh.Errorf(mesh.InvalidArgument, "to is neither a peer nor a list of peers")
		}
		given["to"] = wire.RawMessage(`""`)
	}
	if raw, err = wire.Encode(given); err != nil {
		return req, nil, err
	}
	if req, err = arguments[localapi.SendRequest](s, raw); err == nil && to == nil {
		to = []string{req.To}
	}
	return req, to, err
}

// sentText says what is known of what was sent (design D5).
func sentText(sent []localapi.SendAnswer) string {
	var b strings.Builder
	for _, m := range sent {
		fmt.Fprintf(&b, "%s for %s in %s, id %s", cmp.Or(string(m.State), string(mesh.StateQueued)), host.Line(cmp.Or(m.TargetName, m.Target)),
			host.Line(m.Mesh), cmp.Or(string(m.BrokerMessageID), string(m.ClientMessageID)))
		if m.Duplicate {
			b.WriteString("; the same id was sent before")
		}
		if !m.Encrypted {
			b.WriteString("; not encrypted: the broker's operator can read it")
		}
		if m.RecipientOnline != nil && !*m.RecipientOnline {
			b.WriteString("; the recipient is offline and gets it on return")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func statusTool() tool {
	t := offerTool(localapi.MessageStatus, tool{
		Title: "How far a sent message has come",
		Description: "What is known of a message that was sent from here, for each recipient: queued, accepted (on the broker's disk), delivered (on " +
			"the recipient's), surfaced (shown to its model), acknowledged. What is marked relay says nobody signed.",
		Annotations: hints{ReadOnly: true, Idempotent: true},
	}, "id", "mesh")
	t.run = func(ctx context.Context, c *local.Client, raw wire.RawMessage) (string, error) {
		req, err := arguments[localapi.StatusRequest](t.InputSchema, raw)
		if err != nil {
			return "", err
		}
		a, err := localapi.MessageStatus.Do(ctx, c, req)
		if err != nil {
			return "", err
		}
		return statusText(a), nil
	}
	return t
}

func statusText(a localapi.StatusAnswer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: to %s in %s", a.State, host.Line(a.TargetSpec), host.Line(a.Mesh))
	if !a.Encrypted {
		b.WriteString("; not encrypted")
	}
	if a.LastError != "" {
		b.WriteString("; last error: " + host.Line(a.LastError))
	}
	if o := a.WaitsBehind; o != nil {
		b.WriteString("; waits behind " + host.Line(string(o.ClientMessageID)) + ", to the same recipient: " + host.Line(o.Reason))
	}
	for _, r := range a.Recipients {
		fmt.Fprintf(&b, "\n- %s: %s", host.Line(cmp.Or(r.Name, r.Pubkey.Short())), r.State)
		if r.At != "" {
			b.WriteString(" " + r.At)
		}
		if r.Reason != "" {
			b.WriteString(", " + host.Line(r.Reason))
		}
		if !r.Verified && r.State.Reached(mesh.StateAccepted) {
			b.WriteString(", relay says")
		}
		if r.CanTell != nil && !*r.CanTell {
			b.WriteString(", which cannot tell whether it was shown")
		}
	}
	return b.String() + "\n"
}
