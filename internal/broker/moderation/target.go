package moderation

import (
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// hit is what a target can mean: a member, one session of it, or one connection without a session.
type hit struct {
	member  mesh.ID
	session mesh.Key   // empty for a member, and for a connection without one
	conn    hub.ConnID // 0 but for a connection without a session
	name    string
	key     mesh.Key
	online  bool
}

// has reports whether a connection is part of what is meant.
func (h hit) has(c *hub.Conn) bool {
	switch {
	case h.conn != 0:
		return c.ID == h.conn
	case h.session != "":
		return c.SessionKey == h.session
	}
	return c.Member == h.member
}

// matcher compares keys and names with a target: a whole key, a prefix of one, or a name in any case.
func matcher(target string) (func(key mesh.Key, name string) bool, error) {
	t, err := mesh.ParseTarget(target)
	if err != nil {
		return nil, mesh.Errorf(mesh.Invalid, "say who is meant by a key or a name")
	}
	switch t.Kind {
	case mesh.ToKey:
		return func(key mesh.Key, _ string) bool { return string(key) == t.Text }, nil
	case mesh.ToPrefix:
		return func(key mesh.Key, _ string) bool { return strings.HasPrefix(string(key), t.Text) }, nil
	case mesh.ToName:
		return func(_ mesh.Key, name string) bool { return strings.EqualFold(name, t.Text) }, nil
	case mesh.ToTopic, mesh.ToGroup, mesh.ToEveryone:
	}
	return nil, mesh.Errorf(mesh.Invalid, "%s is not one peer", t.Text)
}

// findConns lists the connections of the one peer that a target means; none where it means nobody who is connected.
func (b *bench) findConns(target string, conns []hub.Conn, how manner) ([]hub.Conn, error) {
	match, err := matcher(target)
	if err != nil {
		return nil, err
	}
	hits := b.matching(match, conns)
	for i := range conns {
		c := &conns[i]
		h := hit{member: c.Member, session: c.SessionKey, name: c.Name, key: c.SessionKey, online: true}
		if h.key == "" {
			h.conn, h.key = c.ID, c.MemberKey
		}
		named := slices.ContainsFunc(hits, func(o hit) bool { return o.has(c) })
		if !named && match(c.SessionKey, c.Name) {
			hits = append(hits, h)
		}
	}
	if len(hits) > 1 {
		return nil, ambiguous(target, hits)
	}
	var chosen []hub.Conn
	for _, h := range hits {
		if err := b.spare(b.member(h.member)); err != nil && !how.gentle {
			return nil, err
		}
		for i := range conns {
			if h.has(&conns[i]) {
				chosen = append(chosen, conns[i])
			}
		}
	}
	return chosen, nil
}

// matching lists the members for which match holds.
func (b *bench) matching(match func(mesh.Key, string) bool, conns []hub.Conn) []hit {
	var hits []hit
	for _, m := range b.members {
		if match(m.Key, m.Name) {
			online := slices.ContainsFunc(conns, func(c hub.Conn) bool { return c.Member == m.ID })
			hits = append(hits, hit{member: m.ID, name: m.Name, key: m.Key, online: online})
		}
	}
	return hits
}

// findMember gives the one member that a target means, by its own key or name, or by that of a session of its.
func (b *bench) findMember(target string) (store.Member, error) {
	match, err := matcher(target)
	if err != nil {
		return store.Member{}, err
	}
	hits := b.matching(match, nil)
	for _, s := range b.sessions {
		i := slices.IndexFunc(b.members, func(m store.Member) bool { return m.N == s.Member })
		if i < 0 || !match(s.Key, s.Name) || slices.ContainsFunc(hits, func(h hit) bool { return h.member == b.members[i].ID }) {
			continue
		}
		hits = append(hits, hit{member: b.members[i].ID, name: b.members[i].Name, key: b.members[i].Key})
	}
	switch len(hits) {
	case 0:
		return store.Member{}, mesh.Errorf(mesh.NotFound, "no member of the mesh is called %s", target)
	case 1:
		return b.member(hits[0].member), nil
	}
	return store.Member{}, ambiguous(target, hits)
}

// findBan gives the one banned member that a target means.
func findBan(bans []store.Ban, target string) (store.Ban, error) {
	match, err := matcher(target)
	if err != nil {
		return store.Ban{}, err
	}
	var found []store.Ban
	var hits []hit
	for _, b := range bans {
		if match(b.Key, b.Name) {
			found = append(found, b)
			hits = append(hits, hit{member: b.ID, name: b.Name, key: b.Key})
		}
	}
	switch len(found) {
	case 0:
		return store.Ban{}, mesh.Errorf(mesh.NotFound, "nobody called %s is banned", target)
	case 1:
		return found[0], nil
	}
	return store.Ban{}, ambiguous(target, hits)
}

// maxCandidates of an ambiguous target are named.
const maxCandidates = 20

func ambiguous(target string, hits []hit) error {
	var d mesh.Details
	for _, h := range hits[:min(len(hits), maxCandidates)] {
		d.Candidates = append(d.Candidates, mesh.Candidate{Name: h.name, Key: h.key, Online: h.online})
	}
	return mesh.Errorf(mesh.AmbiguousTarget, "%s can mean %d peers", target, len(hits)).With(d)
}
