package attachment

import (
	"cmp"
	"context"
	"slices"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Members lists who belongs to the mesh: as its broker has it, else as far as they are connected or were met.
func (a *Attachment) Members(ctx context.Context) ([]localapi.Member, localapi.MeshState) {
	rows, state := a.Roster.OrMet(ctx, a.Roster.Lately) // which pins who came a moment ago
	members := membersOf(rows)
	if state.OK && a.Link.Has(protocol.CapGo) {
		if all, err := a.memberPages(ctx); err == nil {
			members = all
		} else {
			state.OK, state.Code, state.Detail = false, mesh.CodeOf(err), mesh.PublicText(err)
		}
	}
	out := make([]localapi.Member, 0, len(members))
	for _, m := range members {
		m.DisplayName = mesh.SafeName(m.DisplayName, m.Pubkey.Short())
		self := m.Pubkey == a.Mesh.Pubkey()
		out = append(out, localapi.Member{
			Member: m, Mesh: a.Mesh.Slug, IsSelf: self,
			Verified: self || a.Roster.Pins.Shows(protocol.Peer{Pubkey: m.Pubkey, MemberPubkey: m.Pubkey, DisplayName: m.DisplayName}),
		})
	}
	return out, state
}

// memberPages asks for one page after the other.
func (a *Attachment) memberPages(ctx context.Context) ([]protocol.Member, error) {
	ctx, cancel := context.WithTimeout(ctx, rosterTime)
	defer cancel()
	req := protocol.MembersRequest{Limit: rosterPage}
	var all []protocol.Member
	for {
		page, err := Ask(ctx, a, rosterTime, protocol.MemberList, req)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Members...)
		if page.Next == "" || len(all) >= maxRoster {
			return all, nil
		}
		req.After = page.Next
	}
}

// membersOf makes members of the rows of a roster, by name. Nothing is known of their roles.
func membersOf(rows []protocol.Peer) []protocol.Member {
	found := map[mesh.Key]*protocol.Member{}
	for _, p := range rows {
		m := found[p.MemberPubkey]
		if m == nil {
			m = &protocol.Member{Pubkey: p.MemberPubkey, DisplayName: cmp.Or(p.MemberName, p.DisplayName)}
			found[p.MemberPubkey] = m
		}
		if !online(p) {
			continue
		}
		m.Online, m.Status, m.Summary = true, p.Status, p.Summary
		if p.PeerRole != mesh.ControlPlane {
			m.Sessions++
		}
	}
	all := make([]protocol.Member, 0, len(found))
	for _, m := range found {
		all = append(all, *m)
	}
	slices.SortFunc(all, func(x, y protocol.Member) int {
		return cmp.Or(cmp.Compare(x.DisplayName, y.DisplayName), cmp.Compare(x.Pubkey, y.Pubkey))
	})
	return all
}
