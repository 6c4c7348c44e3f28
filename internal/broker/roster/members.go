package roster

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/presence"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Members lists who belongs to the mesh, in the order of joining. Who does not let the caller see it is a member who is
// away.
func (r *Roster) Members(ctx context.Context, s *session.Session, req protocol.MembersRequest) (protocol.MembersAnswer, error) {
	var after int64
	if req.After != "" {
		var err error
		if after, err = strconv.ParseInt(req.After, 10, 64); err != nil {
			return protocol.MembersAnswer{}, mesh.Errorf(mesh.BadRequest, "after is not a next of this broker")
		}
	}
	seen, all, err := r.present(ctx, s)
	if err != nil {
		return protocol.MembersAnswer{}, err
	}
	var members []store.Member
	err = r.DB.Read(ctx, func(tx *sqlite.Tx) error {
		members, err = store.ListMembers(tx, s.Mesh)
		return err
	})
	if err != nil {
		return protocol.MembersAnswer{}, err
	}
	members = slices.DeleteFunc(members, func(m store.Member) bool { return m.N <= after })
	here := map[mesh.ID][]*presence.Peer{}
	for i := range seen {
		here[seen[i].Member] = append(here[seen[i].Member], &seen[i])
	}
	present := map[mesh.ID]bool{} // also those who want nobody to know
	for i := range all {
		present[all[i].Member] = true
	}
	return r.cutMembers(members, req.Limit, func(m store.Member) protocol.Member {
		if present[m.ID] && here[m.ID] == nil || r.hides(m.ID, s) {
			m.LastSeen = time.Time{} // the time would tell that they were here
		}
		return memberRow(m, here[m.ID])
	})
}

// cutMembers makes a page of the first of some members. It has at least one row where there are any.
func (r *Roster) cutMembers(members []store.Member, wanted int, row func(store.Member) protocol.Member) (protocol.MembersAnswer, error) {
	limit := r.Page
	if wanted > 0 {
		limit = min(limit, wanted)
	}
	page := protocol.MembersAnswer{Members: []protocol.Member{}}
	size := 0
	for i, m := range members {
		one := row(m)
		text, err := wire.Encode(one)
		if err != nil {
			return protocol.MembersAnswer{}, err
		}
		if i == r.Page {
			r.Reached(config.BoundPeersPage)
		}
		if size += len(text) + 1; i == limit || i > 0 && size > maxPageBytes {
			page.Next = strconv.FormatInt(members[i-1].N, 10)
			break
		}
		page.Members = append(page.Members, one)
	}
	return page, nil
}

// memberRow is a member with what its connections, oldest first, say of it.
func memberRow(m store.Member, here []*presence.Peer) protocol.Member {
	row := protocol.Member{
		MemberID: m.ID, Pubkey: m.Key, DisplayName: m.Name, Role: m.Role, JoinedAt: mesh.FormatTime(m.JoinedAt), Online: len(here) > 0,
	}
	if !m.LastSeen.IsZero() {
		row.LastSeenAt = mesh.FormatTime(m.LastSeen)
	}
	daemon := false
	for _, p := range here {
		if p.Role != mesh.ControlPlane {
			row.Sessions++
		}
		if daemon {
			continue // it has said how the member is
		}
		daemon = p.Role == mesh.ControlPlane
		row.Status, row.Summary = p.Status, nil
		if p.Summary != "" {
			row.Summary = &p.Summary
		}
	}
	return row
}
