package ipc

import (
	"context"
	"reflect"
	"sync"

	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// presenceRoutes answers what is about how others see the caller, and who else is there.
type presenceRoutes struct{ *Server }

func (s presenceRoutes) set(ctx context.Context, c caller, req localapi.ProfileRequest) (localapi.ProfileAnswer, error) {
	change := registry.Amendment{Name: req.Name, Role: req.Role, MessageMode: req.MessageMode}
	amends := change != registry.Amendment{}
	switch {
	case amends && c.session == nil:
		return localapi.ProfileAnswer{}, mesh.Errorf(mesh.SessionUnknown, "name, role and message mode are those of a session, and this is none")
	case amends && req.Mesh != "":
		return localapi.ProfileAnswer{}, mesh.Errorf(mesh.BadRequest, "a session has one name, role and message mode in all its meshes")
	}
	answer, err := s.wish(ctx, c, req, amends || req.Groups != nil)
	if err == nil && req.Groups != nil {
		var told localapi.GroupAnswer
		told, err = node.NewGroups(s.Node).Set(ctx, c.id(), req.Mesh, req.Groups)
		answer.Applied, answer.Meshes, answer.Waiting = append(answer.Applied, "groups"), told.Meshes, told.Pending
	}
	if err == nil && amends {
		if err = s.Registry.Amend(ctx, c.id(), change); err == nil {
			answer.Applied = append(answer.Applied, change.Fields()...)
			answer.Meshes, answer.Waiting = s.Node.Presence().Settled(ctx, c.id())
		}
	}
	if err == nil && req.Status != nil {
		s.paths.Stir(c.id()) // what was not to disturb may come now
	}
	return answer, err
}

// wish changes what is kept as a wish; with others, there may be nothing of that kind.
func (s presenceRoutes) wish(ctx context.Context, c caller, req localapi.ProfileRequest, others bool) (localapi.ProfileAnswer, error) {
	only := req
	only.Mesh, only.Name, only.Role, only.Groups, only.MessageMode = "", nil, nil, nil, nil
	if others && reflect.DeepEqual(only, localapi.ProfileRequest{}) {
		return localapi.ProfileAnswer{OK: true, Applied: []string{}, Meshes: []string{}}, nil
	}
	return s.Node.Presence().SetProfile(ctx, c.id(), req)
}

func (s presenceRoutes) profiles(ctx context.Context, c caller, req localapi.ProfilesRequest) (localapi.ProfilesAnswer, error) {
	return s.Node.Presence().Profiles(ctx, c.id(), req)
}

func (s presenceRoutes) members(ctx context.Context, _ caller, req localapi.MembersRequest) (localapi.MembersAnswer, error) {
	return s.Node.Presence().Members(ctx, req)
}

func (s presenceRoutes) info(ctx context.Context, c caller, req localapi.InfoRequest) (localapi.InfoAnswer, error) {
	return s.Node.Presence().Info(ctx, c.id(), req)
}

func (s presenceRoutes) ping(ctx context.Context, c caller, req localapi.PingRequest) (localapi.PingAnswer, error) {
	return s.Node.Presence().Ping(ctx, c.id(), req)
}

// watch follows the roster. A subscriber that reads slowly is told later what has become of it meanwhile.
func (s presenceRoutes) watch(ctx context.Context, c caller, req localapi.PeersRequest, sub *subscriber) error {
	ctx, cancel := context.WithCancel(ctx)
	var ending sync.WaitGroup
	defer ending.Wait()
	defer cancel()
	ending.Go(func() {
		select {
		case <-s.ending:
			cancel()
		case <-ctx.Done():
		}
	})
	sub.open()
	wrote := s.Now()
	return s.Node.Presence().Watch(ctx, c.id(), req, func(changes []localapi.PeerChange) error {
		if len(changes) == 0 && s.Now().Sub(wrote) < s.Settings.SSEKeepalive {
			return nil
		}
		wrote = s.Now()
		if len(changes) == 0 {
			return sub.comment("keepalive")
		}
		for i := range changes {
			if err := sub.event("", localapi.EventPeers, changes[i]); err != nil {
				return err
			}
		}
		return sub.flush.Flush()
	})
}
