package order

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// moderationTime bounds one call of moderation.
const moderationTime = 10 * time.Second

// Moderate closes connections, bans or unbans. The broker finds who is meant, and refuses what means several.
func (o *Order) Moderate(ctx context.Context, req localapi.ModerateRequest) (localapi.ModerateAnswer, error) {
	answer := localapi.ModerateAnswer{Mesh: o.Slug, Verb: req.Verb, Affected: []string{}}
	var err error
	switch req.Verb {
	case localapi.VerbDisconnect, localapi.VerbKick:
		err = o.kick(ctx, req, &answer)
	case localapi.VerbBan:
		err = o.ban(ctx, req, &answer)
	case localapi.VerbUnban:
		err = o.unban(ctx, req, &answer)
	default:
		err = mesh.Errorf(mesh.NotFound, "there is no moderation %q", req.Verb)
	}
	return answer, err
}

func (o *Order) kick(ctx context.Context, req localapi.ModerateRequest, answer *localapi.ModerateAnswer) error {
	if req.Target == "" && req.StaleMs <= 0 && !req.All {
		return mesh.Errorf(mesh.BadRequest, "say who is meant: a peer, those who are stale, or all")
	}
	call := protocol.Kick
	if req.Verb == localapi.VerbDisconnect {
		call = protocol.Disconnect
	}
	frame := protocol.KickRequest{Target: req.Target, Stale: req.StaleMs, All: req.All}
	var err error
	if frame.Operation, err = o.Sign(call.Type, frame.Signed()); err != nil {
		return err
	}
	got, err := ask(ctx, o, moderationTime, call, frame)
	answer.Affected = append(answer.Affected, safeNames(got.Kicked)...)
	answer.SkippedControlPlane = safeNames(got.SkippedControlPlane)
	return err
}

// safeNames makes names of a broker fit to be shown.
func safeNames(names []string) []string {
	var safe []string
	for _, n := range names {
		safe = append(safe, mesh.SafeName(n, "a peer"))
	}
	return safe
}

func (o *Order) ban(ctx context.Context, req localapi.ModerateRequest, answer *localapi.ModerateAnswer) error {
	frame := protocol.BanRequest{Target: req.Target, Reason: req.Reason}
	var err error
	if frame.Operation, err = o.Sign(protocol.BanMember.Type, frame.Signed()); err != nil {
		return err
	}
	got, err := ask(ctx, o, moderationTime, protocol.BanMember, frame)
	if err != nil {
		return err
	}
	answer.Affected, answer.Pubkey = []string{mesh.SafeName(got.Banned, got.Pubkey.Short())}, got.Pubkey
	answer.OpenInvites = o.openInvites(ctx)
	return nil
}

// openInvites counts the invites that still work. It is said beside what was done, so that nothing fails for want of it.
func (o *Order) openInvites(ctx context.Context) int {
	list, err := ask(ctx, o, moderationTime, protocol.InviteList, protocol.InviteListRequest{})
	if err != nil {
		return 0
	}
	open, now := 0, o.Now().Unix()
	for _, i := range list.Invites {
		if !i.Revoked && i.Used < i.MaxUses && i.ExpiresAt > now {
			open++
		}
	}
	return open
}

func (o *Order) unban(ctx context.Context, req localapi.ModerateRequest, answer *localapi.ModerateAnswer) error {
	frame := protocol.UnbanRequest{Target: req.Target}
	var err error
	if frame.Operation, err = o.Sign(protocol.Unban.Type, frame.Signed()); err != nil {
		return err
	}
	got, err := ask(ctx, o, moderationTime, protocol.Unban, frame)
	if err == nil {
		answer.Affected, answer.Pubkey = []string{mesh.SafeName(got.Unbanned, got.Pubkey.Short())}, got.Pubkey
	}
	return err
}

// Bans lists who is banned from a mesh.
func (o *Order) Bans(ctx context.Context) (localapi.BansAnswer, error) {
	answer := localapi.BansAnswer{Mesh: o.Slug, Bans: []protocol.Ban{}}
	got, err := ask(ctx, o, moderationTime, protocol.ListBans, protocol.BansRequest{})
	for _, b := range got.Bans {
		b.Name = mesh.SafeName(b.Name, b.Pubkey.Short())
		answer.Bans = append(answer.Bans, b)
	}
	return answer, err
}
