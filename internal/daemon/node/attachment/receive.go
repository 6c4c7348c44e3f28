package attachment

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/daemon/events"
	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// intake is what is pushed to one of our keys: the member's, or a session's.
type intake struct {
	*Attachment
	own     mesh.Key
	kind    inbox.Kind
	session seal.SecretKey // zero for the member's own
	who     string         // host session id; empty for the member
}

func newIntake(a *Attachment, session seal.SecretKey, who string) intake {
	if session.IsZero() {
		return intake{a, a.Mesh.Pubkey(), inbox.Member, session, who}
	}
	return intake{a, mesh.Key(session.Public().String()), inbox.Session, session, who}
}

// receive opens a message, puts it on the disk, and acknowledges it, in this order, so that what the broker may forget
// is never lost. An error says that it is not on the disk, and may be later.
func (a intake) receive(ctx context.Context, peer *wire.Peer, msg protocol.PushedMessage) error {
	if msg.Subtype == protocol.SubtypeSystem {
		if a.kind == inbox.Member { // one copy a daemon: its sessions' connections bring the same events
			a.systemEvent(msg)
			a.opt.Owners.Hear(a.Mesh, a.Facts, msg)
		}
		return nil
	}
	if a.Sessions.departing(a.own) {
		return nil // not acknowledged: it waits for the session, which may come back
	}
	switch err := a.keep(ctx, msg); {
	case errors.Is(err, errHeld):
		if a.Link.Has(protocol.CapGo) {
			return nil // not acknowledged: the broker keeps it, as for somebody who is away (design D5)
		}
		if err := a.bury(ctx, msg, inbox.Blocked); err != nil { // this broker would send it again and again
			return fmt.Errorf("keep a message: %w", err)
		}
	case mesh.IsCode(err, mesh.BadRequest): // it says of itself what no message says
		a.opt.Log.Warn("message makes no sense", logkey.Mesh, a.Mesh.Slug, logkey.MessageID, string(msg.MessageID), logkey.Err, err)
		if err := a.bury(ctx, msg, inbox.Senseless); err != nil {
			return fmt.Errorf("keep a message: %w", err)
		}
		return nil // not acknowledged: its sender must not hear that it was delivered
	case err != nil: // without an acknowledgement it comes again
		a.opt.Log.Error("message not kept", logkey.Mesh, a.Mesh.Slug, logkey.MessageID, string(msg.MessageID), logkey.Err, err)
		return fmt.Errorf("keep a message: %w", err)
	}
	ack := protocol.ClientAckRequest{ClientMessageID: msg.ClientMessageID, BrokerMessageID: msg.MessageID}
	if err := protocol.ClientAck.Send(ctx, peer, ack); err != nil && ctx.Err() == nil {
		a.opt.Log.Info("acknowledgement not sent", logkey.Mesh, a.Mesh.Slug, logkey.Err, err) // it comes again and is known
	}
	return nil
}

// errHeld says that the user does not let the sender write.
var errHeld = errors.New("the sender is blocked")

// keep stores one message. Nil means that it is on the disk, was there already, or is refused for good.
func (a intake) keep(ctx context.Context, msg protocol.PushedMessage) error {
	opened, unread := a.open(msg)
	to, _ := a.recipient(msg, opened)
	reflected, err := a.reflected(ctx, msg, to)
	if err != nil {
		return err
	}
	if reflected {
		a.opt.Log.Warn("reflected message dropped", logkey.Mesh, a.Mesh.Slug, logkey.MessageID, string(msg.MessageID))
		return a.bury(ctx, msg, inbox.Bounced)
	}
	if !a.Order.Admits(ctx, msg, direct(msg), authorOf(opened)) {
		a.opt.Log.Debug("message of a blocked sender not let in", logkey.Mesh, a.Mesh.Slug, logkey.MessageID, string(msg.MessageID))
		return errHeld
	}
	if a.approval(ctx, msg, opened) {
		return nil
	}
	row, verdict, err := a.put(ctx, msg, a.draft(ctx, msg, opened, unread))
	if err != nil {
		return err
	}
	switch verdict {
	case inbox.Replayed:
		a.opt.Log.Warn("replayed message dropped", logkey.Mesh, a.Mesh.Slug, logkey.MessageID, string(msg.MessageID))
		return a.bury(ctx, msg, inbox.Copied)
	case inbox.New:
		if v := a.Voice(a.who); v != nil {
			v.tally.in.Add(1)
		}
		a.opt.Log.Debug("message kept", logkey.Mesh, a.Mesh.Slug, logkey.MessageID, string(msg.MessageID), logkey.Trace, row.TraceID)
	case inbox.Duplicate:
	}
	return nil
}

// reflected reports whether a message is our own and came back: a box at another key than its recipient's (design C9), what
// went to many at the key that sent it.
func (a intake) reflected(ctx context.Context, msg protocol.PushedMessage, to mesh.Key) (bool, error) {
	found, err := a.opt.Outbox.Reflected(ctx, msg.Nonce, to)
	if found || err != nil || direct(msg) {
		return found, err
	}
	if to == a.Mesh.Pubkey() {
		to = ""
	}
	return a.opt.Outbox.Bounced(ctx, msg.ClientMessageID, msg.Nonce, to)
}

// recipient is whose message it is: what is sealed to the member, or waited for it, is the member's, wherever it came.
// Other brokers push it to whichever connection comes first (wire TRAP J); ours pushes it over a session's when the
// daemon's is not there, and again over that one when the first was lost.
func (a intake) recipient(msg protocol.PushedMessage, opened seal.Opened) (mesh.Key, inbox.Kind) {
	own := a.Mesh.Pubkey()
	if opened.Boxed && mesh.Key(opened.Recipient.String()) == own || !opened.Boxed && msg.Mailbox == protocol.KindMember {
		return own, inbox.Member
	}
	return a.own, a.kind
}

