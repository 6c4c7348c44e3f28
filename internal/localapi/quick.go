package localapi

import "github.com/claudemesh/claudemesh/internal/wire"

// WriteJSON writes the members (wire.QuickWriter).
func (r SendRequest) WriteJSON(o *wire.Object) {
	o.Text("to", r.To, false)
	o.Text("message", r.Message, false)
	o.Text("priority", r.Priority, true)
	o.Raw("meta", r.Meta)
	o.Text("reply_to_id", r.ReplyToID, true)
	o.Text("client_message_id", r.ClientMessageID, true)
	o.Text("mesh", r.Mesh, true)
	o.True("to_self", r.ToSelf)
	o.True("require_encrypted", r.RequireEncrypted)
	o.True("allow_downgrade", r.AllowDowngrade)
	o.Text("wait", string(r.Wait), true)
	o.Int("wait_ms", r.WaitMs, true)
}

// ReadJSON reads a member, but for the recipients of a group (wire.QuickReader).
func (a *SendAnswer) ReadJSON(name string, m *wire.Member) bool {
	switch name {
	case "client_message_id":
		return m.Text((*string)(&a.ClientMessageID))
	case "status":
		return m.Text(&a.Status)
	case "broker_message_id":
		return m.Text((*string)(&a.BrokerMessageID))
	case "duplicate":
		return m.Bool(&a.Duplicate)
	case "mesh":
		return m.Text(&a.Mesh)
	case "target":
		return m.Text(&a.Target)
	case "target_name":
		return m.Text(&a.TargetName)
	case "encrypted":
		return m.Bool(&a.Encrypted)
	case "recipient_online":
		a.RecipientOnline = new(bool)
		return m.Bool(a.RecipientOnline)
	case "state":
		return m.Text((*string)(&a.State))
	case "first_plaintext":
		return m.Bool(&a.FirstPlaintext)
	}
	return false
}
