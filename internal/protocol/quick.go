package protocol

import "github.com/claudemesh/claudemesh/internal/wire"

// WriteJSON writes the members (wire.QuickWriter).
func (m PushedMessage) WriteJSON(o *wire.Object) {
	o.Text("messageId", string(m.MessageID), false)
	o.Text("meshId", string(m.MeshID), false)
	o.Text("senderPubkey", string(m.SenderPubkey), false)
	o.Text("senderMemberPubkey", string(m.SenderMemberPubkey), true)
	o.Text("senderMemberId", string(m.SenderMemberID), true)
	o.Text("senderName", m.SenderName, true)
	o.Text("targetSpec", m.TargetSpec, true)
	o.Text("targetKind", string(m.TargetKind), true)
	o.Text("topic", m.Topic, true)
	o.Text("replyToId", m.ReplyToID, true)
	o.Text("priority", string(m.Priority), false)
	o.Text("nonce", m.Nonce, false)
	o.Text("ciphertext", m.Ciphertext, false)
	o.Text("createdAt", m.CreatedAt, false)
	o.Text("client_message_id", string(m.ClientMessageID), true)
	o.Text("request_fingerprint", m.RequestFingerprint, true)
	o.Int("bodyVersion", int64(m.BodyVersion), true)
	o.Text("traceId", m.TraceID, true)
	o.Raw("auth", m.Auth)
	o.Text("subtype", m.Subtype, true)
	o.Text("event", m.Event, true)
	o.Raw("eventData", m.EventData)
	o.Text("mailbox", string(m.Mailbox), true)
}

// WriteJSON writes the members (wire.QuickWriter).
func (a Ack) WriteJSON(o *wire.Object) {
	o.Text("id", a.ID, false)
	o.Text("messageId", string(a.MessageID), false)
	o.Bool("queued", a.Queued)
	o.Text("error", a.Error, true)
	o.Text("code", string(a.Code), true)
	o.True("duplicate", a.Duplicate)
	o.Int("recipients", int64(a.Recipients), true)
	o.Int("retryMs", a.RetryMs, true)
	o.Text("firstSeenAt", a.FirstSeenAt, true)
	if a.HistoryAvailable != nil {
		o.Bool("historyAvailable", *a.HistoryAvailable)
	}
	o.Text("conflict", a.Conflict, true)
}

// WriteJSON writes the members (wire.QuickWriter).
func (r Receipt) WriteJSON(o *wire.Object) {
	o.Int("seq", r.Seq, false)
	o.Text("messageId", string(r.MessageID), false)
	o.Text("clientMessageId", string(r.ClientMessageID), true)
	o.Text("recipient", string(r.Recipient), false)
	o.Text("state", string(r.State), false)
	o.Text("reason", r.Reason, true)
	o.Text("at", r.At, false)
	o.Raw("proof", r.Proof)
}