// draft is a message as far as it opened (daemon 14.2, design C10).
func (a intake) draft(ctx context.Context, msg protocol.PushedMessage, opened seal.Opened, err error) inbox.Draft {
	d := inbox.Draft{
		MeshID: a.Mesh.ID, Mesh: a.Mesh.Slug, ClientID: msg.ClientMessageID, BrokerID: msg.MessageID, Topic: topicOf(msg),
		From:    inbox.Author{Key: msg.SenderPubkey, Member: msg.SenderMemberPubkey, Name: mesh.SafeName(msg.SenderName, msg.SenderPubkey.Short())},
		ReplyTo: msg.ReplyToID, Priority: msg.Priority, Subtype: msg.Subtype, TraceID: msg.TraceID,
	}
	if d.ClientID == "" {
		d.ClientID = mesh.ClientID(msg.MessageID) // older brokers do not pass it on (daemon 14.1)
	}
	if t, err := time.Parse(time.RFC3339Nano, msg.CreatedAt); err == nil {
		d.CreatedAt = t
	}
	d.To, d.Kind = a.recipient(msg, opened)
	if err != nil || !utf8.Valid(opened.Plaintext) {
		return d // kept without a text: undecryptable
	}
	text := string(opened.Plaintext)
	d.Body = &text
	a.prove(ctx, msg, &d)
	if opened.Boxed {
		nonce, _ := seal.ParseNonce(msg.Nonce) // a box that opened has one
		hash := seal.NonceHash(opened.Sender, opened.Recipient, nonce)
		d.NonceHash = hash[:]
		d.From.Verified = d.From.Verified || a.OwnKeys()[authorOf(opened)]
	}
	return d
}

// authorOf is the key with which a box was sealed that opened; empty for what was none.
func authorOf(opened seal.Opened) mesh.Key {
	if !opened.Boxed {
		return ""
	}
	return mesh.Key(opened.Sender.String())
}

// topicOf is to whom a message went besides its recipient: a topic, a group, or everyone.
func topicOf(msg protocol.PushedMessage) string {
	if msg.Topic == "" && (msg.TargetKind == protocol.KindGroup || msg.TargetKind == protocol.KindAll) {
		if target, err := mesh.ParseTarget(msg.TargetSpec); err == nil {
			return target.Text
		}
	}
	return msg.Topic
}

// prove checks who sent a message. A proof that does not hold is worth a line: honest brokers change nothing.
func (a intake) prove(ctx context.Context, msg protocol.PushedMessage, d *inbox.Draft) {
	if msg.Auth == nil {
		return
	}
	own := a.OwnKeys()
	proof, err := a.Roster.Pins.Prove(ctx, msg, func(k mesh.Key) bool { return k == a.own || own[k] })
	if err != nil {
		a.opt.Log.Warn("sender not proved", logkey.Mesh, a.Mesh.Slug, logkey.MessageID, string(msg.MessageID), logkey.Err, err)
		return
	}
	d.From.Verified, d.From.Receipts = true, proof.Receipts
	name := proof.Name
	if msg.SenderPubkey == msg.SenderMemberPubkey {
		name = a.Roster.Pins.Of(msg.SenderMemberPubkey).Name
	}
	d.From.Name = mesh.SafeName(name, msg.SenderMemberPubkey.Short())
}

// open tries the keys in their order: the session's, then the member's, against the sender's session, then its member.
func (a intake) open(msg protocol.PushedMessage) (seal.Opened, error) {
	return openBox(a.opt.Boxes, msg, []seal.SecretKey{a.session, a.Mesh.Secret}, []mesh.Key{msg.SenderPubkey, msg.SenderMemberPubkey})
}

// openBox tries own keys against senders; zero keys, and what is no key, are skipped.
func openBox(boxes *seal.Boxes, msg protocol.PushedMessage, secrets []seal.SecretKey, senders []mesh.Key) (seal.Opened, error) {
	in := seal.Inbound{Sealed: seal.Sealed{Nonce: msg.Nonce, Ciphertext: msg.Ciphertext}, Secrets: secrets, Direct: direct(msg)}
	for _, k := range senders {
		if key, err := seal.DecodePublicKey(string(k)); err == nil {
			in.Senders = append(in.Senders, key)
		}
	}
	return boxes.OpenInbound(in)
}

// direct reports whether a message was meant for one key, so that it must be a box. Brokers that do not say name the
// sender only in what goes to many (wire TRAP I).
func direct(msg protocol.PushedMessage) bool {
	if msg.TargetKind != "" {
		return msg.TargetKind.Direct()
	}
	return msg.Topic == "" && msg.SenderName == ""
}

// systemEvent passes on an event of the mesh; it is stored nowhere.
func (a intake) systemEvent(msg protocol.PushedMessage) {
	var data map[string]wire.RawMessage
	fields := map[string]string{}
	if wire.Decode(msg.EventData, &data) == nil {
		for name, value := range data {
			var text string
			if wire.Decode(value, &text) == nil {
				fields[name] = text
			}
		}
	}
	if a.OwnKeys()[mesh.Key(fields["pubkey"])] {
		return // our own coming and going is no news
	}
	kind := localapi.EventSystem
	switch msg.Event {
	case protocol.PeerJoined:
		kind = localapi.EventPeerJoin
	case protocol.PeerLeft:
		kind = localapi.EventPeerLeave
	}
	a.opt.Events.Publish(events.Event{Kind: kind, Mesh: a.Mesh.ID, Body: localapi.SystemEvent{
		TS: mesh.FormatTime(a.opt.Now()), Mesh: a.Mesh.Slug, Event: msg.Event, Data: fields,
	}})
}
