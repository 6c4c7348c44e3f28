package queue

import (
	"encoding/base64"
	"encoding/hex"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// kinds are the names of the kinds of a target on the wire.
var kinds = map[store.Kind]protocol.TargetKind{
	store.ToMember: protocol.KindMember, store.ToSession: protocol.KindSession,
	store.ToGroup: protocol.KindGroup, store.ToEveryone: protocol.KindAll,
}

// liveFrame encodes the push of a new message, once for all recipients, or not at all when none of them is connected.
func (q *Queue) liveFrame(s *session.Session, req *protocol.SendRequest, a *accept) ([]byte, error) {
	live := a.to.others != nil // who of them is there is not known yet
	for _, to := range a.to.known {
		live = live || q.dir.online(to.box)
	}
	if !live {
		return nil, nil
	}
	m := &a.msg
	return protocol.Push.Encode(protocol.PushedMessage{
		MessageID: m.ID, MeshID: s.Mesh, SenderPubkey: s.Key(), SenderMemberPubkey: s.MemberKey, SenderMemberID: s.Member,
		SenderName: m.SenderName, TargetSpec: req.TargetSpec, TargetKind: kinds[m.Kind], ReplyToID: m.ReplyTo,
		Priority: m.Priority, Nonce: req.Nonce, Ciphertext: req.Ciphertext, CreatedAt: mesh.FormatTime(m.CreatedAt),
		ClientMessageID: m.ClientID, RequestFingerprint: hex.EncodeToString(m.Fingerprint), BodyVersion: m.BodyVersion, TraceID: m.Trace, Auth: req.Auth,
	})
}

// storedRow makes a row, with its push, of what the store holds.
func storedRow(to *address, c *store.Copy) (hub.Row, error) {
	p := protocol.PushedMessage{
		MessageID: c.ID, MeshID: to.mesh, SenderPubkey: c.SessionKey, SenderMemberPubkey: c.SenderKey, SenderMemberID: c.SenderID,
		SenderName: c.SenderName, TargetSpec: c.Target, TargetKind: kinds[c.Kind], ReplyToID: c.ReplyTo,
		Priority: c.Priority, Nonce: base64.StdEncoding.EncodeToString(c.Nonce), Ciphertext: base64.StdEncoding.EncodeToString(c.Ciphertext),
		CreatedAt: mesh.FormatTime(c.CreatedAt), ClientMessageID: c.ClientID, RequestFingerprint: hex.EncodeToString(c.Fingerprint),
		BodyVersion: c.BodyVersion, TraceID: c.Trace, Auth: c.Auth,
	}
	if p.SenderPubkey == "" {
		p.SenderPubkey = c.SenderKey
	}
	if p.TargetSpec == "" {
		p.TargetSpec = string(to.key)
	}
	frame, err := protocol.Push.Encode(p)
	return hub.Row{
		N: c.N, ID: c.ID, ClientID: c.ClientID, Urgent: c.Urgent, Frame: frame,
		Sender: hub.Sender{N: c.Sender, Member: c.SenderID}, Bytes: c.Bytes,
	}, err
}
