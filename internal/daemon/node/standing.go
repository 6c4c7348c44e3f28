package node

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/address"
	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Standing is what is thought of the sender of a message, now: pins change after it came.
type Standing struct {
	Known      bool   // its key is that of a member who is or was there, and who proved no more than this before
	Verified   bool   // it is proved to be of a pinned member, under a name that nobody else holds (design C8)
	Unattended bool   // and its human trusted it to reach sessions that act alone (design E3)
	Name       string // to show
}

// Standing judges the sender of a message. The error says that nobody could be asked about it: later the answer may be
// another.
func (t Trust) Standing(ctx context.Context, r inbox.Row) (Standing, error) {
	n := t.Node
	s := Standing{Name: r.SenderName}
	at, err := n.byID(r.MeshID)
	if err != nil {
		return s, err
	}
	if r.Sender == "" {
		return s, nil
	}
	if at.OwnKeys()[r.Sender] || r.Verified && r.SenderMember == at.Mesh.Pubkey() {
		s.Known, s.Verified = true, r.Verified
		return s, nil
	}
	asked := error(nil)
	pin := at.Roster.Pins.Of(r.SenderMember)
	if !pin.Pinned && !pin.Rejected {
		_, asked = at.Roster.Lately(ctx) // which pins who came a moment ago
		pin = at.Roster.Pins.Of(r.SenderMember)
	}
	if r.Verified && pin.Pinned && r.Sender == r.SenderMember && pin.Name != "" {
		s.Name = pin.Name
	}
	taken := at.Roster.Pins.Taken(s.Name, r.SenderMember)
	s.Verified = r.Verified && pin.Pinned && !taken
	s.Unattended = s.Verified && pin.Unattended
	switch {
	case s.Verified:
		s.Known = true
		return s, nil
	case pin.Rejected, taken, pin.Proved(protocol.CapSenderProof):
		return s, nil
	}
	if _, known, err := n.opt.DB.FindPeer(ctx, r.MeshID, r.Sender); err == nil && known {
		s.Known = true
		return s, nil
	}
	peers, err := at.Roster.Lately(ctx)
	for _, p := range peers {
		if p.Pubkey == r.Sender && (r.SenderMember == "" || p.MemberPubkey == r.SenderMember) || p.MemberPubkey == r.Sender {
			s.Known = true
			return s, nil
		}
	}
	if err == nil {
		err = asked
	}
	return s, err
}

// weaker refuses to send to a session for which its member has not vouched, where that member has proved that it could:
// the key would be the broker's choice (design C10).
func weaker(a *attachment.Attachment, to address.Result) error {
	if to.Kind != protocol.KindSession || to.Exact || a.OwnKeys()[to.RecipientKey] || a.Roster.Pins.Vouched(to.RecipientKey, to.Member) {
		return nil
	}
	if len(a.Roster.Pins.Of(to.Member).Features) == 0 {
		return nil // it never proved anything: an older client
	}
	return mesh.Errorf(mesh.Downgrade, "the broker says that %s is a session of %s, who has not signed for it", to.Name, to.Member.Short())
}
