package ipc

import (
	"context"
	"sync"

	"github.com/claudemesh/claudemesh/internal/localapi"
)

// presenceRoutes answers what is about how others see the caller, and who else is there.
type presenceRoutes struct{ *Server }

func (s presenceRoutes) set(ctx context.Context, c caller, req localapi.ProfileRequest) (localapi.ProfileAnswer, error) {
	return s.Node.Presence().SetProfile(ctx, c.id(), req)
}

func (s presenceRoutes) profiles(ctx context.Context, c caller, req localapi.ProfilesRequest) (localapi.ProfilesAnswer, error) {
	return s.Node.Presence().Profiles(ctx, c.id(), req)
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
