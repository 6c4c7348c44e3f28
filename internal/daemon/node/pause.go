package node

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// maxPauses bounds what may be paused at a time; one more is refused with capacity.
const maxPauses = 1000

// Pauses is what the human has stopped for a while.
type Pauses struct{ Node *Node }

// List lists what is paused.
func (p Pauses) List(ctx context.Context) (localapi.PausesAnswer, error) { return p.answer(ctx, nil) }

// Begin pauses. What is paused already stays so.
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

// End ends pauses: those that were begun in the same words, or with neither peer nor mesh all of them. not_found when there is
// none.
func (p Pauses) End(ctx context.Context, req localapi.PauseRequest) (localapi.PausesAnswer, error) {
	ended, err := localdb.ListPauses(ctx, p.Node.opt.DB)
	if err == nil && req != (localapi.PauseRequest{}) {
		var wanted []localdb.Pause
		wanted, err = p.meant(ctx, req)
		ended = slices.DeleteFunc(ended, func(is localdb.Pause) bool {
			return !slices.ContainsFunc(wanted, is.Same) && (req.Peer == "" || req.Mesh != "" || mesh.Fold(is.Name) != mesh.Fold(req.Peer))
		})
		if len(ended) > 0 {
			err = nil // of somebody who is not there any more
		}
	}
	if err != nil {
		return localapi.PausesAnswer{}, err
	}
	if len(ended) == 0 && req != (localapi.PauseRequest{}) {
		return localapi.PausesAnswer{}, mesh.Errorf(mesh.NotFound, "that is not paused")
	}
	if err := localdb.EndPauses(ctx, p.Node.opt.DB, ended); err != nil {
		return localapi.PausesAnswer{}, err
	}
	return p.answer(ctx, ended)
}

// meant gives the pauses of a request. A peer whose name several have means all of them: to pause too much is safe.
func (p Pauses) meant(ctx context.Context, req localapi.PauseRequest) ([]localdb.Pause, error) {
	var in mesh.ID
	if req.Mesh != "" {
		at, err := narrow(p.Node, req.Mesh)
		if err != nil {
			return nil, err
		}
		in = at[0].Mesh.ID
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
		one := localdb.Pause{MeshID: who.at.Mesh.ID, Member: who.entry.Member, Name: who.name()}
		all = append(all, one)
	}
	if mesh.IsKey(req.Peer) && len(all) == 0 { // of somebody who was never met
		all = append(all, localdb.Pause{MeshID: in, Member: mesh.Key(req.Peer)})
	}
	if len(all) == 0 {
		return nil, mesh.Errorf(mesh.TargetNotFound, "no key of %q was ever met", req.Peer)
	}
	return all, nil
}

// answer gives all that is paused, and what was changed.
func (p Pauses) answer(ctx context.Context, changed []localdb.Pause) (localapi.PausesAnswer, error) {
	all, err := localdb.ListPauses(ctx, p.Node.opt.DB)
	return localapi.PausesAnswer{Paused: p.views(all), Changed: p.views(changed)}, err
}

func (p Pauses) views(list []localdb.Pause) []localapi.Pause {
	views := make([]localapi.Pause, 0, len(list))
	for _, is := range list {
		slug := string(is.MeshID)
		if at, err := p.Node.byID(is.MeshID); err == nil {
			slug = at.Mesh.Slug
		}
		name := is.Name
		if is.Member != "" {
			name = cmp.Or(name, is.Member.Short())
		}
		views = append(views, localapi.Pause{Mesh: slug, Peer: name, Pubkey: is.Member, Since: mesh.FormatTime(is.Since)})
	}
	return views
}
