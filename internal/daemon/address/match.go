package address

import (
	"cmp"
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// match finds the one peer that a direct address means. It is pure: everything it knows is in the views.
func match(t mesh.Target, views []view, toSelf bool) (Result, error) {
	var hits []hit
	self, rejected := false, false
	for i := range views {
		for _, p := range peersOf(&views[i]) {
			h, ok := p.matches(t)
			switch {
			case !ok:
			case t.Kind == mesh.ToName && views[i].pinned(p.member).Replaced: // its names are another key's now
			case views[i].pinned(p.member).Rejected:
				rejected = true
			case !toSelf && h.own():
				self = true
			default:
				hits = append(hits, h)
			}
		}
	}
	hits = distinct(hits)
	if err := conflict(t, views, hits); err != nil {
		return Result{}, err
	}
	switch {
	case len(hits) == 1:
		return hits[0].result(t), nil
	case len(hits) > 1:
		return Result{}, ambiguous(t, hits)
	case rejected:
		return Result{}, mesh.Errorf(mesh.PeerRejected, "the key of %s was rejected", t.Text)
	case self:
		return Result{}, mesh.Errorf(mesh.SelfSend, "%s is the sender's own", t.Text)
	case t.Kind == mesh.ToKey:
		return unknownKey(t, views, toSelf)
	}
	return Result{}, notFound(t, views)
}

// hit is a peer that the address can mean, and the key that would be used for it.
type hit struct {
	*peer
	key  mesh.Key
	name string
}

// matches reports whether the address means p. Names are compared without case.
func (p *peer) matches(t mesh.Target) (hit, bool) {
	h := hit{peer: p, key: p.address(), name: p.label}
	if len(p.names) > 0 {
		h.name = p.names[0]
	}
	switch t.Kind {
	case mesh.ToName:
		i := slices.IndexFunc(p.names, func(n string) bool { return strings.EqualFold(n, t.Text) })
		if i < 0 {
			return hit{}, false
		}
		h.name = p.names[i]
		return h, true
	case mesh.ToPrefix:
		return h, strings.HasPrefix(string(p.ownKey()), t.Text)
	case mesh.ToKey:
		if string(p.ownKey()) != t.Text {
			return hit{}, false
		}
		if p.online {
			h.key = p.ownKey() // this very process is meant, and it is there
		}
		return h, true
	case mesh.ToTopic, mesh.ToGroup, mesh.ToEveryone:
	}
	return hit{}, false
}

// ownKey is the key by which p is known.
func (p *peer) ownKey() mesh.Key {
	if p.session != "" {
		return p.session
	}
	return p.member
}

// address is the key that reaches p for good: a session key of a plain hello dies with its process, so its member is
// addressed instead (design C7).
func (p *peer) address() mesh.Key {
	if p.session != "" && p.proved {
		return p.session
	}
	return p.member
}

// own also holds for a session that is reached through its member, when that is the caller's.
func (h hit) own() bool { return h.peer.own() || h.key == h.view.Member }

// distinct drops what leads to the same key of the same mesh, and sessions of a member that are gone where another of
// the same member, by the same name, is there: the same work, resumed under a new key.
func distinct(hits []hit) []hit {
	slices.SortStableFunc(hits, func(a, b hit) int {
		return cmp.Or(-compareBool(a.online, b.online), cmp.Compare(a.view.Slug, b.view.Slug), cmp.Compare(a.name, b.name), cmp.Compare(a.key, b.key))
	})
	var kept []hit
	for _, h := range hits {
		if !slices.ContainsFunc(kept, func(k hit) bool { return k.covers(h) }) {
			kept = append(kept, h)
		}
	}
	return kept
}

// covers reports whether other adds nothing to h, which came before it in the order of distinct.
func (h hit) covers(other hit) bool {
	if h.view != other.view || h.member != other.member {
		return false
	}
	return h.key == other.key || h.online && !other.online && h.session != "" && other.session != "" && strings.EqualFold(h.name, other.name)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func (h hit) result(t mesh.Target) Result {
	r := Result{
		MeshID: h.view.ID, Mesh: h.view.Slug, Kind: protocol.KindMember,
		TargetSpec: string(h.key), RecipientKey: h.key, Name: h.name, Member: h.member, Exact: t.Kind == mesh.ToKey && string(h.key) == t.Text,
	}
	if h.key != h.member {
		r.Kind = protocol.KindSession
	}
	if h.view.answered {
		r.Online = &h.online
	}
	return r
}

// maxCandidates bounds what an error lists.
const maxCandidates = 20

func ambiguous(t mesh.Target, hits []hit) error {
	return mesh.Errorf(mesh.AmbiguousTarget, "%s can mean %d peers", t.Text, len(hits)).With(candidates(hits))
}

// candidates lists who could be meant.
func candidates(hits []hit) mesh.Details {
	var d mesh.Details
	for _, h := range hits[:min(len(hits), maxCandidates)] {
		d.Candidates = append(d.Candidates, mesh.Candidate{Name: h.name, Key: h.key, Mesh: h.view.Slug, Online: h.online})
	}
	return d
}

// conflict refuses a name that is pinned to one key and now goes by another (design C7): key_changed where the pinned key
// is no member any more, name_conflict where it still is, or nobody can say.
func conflict(t mesh.Target, views []view, hits []hit) error {
	if t.Kind != mesh.ToName {
		return nil
	}
	for i := range views {
		v := &views[i]
		holders := v.holders(t.Text)
		if len(holders) == 0 || !slices.ContainsFunc(hits, func(h hit) bool { return h.view == v && !slices.Contains(holders, h.member) }) {
			continue
		}
		if v.answered && !slices.ContainsFunc(v.rows, func(p protocol.Peer) bool { return slices.Contains(holders, cmp.Or(p.MemberPubkey, p.Pubkey)) }) {
			return mesh.Errorf(mesh.KeyChanged, "%s has another key in %s than before", t.Text, v.Slug).With(candidates(hits))
		}
		return mesh.Errorf(mesh.NameConflict, "%s is pinned in %s, and another key goes by that name", t.Text, v.Slug).With(candidates(hits))
	}
	return nil
}

// holders are the members to whom a name is pinned.
func (v *view) holders(name string) []mesh.Key {
	var members []mesh.Key
	for _, p := range v.Pins {
		if p.holds() && strings.EqualFold(p.Name, name) {
			members = append(members, p.Member)
		}
	}
	return members
}

// pinned gives the pin of a member; the zero Pin without one.
func (v *view) pinned(member mesh.Key) Pin {
	if i := slices.IndexFunc(v.Pins, func(p Pin) bool { return p.Member == member }); i >= 0 {
		return v.Pins[i]
	}
	return Pin{}
}

// unknownKey takes a whole key at its word: its peer may be offline and never met. The mesh must be certain.
func unknownKey(t mesh.Target, views []view, toSelf bool) (Result, error) {
	key := mesh.Key(t.Text)
	for _, v := range views {
		if !toSelf && (key == v.Member || key == v.Session) {
			return Result{}, mesh.Errorf(mesh.SelfSend, "%s is the sender's own", t.Text)
		}
	}
	if len(views) > 1 {
		meshes := make([]Mesh, 0, len(views))
		for _, v := range views {
			meshes = append(meshes, v.Mesh)
		}
		return Result{}, meshRequired(meshes)
	}
	v := views[0]
	return Result{MeshID: v.ID, Mesh: v.Slug, Kind: protocol.KindMember, TargetSpec: t.Text, RecipientKey: key, Exact: true}, nil
}
