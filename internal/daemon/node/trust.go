package node

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/daemon/trust"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Trust is what the user knows of the keys of the joined meshes.
type Trust struct{ Node *Node }

// List lists the keys of a mesh, or of all.
func (t Trust) List(ctx context.Context, slug string) (localapi.TrustAnswer, error) {
	meshes, err := narrow(t.Node, slug)
	if err != nil {
		return localapi.TrustAnswer{}, err
	}
	answer := localapi.TrustAnswer{Keys: []localapi.TrustedKey{}}
	for _, at := range meshes {
		_, _ = at.Roster.Lately(ctx) // a broker that does not answer has nothing to add
		for _, e := range at.Roster.Pins.Entries() {
			answer.Keys = append(answer.Keys, trusted(at, e))
		}
	}
	return answer, nil
}

// conflictLevel is the level of a key that is not pinned.
const conflictLevel = "conflict"

func trusted(a *attachment.Attachment, e trust.Entry) localapi.TrustedKey {
	k := localapi.TrustedKey{
		Mesh: a.Mesh.Slug, Name: cmp.Or(e.Name, e.Claimed), Pubkey: e.Member, Level: cmp.Or(string(e.Level), conflictLevel),
		IsSelf: e.Member == a.Mesh.Pubkey(), Holders: e.Holders, Present: e.Present, Unattended: e.Unattended, Device: e.Device, Features: []string{},
	}
	if e.Level != "" {
		k.FirstSeen, k.LastSeen = mesh.FormatTime(e.FirstSeen), mesh.FormatTime(e.LastSeen)
		k.Features = append(k.Features, e.Features...)
	}
	if mesh.Fold(e.Claimed) != mesh.Fold(k.Name) {
		k.Claimed = e.Claimed
	}
	return k
}

// Accept accepts a peer's key.
func (t Trust) Accept(ctx context.Context, req localapi.TrustDecision) (localapi.TrustedAnswer, error) {
	at, member, err := t.find(ctx, req)
	if err != nil {
		return localapi.TrustedAnswer{}, err
	}
	e, err := at.Roster.Pins.Accept(ctx, member, req.Unattended)
	if err == nil {
		err = trust.SetDevice(ctx, at.Roster.Pins, member, req.Device)
		e.Device = req.Device
	}
	return localapi.TrustedAnswer{Key: trusted(at, e)}, err
}

// Reject rejects a peer's key.
func (t Trust) Reject(ctx context.Context, req localapi.TrustDecision) (localapi.TrustedAnswer, error) {
	at, member, err := t.find(ctx, req)
	if err != nil {
		return localapi.TrustedAnswer{}, err
	}
	if req.Unattended || req.Device {
		return localapi.TrustedAnswer{}, mesh.Errorf(mesh.BadRequest, "who is rejected reaches nobody")
	}
	e, err := at.Roster.Pins.Reject(ctx, member)
	if err == nil {
		err = NewSkills(t.Node).disown(ctx, at, member)
	}
	return localapi.TrustedAnswer{Key: trusted(at, e)}, err
}

// OwnSessions is how a user names the other sessions of its own.
const OwnSessions = "@self"

// Named finds out who is meant by those that may reach a session: each text means one member in a mesh, and at least in one.
func (t Trust) Named(ctx context.Context, texts []string, slug string) ([]localapi.Accepted, error) {
	meshes, err := narrow(t.Node, slug)
	if err != nil {
		return nil, err
	}
	all := []localapi.Accepted{}
	for _, text := range texts {
		found := false
		for _, at := range meshes {
			if text == OwnSessions {
				all, found = append(all, localapi.Accepted{Mesh: at.Mesh.ID, Member: at.Mesh.Pubkey(), Name: text, IsSelf: true}), true
				continue
			}
			_, member, err := t.find(ctx, localapi.TrustDecision{Peer: text, Mesh: at.Mesh.Slug})
			switch {
			case mesh.IsCode(err, mesh.TargetNotFound):
				continue
			case err != nil:
				return nil, err
			case !at.Roster.Pins.Of(member).Pinned:
				return nil, mesh.Errorf(mesh.KeyChanged, "the key of %s in %s is not settled: `claudemesh trust list` shows why", text, at.Mesh.Slug)
			}
			all, found = append(all, localapi.Accepted{Mesh: at.Mesh.ID, Member: member, Name: text}), true
		}
		if !found {
			return nil, mesh.Errorf(mesh.TargetNotFound, "no key of %q was ever met", text)
		}
	}
	return all, nil
}

// find gives the key that a decision is about. Of several that go by a name it is the one that waits for a decision.
func (t Trust) find(ctx context.Context, req localapi.TrustDecision) (*attachment.Attachment, mesh.Key, error) {
	people, err := t.people(ctx, req.Peer, req.Mesh)
	if err != nil {
		return nil, "", err
	}
	if waiting := slices.DeleteFunc(slices.Clone(people), func(p person) bool { return !p.entry.Conflict }); len(waiting) == 1 {
		people = waiting
	}
	switch len(people) {
	case 0:
		return nil, "", mesh.Errorf(mesh.TargetNotFound, "no key of %q was ever met", req.Peer)
	case 1:
		if people[0].entry.Member == people[0].at.Mesh.Pubkey() {
			return nil, "", mesh.Errorf(mesh.SelfSend, "%s is yourself", req.Peer)
		}
		return people[0].at, people[0].entry.Member, nil
	}
	var d mesh.Details
	for _, p := range people {
		d.Candidates = append(d.Candidates, mesh.Candidate{Name: p.name(), Key: p.entry.Member, Mesh: p.at.Mesh.Slug, Online: p.entry.Present})
	}
	return nil, "", mesh.Errorf(mesh.AmbiguousTarget, "%s can mean %d keys", req.Peer, len(people)).With(d)
}

