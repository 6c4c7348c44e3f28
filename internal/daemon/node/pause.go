package node

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// maxPauses bounds what may be paused or muted at a time; one more is refused with capacity.
const maxPauses = 1000

// Pauses is what the human has stopped for a while: paused, or muted.
type Pauses struct{ Node *Node }

// List lists what is paused and what is muted.
func (p Pauses) List(ctx context.Context) (localapi.PausesAnswer, error) { return p.answer(ctx, nil) }

// Begin pauses or mutes. What is so already stays as it is.
func (p Pauses) Begin(ctx context.Context, req localapi.PauseRequest, now time.Time) (localapi.PausesAnswer, error) {
	wanted, err := p.meant(ctx, req)
	if err != nil {
		return localapi.PausesAnswer{}, err
	}
	before, err := localdb.ListPauses(ctx, p.Node.opt.DB)
	if err != nil {
		return localapi.PausesAnswer{}, err
	}
	var begun []localdb.Pause
	for _, w := range wanted {
		if !slices.ContainsFunc(before, w.Same) {
			w.Since = now
			begun = append(begun, w)
		}
	}
	if len(before)+len(begun) > maxPauses {
		return localapi.PausesAnswer{}, mesh.Errorf(mesh.Capacity, "%d pauses are kept already", maxPauses)
	}
	if err := localdb.SavePauses(ctx, p.Node.opt.DB, begun); err != nil {
		return localapi.PausesAnswer{}, err
	}
	return p.answer(ctx, begun)
}

// End ends pauses: those that were begun in the same words, or with neither peer nor mesh all of them. What is muted ends by
// its peer or group only. not_found when there is none.
func (p Pauses) End(ctx context.Context, req localapi.PauseRequest) (localapi.PausesAnswer, error) {
	ended, err := localdb.ListPauses(ctx, p.Node.opt.DB)
	if err == nil {
		ended, err = p.named(ctx, req, ended)
	}
	if err != nil {
		return localapi.PausesAnswer{}, err
	}
	if len(ended) == 0 && req != (localapi.PauseRequest{}) {
		return localapi.PausesAnswer{}, mesh.Errorf(mesh.NotFound, "that is not %s", map[bool]string{false: "paused", true: "muted"}[req.Mute])
	}
	if err := localdb.EndPauses(ctx, p.Node.opt.DB, ended); err != nil {
		return localapi.PausesAnswer{}, err
	}
	return p.answer(ctx, ended)
}

// named gives those that a request means: also of somebody who is not there any more, by the key, or as it was called.
func (p Pauses) named(ctx context.Context, req localapi.PauseRequest, all []localdb.Pause) ([]localdb.Pause, error) {
	all = slices.DeleteFunc(all, func(is localdb.Pause) bool { return is.Mute != req.Mute })
	if req == (localapi.PauseRequest{}) {
		return all, nil
	}
	wanted, err := p.meant(ctx, req)
	target, _ := mesh.ParseTarget(req.Peer) // what is none is nobody's name
	all = slices.DeleteFunc(all, func(pause localdb.Pause) bool {
		named := req.Mesh == "" && (is(target, pause.Member, pause.Name) || pause.Group != "" && pause.Group == GroupOf(req.Peer))
		return !named && !slices.ContainsFunc(wanted, pause.Same)
	})
	if len(all) > 0 {
		err = nil
	}
	return all, err
}

// GroupOf is the group of an address, in lower case; empty when it is none. Everyone is @all.
func GroupOf(address string) string {
	switch target, err := mesh.ParseTarget(address); {
	case err != nil:
	case target.Kind == mesh.ToEveryone:
		return "@all"
	case target.Kind == mesh.ToGroup:
		return strings.ToLower(target.Text)
	}
	return ""
}

// meant gives the pauses of a request. A peer whose name several have means all of them: to pause too much is safe.
func (p Pauses) meant(ctx context.Context, req localapi.PauseRequest) ([]localdb.Pause, error) {
	if req.Mute && req.Peer == "" {
		return nil, mesh.Errorf(mesh.BadRequest, "say a peer, or a group with its @")
	}
	var in mesh.ID
	if req.Mesh != "" {
		at, err := narrow(p.Node, req.Mesh)
		if err != nil {
			return nil, err
		}
		in = at[0].Mesh.ID
	}
	if group := GroupOf(req.Peer); req.Mute && group != "" {
		return []localdb.Pause{{Mute: true, MeshID: in, Group: group, Name: req.Peer}}, nil
	}
	if req.Peer == "" {
		return []localdb.Pause{{MeshID: in}}, nil
	}
	people, err := Trust(p).people(ctx, req.Peer, req.Mesh)
	if err != nil {
		return nil, err
	}
	var all []localdb.Pause
	for _, who := range people {
		one := localdb.Pause{Mute: req.Mute, MeshID: who.at.Mesh.ID, Member: who.entry.Member, Name: who.name()}
		all = append(all, one)
	}
	if mesh.IsKey(req.Peer) && len(all) == 0 { // of somebody who was never met
		all = append(all, localdb.Pause{Mute: req.Mute, MeshID: in, Member: mesh.Key(req.Peer)})
	}
	if len(all) == 0 {
		return nil, mesh.Errorf(mesh.TargetNotFound, "no key of %q was ever met", req.Peer)
	}
	return all, nil
}

// answer gives all that is paused and muted, and what was changed.
func (p Pauses) answer(ctx context.Context, changed []localdb.Pause) (localapi.PausesAnswer, error) {
	all, err := localdb.ListPauses(ctx, p.Node.opt.DB)
	var paused, muted []localdb.Pause
	for _, one := range all {
		if one.Mute {
			muted = append(muted, one)
		} else {
			paused = append(paused, one)
		}
	}
	return localapi.PausesAnswer{Paused: p.views(paused), Muted: p.views(muted), Changed: p.views(changed)}, err
}

func (p Pauses) views(list []localdb.Pause) []localapi.Pause {
	views := make([]localapi.Pause, 0, len(list))
	for _, is := range list {
		slug := string(is.MeshID)
		if at, err := p.Node.byID(is.MeshID); err == nil {
			slug = at.Mesh.Slug
		}
		name := ""
		if is.Member != "" {
			name = cmp.Or(is.Name, is.Member.Short())
		}
		views = append(views, localapi.Pause{Mesh: slug, Peer: name, Pubkey: is.Member, Group: is.Group, Since: mesh.FormatTime(is.Since)})
	}
	return views
}
