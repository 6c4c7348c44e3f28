package mcp

import (
	"strconv"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// badges are written before a message that is not of the usual urgency (mcp 2.1).
var badges = map[mesh.Priority]string{mesh.Now: "[URGENT] ", mesh.Low: "[low] "}

// contentOf is the text of a channel notification (mcp 2.1).
func contentOf(item localapi.InboxItem) string {
	content := badges[item.Priority] + host.Line(host.Name(item.SenderName))
	if item.Topic != nil {
		content += " (#" + host.Line(*item.Topic) + ")"
	}
	return content + ": " + host.Body(host.Text(item))
}

// metaOf are the attributes of a channel notification: strings only, the host drops a notification with anything else and
// tells nobody (mcp 2).
func metaOf(item localapi.InboxItem) map[string]string {
	member := item.SenderMemberPubkey
	if member == "" {
		member = item.SenderPubkey
	}
	kind := "message"
	if item.Subtype == "reminder" {
		kind = item.Subtype
	}
	meta := map[string]string{
		"kind":                kind,
		"from_name":           host.Name(item.SenderName),
		"from_id":             string(member), // what older versions sent
		"from_member_pubkey":  string(member),
		"from_session_pubkey": string(item.SenderPubkey),
		"from_pubkey":         string(item.SenderPubkey),
		"mesh_slug":           item.Mesh,
		"priority":            string(item.Priority),
		"message_id":          host.MessageID(item),
		"client_message_id":   string(item.ClientMessageID),
		"topic":               deref(item.Topic),
		"reply_to_id":         deref(item.ReplyToID),
		"subtype":             item.Subtype,
		"sent_at":             item.CreatedAt,
		"attempt":             item.Attempt,
		"encrypted":           strconv.FormatBool(item.Encrypted),
		"verified":            strconv.FormatBool(item.Verified),
	}
	for name, value := range meta {
		if value == "" {
			delete(meta, name)
			continue
		}
		meta[name] = host.Attribute(value)
	}
	return meta
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// channelNote is the notification by which text comes into a session (host 1).
type channelNote struct {
	Content string            `json:"content"`
	Meta    map[string]string `json:"meta,omitempty"`
}

// channel sends one channel notification.
func (s *server) channel(content string, meta map[string]string) error {
	return s.notify("notifications/claude/channel", channelNote{content, meta})
}
