package node

import (
	"context"
	"sync"

	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Presence is how others see this user and its sessions, and whom they see.
type Presence struct{ node *Node }

// Presence gives that part of the node.
func (n *Node) Presence() Presence { return Presence{n} }

// SetProfile changes what others see of a session, or with an empty id of the user. It is kept, and told again on each
// new connection (daemon 8.4).
func (p Presence) SetProfile(ctx context.Context, sessionID string, req localapi.ProfileRequest) (localapi.ProfileAnswer, error) {
	meshes, err := narrow(p.node, req.Mesh)
	if err != nil {
		return localapi.ProfileAnswer{}, err
	}
	w, fields, err := attachment.ParseWish(req)
	if err != nil {
		return localapi.ProfileAnswer{}, err
	}
	answer := localapi.ProfileAnswer{OK: true, Applied: fields, Meshes: []string{}}
	told := make([]bool, len(meshes))
	failed := make([]error, len(meshes))
	var wait sync.WaitGroup
	for i, at := range meshes {
		if v := at.Voice(sessionID); v != nil {
			wait.Go(func() { told[i], failed[i] = v.Speak(ctx, w, false) })
		}
	}
	wait.Wait()
	for i, at := range meshes {
		switch {
		case failed[i] != nil:
			return localapi.ProfileAnswer{}, failed[i]
		case told[i]:
			answer.Meshes = append(answer.Meshes, at.Mesh.Slug)
		case at.Voice(sessionID) != nil:
			answer.Waiting = append(answer.Waiting, at.Mesh.Slug)
		}
		if sessionID == "" {
			answer.Apart = max(answer.Apart, at.Sessions.Count())
		}
	}
	return answer, nil
}

// Mention is SetProfile, in every mesh, for who does not wait until brokers have heard it.
func (p Presence) Mention(sessionID string, req localapi.ProfileRequest) error {
	w, _, err := attachment.ParseWish(req)
	if err != nil {
		return err
	}
	for _, at := range p.node.meshes() {
		if v := at.Voice(sessionID); v != nil {
			v.Mention(w)
		}
	}
	return nil
}

// Undisturbed lists the meshes in which a session wants not to be disturbed.
func (p Presence) Undisturbed(ctx context.Context, sessionID string) (map[mesh.ID]bool, error) {
	quiet := map[mesh.ID]bool{}
	for _, at := range p.node.meshes() {
		v := at.Voice(sessionID)
		if v == nil {
			continue
		}
		is, err := v.Undisturbed(ctx)
		if err != nil {
			return nil, err
		}
		quiet[at.Mesh.ID] = is
	}
	return quiet, nil
}

// Settled waits a moment for the connections of a session that changed, and tells in which meshes they are open.
func (p Presence) Settled(ctx context.Context, sessionID string) (open, waiting []string) {
	open = []string{}
	for _, at := range p.node.meshes() {
		s := at.Sessions.Find(sessionID)
		if s == nil {
			continue
		}
		attachment.Settle(ctx, s.Link)
		if s.Link.Peer() != nil {
			open = append(open, at.Mesh.Slug)
		} else {
			waiting = append(waiting, at.Mesh.Slug)
		}
	}
	return open, waiting
}

// Profiles is what others see of a session, or of the user, in each mesh: as the broker has it where it answers, else
// what it will be told.
func (p Presence) Profiles(ctx context.Context, sessionID string, req localapi.ProfilesRequest) (localapi.ProfilesAnswer, error) {
	meshes, err := narrow(p.node, req.Mesh)
	if err != nil {
		return localapi.ProfilesAnswer{}, err
	}
	found := make([]*localapi.ProfileOf, len(meshes))
	var wait sync.WaitGroup
	for i, at := range meshes {
		wait.Go(func() { found[i] = at.Profile(ctx, sessionID) })
	}
	wait.Wait()
	answer := localapi.ProfilesAnswer{Profiles: []localapi.ProfileOf{}}
	for _, f := range found {
		if f != nil {
			answer.Profiles = append(answer.Profiles, *f)
		}
	}
	return answer, nil
}

// Info gives overviews of the joined meshes, as a session, or the user, sees them.
func (p Presence) Info(ctx context.Context, sessionID string, req localapi.InfoRequest) (localapi.InfoAnswer, error) {
	meshes, err := narrow(p.node, req.Mesh)
	if err != nil {
		return localapi.InfoAnswer{}, err
	}
	answer := localapi.InfoAnswer{Meshes: make([]localapi.MeshInfo, len(meshes))}
	var wait sync.WaitGroup
	for i, at := range meshes {
		wait.Go(func() { answer.Meshes[i] = at.Info(ctx, sessionID) })
	}
	wait.Wait()
	return answer, nil
}

// Ping measures the way to the broker of each mesh and back, on the connection of a session, or of the user.
func (p Presence) Ping(ctx context.Context, sessionID string, req localapi.PingRequest) (localapi.PingAnswer, error) {
	meshes, err := narrow(p.node, req.Mesh)
	if err != nil {
		return localapi.PingAnswer{}, err
	}
	answer := localapi.PingAnswer{Meshes: make([]localapi.Ping, len(meshes))}
	var wait sync.WaitGroup
	for i, at := range meshes {
		wait.Go(func() { answer.Meshes[i] = at.Ping(ctx, sessionID) })
	}
	wait.Wait()
	return answer, nil
}

// Members lists who belongs to the meshes asked for.
func (p Presence) Members(ctx context.Context, req localapi.MembersRequest) (localapi.MembersAnswer, error) {
	meshes, err := narrow(p.node, req.Mesh)
	if err != nil {
		return localapi.MembersAnswer{}, err
	}
	lists := make([][]localapi.Member, len(meshes))
	answer := localapi.MembersAnswer{Members: []localapi.Member{}, Meshes: make([]localapi.MeshState, len(meshes))}
	var wait sync.WaitGroup
	for i, at := range meshes {
		wait.Go(func() { lists[i], answer.Meshes[i] = at.Members(ctx) })
	}
	wait.Wait()
	for _, list := range lists {
		for _, m := range list {
			if m.Online || !req.Online {
				answer.Members = append(answer.Members, m)
			}
		}
	}
	return answer, nil
}
