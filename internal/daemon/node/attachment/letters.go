package attachment

import (
	"context"
	"slices"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// letterOf is a message as a dead letter. Only what may be opened later keeps its frame.
func (a intake) letterOf(msg protocol.PushedMessage, to mesh.Key, kind inbox.Kind, reason inbox.Reason) inbox.Letter {
	l := inbox.Letter{
		MeshID: a.Mesh.ID, Mesh: a.Mesh.Slug, Reason: reason, ClientID: msg.ClientMessageID, BrokerID: msg.MessageID, To: to, Kind: kind,
		From: inbox.Author{Key: msg.SenderPubkey, Member: msg.SenderMemberPubkey, Name: mesh.SafeName(msg.SenderName, msg.SenderPubkey.Short())},
	}
	if mayPass(reason) {
		frame, err := wire.Encode(msg)
		if err != nil {
			a.opt.Log.Warn("letter without its frame", logkey.Mesh, a.Mesh.Slug, logkey.Err, err)
		}
		l.Push = frame
	}
	return l
}

// mayPass reports whether a reason may not hold any more some day.
func mayPass(r inbox.Reason) bool {
	return r == inbox.DidNotOpen || r == inbox.Unproved || r == inbox.Blocked
}

// bury keeps what came and gets no row in the inbox.
func (a intake) bury(ctx context.Context, msg protocol.PushedMessage, reason inbox.Reason) error {
	return a.opt.Inbox.Letters().Keep(ctx, a.letterOf(msg, a.own, a.kind, reason))
}

// put stores a message; beside one that did not open, or whose proof did not hold, what it takes to try again.
func (a intake) put(ctx context.Context, msg protocol.PushedMessage, d inbox.Draft) (inbox.Row, inbox.Verdict, error) {
	switch {
	case d.Body == nil:
		return a.opt.Inbox.Letters().PutDead(ctx, d, a.letterOf(msg, d.To, d.Kind, inbox.DidNotOpen))
	case msg.Auth != nil && !d.From.Verified:
		return a.opt.Inbox.Letters().PutDead(ctx, d, a.letterOf(msg, d.To, d.Kind, inbox.Unproved))
	}
	return a.opt.Inbox.Put(ctx, d)
}

// Redeliver opens a dead letter with what is known now: every key of this mesh that is kept here, and every key of whom the
// broker names as its sender. What opens, and may come in, is in the inbox when it returns, once. verified says instead that
// the message is there already and its sender is proved now. undecryptable, bad_signature, forbidden: nothing has changed.
func Redeliver(ctx context.Context, a *Attachment, l inbox.Letter) (row inbox.Row, verified bool, err error) {
	var msg protocol.PushedMessage
	if !mayPass(l.Reason) || l.Push == nil {
		return inbox.Row{}, false, mesh.Errorf(mesh.Forbidden, "there is nothing to open in it (%s): it stays as a note", l.Reason)
	}
	if err := wire.Decode(l.Push, &msg); err != nil {
		return inbox.Row{}, false, mesh.Errorf(mesh.StoreCorrupt, "read the letter: %w", err)
	}
	in, opened, err := reopen(ctx, a, l, &msg)
	if err != nil {
		return inbox.Row{}, false, err
	}
	if !a.Order.Admits(ctx, msg, direct(msg), authorOf(opened)) {
		return inbox.Row{}, false, mesh.Errorf(mesh.Forbidden, "its sender is blocked: `claudemesh unblock` lets it in")
	}
	reflected, err := a.opt.Outbox.Reflected(ctx, msg.Nonce, in.own)
	if err != nil {
		return inbox.Row{}, false, err
	}
	if reflected {
		return inbox.Row{}, false, mesh.Errorf(mesh.Forbidden, "it is a message of your own that was sent back")
	}
	d := in.draft(ctx, msg, opened, nil)
	switch {
	case d.Body == nil:
		return inbox.Row{}, false, mesh.Errorf(mesh.Undecryptable, "what is in it is no text")
	case l.Reason == inbox.Unproved && !d.From.Verified:
		return inbox.Row{}, false, mesh.Errorf(mesh.BadSignature, "its sender is still not proved: the daemon's log says why")
	}
	row, verdict, err := a.opt.Inbox.Letters().Reopen(ctx, l, d)
	switch {
	case err != nil || verdict == inbox.New:
		return row, false, err
	case l.Reason == inbox.Unproved:
		return row, true, nil
	}
	return row, false, mesh.Errorf(mesh.MessageSettled, "the same message came before: it is not shown again")
}

// reopen tries every key that may fit. Who sealed a box is its author, also where the broker named somebody else of the same
// member.
func reopen(ctx context.Context, a *Attachment, l inbox.Letter, msg *protocol.PushedMessage) (intake, seal.Opened, error) {
	in := intake{a, l.To, l.Kind, seal.SecretKey{}, ""}
	secrets, err := membership.SessionSecrets(a.opt.Book, a.Mesh.ID)
	if err != nil {
		return in, seal.Opened{}, err
	}
	for _, s := range a.Sessions.all() {
		secrets = append(secrets, s.Secret)
	}
	known, err := a.opt.DB.ListPeers(ctx, a.Mesh.ID)
	if err != nil {
		return in, seal.Opened{}, err
	}
	opened, err := openBox(a.opt.Boxes, *msg, append(secrets, a.Mesh.Secret), sendersOf(known, *msg))
	if err != nil {
		return in, seal.Opened{}, mesh.Errorf(mesh.Undecryptable, "it opens with no key of this machine")
	}
	if opened.Boxed {
		if in.own, in.kind = mesh.Key(opened.Recipient.String()), inbox.Session; in.own == a.Mesh.Pubkey() {
			in.kind = inbox.Member
		}
		if author := authorOf(opened); author != msg.SenderPubkey && author != msg.SenderMemberPubkey {
			msg.SenderPubkey, msg.SenderMemberPubkey = author, memberOf(known, author)
		}
	}
	return in, opened, nil
}

// sendersOf lists the keys that may have sealed a message: those that the broker names, and all that are known of the same
// members.
func sendersOf(known []localdb.Peer, msg protocol.PushedMessage) []mesh.Key {
	keys := []mesh.Key{msg.SenderPubkey, msg.SenderMemberPubkey}
	members := []mesh.Key{msg.SenderPubkey, msg.SenderMemberPubkey, memberOf(known, msg.SenderPubkey)}
	for _, p := range known {
		if p.MemberKey != "" && slices.Contains(members, p.MemberKey) {
			keys = append(keys, p.Key, p.MemberKey)
		}
	}
	return keys
}

// memberOf is whose a key is; empty where nobody knows.
func memberOf(known []localdb.Peer, key mesh.Key) mesh.Key {
	for _, p := range known {
		if p.Key == key || p.MemberKey == key {
			return p.MemberKey
		}
	}
	return ""
}
