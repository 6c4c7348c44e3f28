package order

import (
	"cmp"
	"context"
	"errors"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Grants lists the entries of the mesh, with the names of those who are known.
func (o *Order) Grants() localapi.GrantsAnswer {
	grants := o.Entries()
	answer := localapi.GrantsAnswer{Mesh: o.Slug, Grants: grants.Lists(), Names: map[mesh.Key]string{}}
	for _, k := range o.Met() {
		for key, name := range map[mesh.Key]string{k.Member: k.MemberName, k.Session: k.Name} {
			if _, ok := grants[key]; ok && name != "" {
				answer.Names[key] = mesh.SafeName(name, key.Short())
			}
		}
	}
	return answer
}

// Change grants, revokes, blocks or unblocks. A session means its member: no new session escapes.
func (o *Order) Change(ctx context.Context, req localapi.GrantRequest) (localapi.GrantAnswer, error) {
	caps, err := mesh.ParseCaps(req.Caps)
	if err != nil {
		return localapi.GrantAnswer{}, err
	}
	key, name, err := o.peer(ctx, req.Peer)
	if err != nil {
		return localapi.GrantAnswer{}, err
	}
	row := localdb.Grant{Key: key}
	before := o.Entries().Of(key, "")
	switch req.Verb {
	case localapi.VerbGrant:
		row.Caps = before | caps
	case localapi.VerbRevoke:
		row.Caps = before &^ caps
	case localapi.VerbBlock:
	case localapi.VerbUnblock:
		row.Gone, row.Caps = true, mesh.DefaultCaps
	default:
		return localapi.GrantAnswer{}, mesh.Errorf(mesh.NotFound, "there is no change %q of grants", req.Verb)
	}
	if caps == 0 && (req.Verb == localapi.VerbGrant || req.Verb == localapi.VerbRevoke) {
		return localapi.GrantAnswer{}, mesh.Errorf(mesh.BadRequest, "say what to %s: %s", req.Verb, mesh.AllCaps)
	}
	told, err := o.set(ctx, row)
	return localapi.GrantAnswer{
		Mesh: o.Slug, Peer: name, Pubkey: key, Caps: row.Caps.List(), Default: row.Gone, BrokerTold: told,
	}, err
}

// peer finds the member that an address means, also one who is offline. Several sessions of one member are that member.
func (o *Order) peer(ctx context.Context, to string) (mesh.Key, string, error) {
	target, err := mesh.ParseTarget(to)
	if err != nil || !target.Direct() {
		return "", "", mesh.Errorf(mesh.BadRequest, "say who is meant by a key or a name")
	}
	found, err := o.Resolve(ctx, to)
	var ambiguous *mesh.Error
	switch {
	case err == nil:
		key, name := o.member(ctx, found.RecipientKey)
		name = cmp.Or(name, found.Name)
		if o.Own()[key] {
			return "", "", mesh.Errorf(mesh.SelfSend, "%s is your own", to)
		}
		return key, name, nil
	case errors.As(err, &ambiguous) && ambiguous.Code == mesh.AmbiguousTarget:
		return o.common(ctx, ambiguous)
	}
	return "", "", err
}

// common gives the member of whom all candidates are.
func (o *Order) common(ctx context.Context, err *mesh.Error) (key mesh.Key, name string, _ error) {
	for i, c := range err.Details.Candidates {
		k, n := o.member(ctx, c.Key)
		if i > 0 && k != key {
			return "", "", err
		}
		key, name = k, n
	}
	if o.Own()[key] {
		return "", "", mesh.Errorf(mesh.SelfSend, "that is your own")
	}
	return key, name, nil
}

// member gives the member of a key that was met, with its name; the key itself where nobody knows it.
func (o *Order) member(ctx context.Context, key mesh.Key) (mesh.Key, string) {
	for _, p := range o.Here(ctx) {
		if p.Pubkey == key || p.MemberPubkey == key {
			return p.MemberPubkey, mesh.SafeName(p.MemberName, "")
		}
	}
	for _, k := range o.Met() {
		if k.Session == key || k.Member == key {
			return k.Member, mesh.SafeName(k.MemberName, "")
		}
	}
	return key, ""
}
