package ipc

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/localapi"
)

func (s *Server) peers(ctx context.Context, c caller, req localapi.PeersRequest) (localapi.PeersAnswer, error) {
	return s.Node.Peers(ctx, c.id(), req)
}

func (s *Server) meshes(ctx context.Context, _ caller, _ localapi.None) (localapi.MeshesAnswer, error) {
	return s.Node.Meshes(ctx)
}

func (s *Server) meshCreate(ctx context.Context, _ caller, req localapi.MeshCreateRequest) (localapi.MeshAnswer, error) {
	answer, err := s.Node.CreateMesh(ctx, req)
	s.refresh(ctx, err)
	return answer, err
}

func (s *Server) meshJoin(ctx context.Context, _ caller, req localapi.MeshJoinRequest) (localapi.MeshAnswer, error) {
	answer, err := s.Node.JoinMesh(ctx, req)
	s.refresh(ctx, err)
	return answer, err
}

func (s *Server) meshLeave(ctx context.Context, _ caller, req localapi.MeshLeaveRequest) (localapi.MeshLeaveAnswer, error) {
	answer, err := s.Node.LeaveMesh(ctx, req)
	s.refresh(ctx, err)
	return answer, err
}

func (s *Server) invites(ctx context.Context, _ caller, req localapi.InvitesRequest) (localapi.InvitesAnswer, error) {
	return s.Node.Invites(ctx, req.Slug)
}

func (s *Server) inviteCreate(ctx context.Context, _ caller, req localapi.InviteCreateRequest) (localapi.InviteAnswer, error) {
	return s.Node.CreateInvite(ctx, req)
}

func (s *Server) inviteRevoke(ctx context.Context, _ caller, req localapi.InviteRevokeRequest) (localapi.None, error) {
	return localapi.None{}, s.Node.RevokeInvite(ctx, req.Slug, req.ID)
}
