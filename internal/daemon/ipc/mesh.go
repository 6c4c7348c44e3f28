package ipc

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/localapi"
)

// meshRoutes answers what is about meshes and who is in them.
type meshRoutes struct{ *Server }

func (s meshRoutes) peers(ctx context.Context, c caller, req localapi.PeersRequest) (localapi.PeersAnswer, error) {
	return s.Node.Presence().Peers(ctx, c.id(), req)
}

func (s meshRoutes) meshes(ctx context.Context, _ caller, _ localapi.None) (localapi.MeshesAnswer, error) {
	return s.Node.Memberships().List(ctx)
}

func (s meshRoutes) meshCreate(ctx context.Context, _ caller, req localapi.MeshCreateRequest) (localapi.MeshAnswer, error) {
	answer, err := s.Node.Memberships().Create(ctx, req)
	s.refresh(ctx, err)
	return answer, err
}

func (s meshRoutes) meshJoin(ctx context.Context, _ caller, req localapi.MeshJoinRequest) (localapi.MeshAnswer, error) {
	answer, err := s.Node.Memberships().Join(ctx, req)
	s.refresh(ctx, err)
	return answer, err
}

func (s meshRoutes) meshLeave(ctx context.Context, _ caller, req localapi.MeshLeaveRequest) (localapi.MeshLeaveAnswer, error) {
	answer, err := s.Node.Memberships().Leave(ctx, req)
	s.refresh(ctx, err)
	return answer, err
}

func (s meshRoutes) meshUpdate(ctx context.Context, _ caller, req localapi.MeshUpdateRequest) (localapi.MeshAnswer, error) {
	answer, err := s.Node.Ownership().Rename(ctx, req)
	s.refresh(ctx, err)
	return answer, err
}

func (s meshRoutes) memberUpdate(ctx context.Context, _ caller, req localapi.MemberUpdateRequest) (localapi.MemberAnswer, error) {
	return s.Node.Ownership().SetRole(ctx, req)
}

func (s meshRoutes) invites(ctx context.Context, _ caller, req localapi.InvitesRequest) (localapi.InvitesAnswer, error) {
	return s.Node.Invites().List(ctx, req.Slug)
}

func (s meshRoutes) inviteCreate(ctx context.Context, _ caller, req localapi.InviteCreateRequest) (localapi.InviteAnswer, error) {
	return s.Node.Invites().Create(ctx, req)
}

func (s meshRoutes) inviteRevoke(ctx context.Context, _ caller, req localapi.InviteRevokeRequest) (localapi.None, error) {
	return localapi.None{}, s.Node.Invites().Revoke(ctx, req.Slug, req.ID)
}
