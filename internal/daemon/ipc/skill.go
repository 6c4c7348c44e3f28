package ipc

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// skillRoutes answer about what members publish for sessions.
type skillRoutes struct{ *Server }

func (s skillRoutes) bind() {
	handle(s.Server, localapi.Skills, s.list)
	handle(s.Server, localapi.SkillGet, s.get)
	handle(s.Server, localapi.SkillPublish, s.publish)
	handle(s.Server, localapi.SkillRemove, s.remove)
	handle(s.Server, localapi.SkillAccept, s.accept)
	handle(s.Server, localapi.SkillReject, s.reject)
}

func (s skillRoutes) list(ctx context.Context, c caller, req localapi.SkillsRequest) (localapi.SkillsAnswer, error) {
	return node.NewSkills(s.Node).List(ctx, c.id(), req)
}

func (s skillRoutes) get(ctx context.Context, c caller, req localapi.SkillRequest) (localapi.SkillAnswer, error) {
	one, err := node.NewSkills(s.Node).Get(ctx, c.id(), req)
	return localapi.SkillAnswer{Skill: one}, err
}

func (s skillRoutes) publish(ctx context.Context, _ caller, req localapi.SkillPublishRequest) (localapi.SkillAnswer, error) {
	one, err := node.NewSkills(s.Node).Publish(ctx, req)
	return localapi.SkillAnswer{Skill: one}, err
}

func (s skillRoutes) remove(ctx context.Context, _ caller, req localapi.SkillDropRequest) (localapi.SkillDropAnswer, error) {
	return node.NewSkills(s.Node).Remove(ctx, req)
}

func (s skillRoutes) accept(ctx context.Context, _ caller, req localapi.SkillAcceptRequest) (localapi.SkillAnswer, error) {
	one, err := node.NewSkills(s.Node).Accept(ctx, req)
	return localapi.SkillAnswer{Skill: one}, err
}

func (s skillRoutes) reject(ctx context.Context, _ caller, req localapi.SkillDropRequest) (localapi.SkillDropAnswer, error) {
	return node.NewSkills(s.Node).Reject(ctx, req)
}