// person is a member of a mesh as a human may mean it: by its own name or key, or by those of a session.
type person struct {
	at       *attachment.Attachment
	entry    trust.Entry
	sessions []mesh.Key
}

func (p person) name() string { return cmp.Or(p.entry.Name, p.entry.Claimed) }

// people lists the members that a text means; an empty one means everybody.
func (t Trust) people(ctx context.Context, text, slug string) ([]person, error) {
	meshes, err := narrow(t.Node, slug)
	if err != nil {
		return nil, err
	}
	target := mesh.Target{}
	if text != "" {
		if target, err = mesh.ParseTarget(text); err != nil {
			return nil, err
		}
		if !target.Direct() {
			return nil, mesh.Errorf(mesh.BadRequest, "%s is no peer", text)
		}
	}
	var found []person
	for _, at := range meshes {
		found = append(found, peopleOf(ctx, at, target)...)
	}
	return found, nil
}

func peopleOf(ctx context.Context, a *attachment.Attachment, target mesh.Target) []person {
	peers, err := a.Roster.Lately(ctx)
	if err != nil {
		peers = nil // who was met before is known all the same
	}
	sessions, means := map[mesh.Key][]mesh.Key{}, map[mesh.Key]bool{}
	for _, p := range peers {
		if p.Pubkey == p.MemberPubkey {
			continue
		}
		sessions[p.MemberPubkey] = append(sessions[p.MemberPubkey], p.Pubkey)
		means[p.MemberPubkey] = means[p.MemberPubkey] || is(target, p.Pubkey, p.DisplayName)
	}
	var found []person
	for _, e := range a.Roster.Pins.Entries() {
		if target.Text == "" || means[e.Member] || is(target, e.Member, e.Name) || is(target, e.Member, e.Claimed) {
			found = append(found, person{a, e, sessions[e.Member]})
		}
	}
	return found
}

// is reports whether a text means a key of a name.
func is(t mesh.Target, key mesh.Key, name string) bool {
	switch t.Kind {
	case mesh.ToKey:
		return string(key) == t.Text
	case mesh.ToPrefix:
		return strings.HasPrefix(string(key), t.Text)
	case mesh.ToName:
		return name != "" && strings.EqualFold(name, t.Text)
	case mesh.ToGroup, mesh.ToEveryone, mesh.ToTopic:
	}
	return false
}

// Verify gives the safety numbers of a peer, or of everybody: over the member keys of both, so that both sides see the
// same (crypto 14).
func (t Trust) Verify(ctx context.Context, req localapi.VerifyRequest) (localapi.VerifyAnswer, error) {
	people, err := t.people(ctx, req.Peer, req.Mesh)
	if err != nil {
		return localapi.VerifyAnswer{}, err
	}
	answer := localapi.VerifyAnswer{Numbers: []localapi.SafetyNumber{}}
	for _, p := range people {
		if p.entry.Member == p.at.Mesh.Pubkey() {
			continue
		}
		fingerprint, own, err := fingerprints(p)
		if err != nil {
			return answer, err
		}
		keys := []mesh.Key{p.entry.Member}
		if req.Legacy {
			keys = p.sessions
		}
		for _, key := range keys {
			theirs, err := seal.ParsePublicKey(string(key))
			if err != nil {
				return answer, mesh.Errorf(mesh.CodeOf(err), "the key of %s: %w", p.name(), err)
			}
			answer.Numbers = append(answer.Numbers, localapi.SafetyNumber{
				Mesh: p.at.Mesh.Slug, Peer: cmp.Or(p.name(), key.Short()), Pubkey: key, Level: trusted(p.at, p.entry).Level,
				Number: seal.SafetyNumber(p.at.Mesh.Secret.Public(), theirs), Fingerprint: fingerprint, Own: own,
			})
		}
	}
	if len(answer.Numbers) == 0 && req.Peer != "" {
		return answer, mesh.Errorf(mesh.TargetNotFound, "no key of %q was ever met", req.Peer)
	}
	return answer, nil
}

// fingerprints are those of a member and of the user, under the names by which they go in the mesh.
func fingerprints(p person) (theirs, own string, err error) {
	key, err := seal.ParsePublicKey(string(p.entry.Member))
	if err != nil {
		return "", "", mesh.Errorf(mesh.CodeOf(err), "the key of %s: %w", p.name(), err)
	}
	name := p.at.Roster.Pins.Of(p.at.Mesh.Pubkey()).Name
	id := string(p.at.Mesh.ID)
	return seal.MemberFingerprint(id, key, mesh.Fold(p.name())), seal.MemberFingerprint(id, p.at.Mesh.Secret.Public(), mesh.Fold(name)), nil
}
