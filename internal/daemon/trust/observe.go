package trust

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Observe takes in a whole roster: members that are new are pinned under their names, and sessions whose members vouch
// for them are noted. A new key under a name that is pinned to another one is not pinned: that is for the human to
// decide. Nor does a pinned key change its name by itself, or its old one would be free for somebody else.
func (p *Pins) Observe(ctx context.Context, peers []protocol.Peer) {
	now := p.opt.Now()
	current := membersOf(peers)
	unknown := p.unvouched(peers)
	vouched := map[mesh.Key]mesh.Key{}
	for _, peer := range unknown {
		if p.checkVouch(peer) == nil {
			vouched[peer.Pubkey] = peer.MemberPubkey
		}
	}
	p.meet(current, now)
	p.mu.Lock()
	for session, member := range vouched {
		if !p.bind(session, member, now) {
			p.opt.Log.Warn("a session key is claimed by two members")
			continue
		}
		p.learn(member, protocol.CapAuth)
	}
	p.mu.Unlock()
	p.keep(ctx)
}

// membersOf lists the members of a roster with their names; empty where it gives none.
func membersOf(peers []protocol.Peer) map[mesh.Key]string {
	members := map[mesh.Key]string{}
	for _, peer := range peers {
		member := cmp.Or(peer.MemberPubkey, peer.Pubkey)
		if !mesh.IsKey(string(member)) {
			continue
		}
		name := peer.MemberName
		if name == "" && peer.Pubkey == member && peer.PeerRole != mesh.ControlPlane {
			name = peer.DisplayName
		}
		members[member] = cmp.Or(members[member], mesh.SafeName(name, ""))
	}
	return members
}

// meet pins the members that are new.
func (p *Pins) meet(current map[mesh.Key]string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = current
	var fresh []localdb.Pin
	for member, name := range current {
		pin, known := p.pins[member]
		switch {
		case known && pin.Name == "" && name != "" && !p.taken(name, member):
			pin.Name, pin.LastSeen = name, now
			fresh = append(fresh, pin)
		case known && now.Sub(pin.LastSeen) >= seenEvery:
			pin.LastSeen = now
			fresh = append(fresh, pin)
		case known, p.taken(name, member):
		default:
			fresh = append(fresh, localdb.Pin{MeshID: p.opt.MeshID, Member: member, Name: name, Level: localdb.Seen, FirstSeen: now, LastSeen: now})
		}
	}
	slices.SortFunc(fresh, func(a, b localdb.Pin) int { return cmp.Compare(a.Member, b.Member) })
	for _, pin := range fresh { // afterwards: of two that are new under one name neither was first
		if _, known := p.pins[pin.Member]; !known && len(p.pins) >= p.limit {
			p.opt.Log.Warn("too many members to pin their keys", slog.Int(logkey.Count, len(current)))
			return
		}
		p.put(pin)
	}
}

// unvouched lists the rows with an attestation that was not checked before.
func (p *Pins) unvouched(peers []protocol.Peer) []protocol.Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	var rows []protocol.Peer
	for _, peer := range peers {
		known, ok := p.sessions[peer.Pubkey]
		if peer.Attestation == nil || ok && known.Member == peer.MemberPubkey && p.opt.Now().Sub(known.LastSeen) < seenEvery {
			continue
		}
		rows = append(rows, peer)
	}
	return rows
}

// checkVouch checks the member's word for the session key of a row. It may be over: whose the key is stays true.
func (p *Pins) checkVouch(peer protocol.Peer) error {
	v, sig, err := word(p.opt.MeshID, *peer.Attestation, peer.Pubkey, peer.MemberPubkey)
	if err != nil {
		return err
	}
	return p.done.once(v, sig, func() error { return v.Binds(sig) })
}

// word reads a member's word for a session key of a mesh.
func word(meshID mesh.ID, v protocol.Vouch, session, member mesh.Key) (seal.Vouch, seal.Signature, error) {
	w := seal.Vouch{Host: v.Host, MeshID: string(meshID), NotBefore: time.UnixMilli(v.NotBefore), ExpiresAt: time.UnixMilli(v.ExpiresAt)}
	var err error
	if w.Member, err = seal.DecodePublicKey(string(member)); err != nil {
		return w, seal.Signature{}, err
	}
	if w.Session, err = seal.DecodePublicKey(string(session)); err != nil {
		return w, seal.Signature{}, err
	}
	sig, err := seal.ParseSignature(v.Signature)
	return w, sig, err
}

// learn notes what a member has proved; p.mu is held.
func (p *Pins) learn(member mesh.Key, features ...string) {
	pin, ok := p.pins[member]
	if !ok {
		return
	}
	for _, f := range features {
		if !pin.Proved(f) {
			pin.Features = append(slices.Clone(pin.Features), f)
			slices.Sort(pin.Features)
			p.put(pin)
		}
	}
}

// Shows reports whether the name in a row of a roster is proved: that of a member by what it signed or by its human, that
// of a session by its member's word for the key. A name that is pinned to somebody else never is.
func (p *Pins) Shows(peer protocol.Peer) bool {
	s := p.Of(peer.MemberPubkey)
	switch {
	case !s.Pinned, p.Taken(peer.DisplayName, peer.MemberPubkey):
		return false
	case peer.Pubkey != peer.MemberPubkey:
		return p.Vouched(peer.Pubkey, peer.MemberPubkey)
	}
	return (s.Accepted || len(s.Features) > 0) && mesh.Fold(s.Name) == mesh.Fold(peer.DisplayName)
}
