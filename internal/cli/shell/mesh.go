package shell

import (
	"context"
	"slices"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// StatusOpen is the status of a mesh whose broker answers.
const StatusOpen = "open"

// OneMesh is the mesh of a verb that must not guess: the one named, or the only one (cli 8).
func (a *App) OneMesh(ctx context.Context, slug string) (string, error) {
	if slug != "" {
		return slug, nil
	}
	answer, err := Call(ctx, a, localapi.Meshes, CallTime, localapi.None{})
	switch {
	case err != nil:
		return "", err
	case len(answer.Meshes) == 0:
		return "", mesh.Errorf(mesh.NothingJoined, "no mesh is joined")
	case len(answer.Meshes) > 1:
		return "", mesh.Errorf(mesh.MeshRequired, "several meshes are joined").With(mesh.Details{Attached: Slugs(answer.Meshes)})
	}
	return answer.Meshes[0].Slug, nil
}

// Slugs lists the short names of meshes, sorted.
func Slugs(meshes []localapi.Mesh) []string {
	all := make([]string, 0, len(meshes))
	for _, m := range meshes {
		all = append(all, m.Slug)
	}
	slices.Sort(all)
	return all
}

// NothingJoined writes that no mesh is joined, and what to do about it.
func NothingJoined(s term.Stream) {
	s.Empty("no mesh joined")
	s.Hint("claudemesh up makes one on this machine, claudemesh join <link> joins another")
}

// Waiting counts what is still to be sent to a mesh; empty when there is nothing.
func Waiting(n int) string {
	if n == 0 {
		return ""
	}
	return Count(n, "message", "messages") + " to send"
}

// RoleWord is what a member may do, for people.
func RoleWord(role string, owner bool) string {
	if owner {
		return "owner"
	}
	return role
}

// Online is what the row of a peer says; brokers that list only connections say nothing.
func Online(p localapi.Peer) bool { return p.Online == nil || *p.Online }

func onlineWord(online bool) string {
	if online {
		return "online"
	}
	return "offline"
}
