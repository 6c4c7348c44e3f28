package node

import (
	"context"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/events"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// skillTime bounds one question about skills.
const skillTime = 5 * time.Second

// Skills are what members publish for the sessions of the others. Sessions are offered what the human said yes to, as it
// was then: it is kept here, and a change of it is another skill until the human said yes to that (design E).
type Skills struct{ node *Node }

// NewSkills returns those of a node.
func NewSkills(n *Node) Skills { return Skills{n} }

// in lists the meshes that are meant and that a session is in; the user (empty session id) is in all.
func (v Skills) in(sessionID, slug string) ([]*attachment.Attachment, error) {
	all, err := narrow(v.node, slug)
	if err == nil && sessionID != "" {
		all = slices.DeleteFunc(all, func(at *attachment.Attachment) bool { return at.Sessions.Find(sessionID) == nil })
	}
	return all, err
}

func (v Skills) of(at *attachment.Attachment) localdb.Skills {
	return localdb.SkillsOf(v.node.opt.DB, at.Mesh.ID)
}

// accepted lists what the human said yes to in a mesh.
func (v Skills) accepted(ctx context.Context, at *attachment.Attachment) ([]localapi.Skill, error) {
	rows, err := v.of(at).List(ctx)
	if err != nil {
		return nil, err
	}
	var all []localapi.Skill
	for _, r := range rows {
		var s localapi.Skill
		if err := wire.Decode([]byte(r.Text), &s); err != nil {
			return nil, mesh.Errorf(mesh.StoreCorrupt, "the accepted skill %s cannot be read: %w", r.Name, err)
		}
		s.Mesh, s.State = at.Mesh.Slug, localapi.SkillAccepted
		all = append(all, s)
	}
	return all, nil
}

// List lists the skills of the meshes asked for. A session, by its id, is told nothing that its human has not said yes to
// but the name, and who wrote it.
func (v Skills) List(ctx context.Context, sessionID string, req localapi.SkillsRequest) (localapi.SkillsAnswer, error) {
	answer := localapi.SkillsAnswer{Skills: []localapi.Skill{}, Meshes: []localapi.MeshState{}}
	meshes, err := v.in(sessionID, req.Mesh)
	if err != nil {
		return answer, err
	}
	for _, at := range meshes {
		have, err := v.accepted(ctx, at)
		if err != nil {
			return answer, err
		}
		state := localapi.MeshState{Mesh: at.Mesh.Slug, Status: string(at.Link.State()), OK: true}
		rows := have
		if !req.Accepted {
			rows, err = v.published(ctx, at, req.Query, have, sessionID != "")
		}
		if state.OK = err == nil; err != nil {
			state.Code, state.Detail = mesh.CodeOf(err), mesh.PublicText(err)
		}
		answer.Meshes = append(answer.Meshes, state)
		for _, s := range rows {
			s.Instructions = nil
			answer.Skills = append(answer.Skills, s)
		}
	}
	return answer, nil
}

// published asks the broker what there is.
func (v Skills) published(ctx context.Context, at *attachment.Attachment, query string, have []localapi.Skill, guarded bool) ([]localapi.Skill, error) {
	list, err := attachment.Ask(ctx, at, skillTime, protocol.ListSkills, protocol.SkillListRequest{Query: query})
	if err != nil {
		return nil, err
	}
	var all []localapi.Skill
	for _, row := range list.Skills {
		s := readSkill(at, protocol.Skill{
			Name: row.Name, Description: row.Description, Tags: row.Tags, Author: row.Author, AuthorPubkey: row.AuthorPubkey, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
		})
		s.Digest = ""
		all = append(all, settle(at, s, have, guarded))
	}
	return all, nil
}

// settle gives a skill its state, by what was accepted, and takes from a session what it is not to be told.
func settle(at *attachment.Attachment, s localapi.Skill, have []localapi.Skill, guarded bool) localapi.Skill {
	s.State = localapi.SkillNew
	if s.AuthorPubkey == at.Mesh.Pubkey() {
		s.State = localapi.SkillOwn
	}
	if i := slices.IndexFunc(have, func(h localapi.Skill) bool { return h.Name == s.Name }); i >= 0 {
		h := have[i]
		s.State = localapi.SkillChanged
		if h.Digest == s.Digest || s.Digest == "" && h.UpdatedAt == s.UpdatedAt {
			s.State = localapi.SkillAccepted
		}
		if h.AuthorPubkey != s.AuthorPubkey {
			s.AuthorBefore = h.AuthorPubkey
		}
	}
	if guarded && s.State != localapi.SkillAccepted && s.State != localapi.SkillOwn {
		s.Description, s.WhenToUse, s.ArgumentHint, s.Tags, s.Instructions = "", "", "", []string{}, nil
	}
	return s
}

// Get reads one skill: as it was accepted, or as it is published now.
func (v Skills) Get(ctx context.Context, sessionID string, req localapi.SkillRequest) (localapi.Skill, error) {
	_, s, err := v.find(ctx, sessionID, req)
	return s, err
}

// find looks for a skill in the meshes that are meant. Several are mesh_required.
func (v Skills) find(ctx context.Context, sessionID string, req localapi.SkillRequest) (found *attachment.Attachment, one localapi.Skill, err error) {
	meshes, err := v.in(sessionID, req.Mesh)
	if err != nil {
		return nil, one, err
	}
	var slugs []string
	var failed error
	for _, at := range meshes {
		s, err := v.look(ctx, at, req, sessionID != "")
		switch {
		case mesh.IsCode(err, mesh.SkillNotFound):
		case err != nil:
			failed = err
		default:
			found, one, slugs = at, s, append(slugs, at.Mesh.Slug)
		}
	}
	switch {
	case len(slugs) == 1:
		return found, one, nil
	case len(slugs) > 1:
		return nil, one, mesh.Errorf(mesh.MeshRequired, "several meshes have a skill %q", req.Name).With(mesh.Details{Attached: slugs})
	case failed != nil:
		return nil, one, failed
	}
	return nil, one, mesh.Errorf(mesh.SkillNotFound, "there is no skill %q", req.Name)
}

// look reads the skill of a name in one mesh, or skill_not_found.
func (v Skills) look(ctx context.Context, at *attachment.Attachment, req localapi.SkillRequest, guarded bool) (localapi.Skill, error) {
	have, err := v.accepted(ctx, at)
	if err != nil {
		return localapi.Skill{}, err
	}
	if req.Accepted {
		if i := slices.IndexFunc(have, func(s localapi.Skill) bool { return s.Name == req.Name }); i >= 0 {
			return have[i], nil
		}
		return localapi.Skill{}, mesh.Errorf(mesh.SkillNotFound, "no skill %q was accepted", req.Name)
	}
	data, err := attachment.Ask(ctx, at, skillTime, protocol.GetSkill, protocol.SkillNameRequest{Name: req.Name})
	if err != nil {
		return localapi.Skill{}, err
	}
	if data.Skill == nil || data.Skill.Name != req.Name {
		return localapi.Skill{}, mesh.Errorf(mesh.SkillNotFound, "%s has no skill %q", at.Mesh.Slug, req.Name)
	}
	_, _ = at.Roster.Lately(ctx) // its author may be met by that; a broker that does not answer has nothing to add
	return settle(at, readSkill(at, *data.Skill), have, guarded), nil
}

// Accept is the human's yes to a skill as it was shown.
func (v Skills) Accept(ctx context.Context, req localapi.SkillAcceptRequest) (localapi.Skill, error) {
	at, s, err := v.find(ctx, "", localapi.SkillRequest{Name: req.Name, Mesh: req.Mesh})
	switch {
	case err != nil:
		return s, err
	case s.Problem != "":
		return s, mesh.Errorf(mesh.Forbidden, "%s cannot be accepted: %s", req.Name, s.Problem)
	case s.Digest != req.Digest:
		return s, mesh.Errorf(mesh.InvalidArgument, "%s is another text by now: read it again", req.Name)
	}
	return v.keep(ctx, at, s)
}

// keep writes down what sessions are offered from now on, and tells them.
func (v Skills) keep(ctx context.Context, at *attachment.Attachment, s localapi.Skill) (localapi.Skill, error) {
	s.State, s.AuthorBefore = localapi.SkillAccepted, ""
	text, err := wire.Encode(s)
	if err != nil {
		return s, err
	}
	row := localdb.Skill{Name: s.Name, Author: s.AuthorPubkey, Digest: s.Digest, Text: string(text)}
	if err := v.of(at).Accept(ctx, row, v.node.opt.Now()); err != nil {
		return s, err
	}
	v.tell(at)
	return s, nil
}

// Reject takes a yes back.
func (v Skills) Reject(ctx context.Context, req localapi.SkillDropRequest) (localapi.SkillDropAnswer, error) {
	at, _, err := v.find(ctx, "", localapi.SkillRequest{Name: req.Name, Mesh: req.Mesh, Accepted: true})
	if err != nil {
		return localapi.SkillDropAnswer{}, err
	}
	return localapi.SkillDropAnswer{Name: req.Name, Mesh: at.Mesh.Slug, Removed: true}, v.forget(ctx, at, req.Name)
}

// forget ends the offer of skills, and tells sessions of it.
func (v Skills) forget(ctx context.Context, at *attachment.Attachment, names ...string) error {
	n, err := v.of(at).Forget(ctx, names...)
	if n > 0 {
		v.tell(at)
	}
	return err
}

// disown ends the offer of what a key has published that the human rejects.
func (v Skills) disown(ctx context.Context, at *attachment.Attachment, author mesh.Key) error {
	have, err := v.accepted(ctx, at)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range have {
		if s.AuthorPubkey == author {
			names = append(names, s.Name)
		}
	}
	return v.forget(ctx, at, names...)
}

// tell says that sessions are offered other skills from now on.
func (v Skills) tell(at *attachment.Attachment) {
	v.node.Events.Publish(events.Event{Kind: localapi.EventSkills, Mesh: at.Mesh.ID, Body: localapi.SystemEvent{
		TS: mesh.FormatTime(v.node.opt.Now()), Mesh: at.Mesh.Slug, Event: localapi.EventSkills,
	}})
}

// follow keeps what was accepted true to what its publishers left published, until ctx ends.
func (v Skills) follow(ctx context.Context) error {
	happened, unsubscribe := v.node.Events.Subscribe()
	defer func() { unsubscribe() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev, ok := <-happened:
			if !ok { // too many at once
				happened, unsubscribe = v.node.Events.Subscribe()
			}
			if ok && !moves(ev) {
				continue
			}
			for _, at := range v.node.meshes() {
				if !ok || at.Mesh.ID == ev.Mesh {
					v.withdraw(ctx, at)
				}
			}
		}
	}
}

// moves reports whether an event may mean that a skill is gone: the broker's word, or a connection after a time without.
func moves(ev events.Event) bool {
	switch body := ev.Body.(type) {
	case localapi.SystemEvent:
		return ev.Kind == localapi.EventSystem && body.Event == protocol.SkillsChanged
	case localapi.BrokerStatus:
		return body.Status == "open"
	}
	return false
}

// withdraw ends the offer of what is published no more, or under this name by another one now. What has changed is offered
// as it was accepted.
func (v Skills) withdraw(ctx context.Context, at *attachment.Attachment) {
	have, err := v.accepted(ctx, at)
	if err != nil || len(have) == 0 {
		return // the next look tells what is wrong
	}
	var gone []string
	for _, s := range have {
		data, err := attachment.Ask(ctx, at, skillTime, protocol.GetSkill, protocol.SkillNameRequest{Name: s.Name})
		switch {
		case err != nil:
			v.node.opt.Log.Info("skill not read", logkey.Mesh, at.Mesh.Slug, logkey.Err, err)
		case data.Skill == nil, readSkill(at, *data.Skill).AuthorPubkey != s.AuthorPubkey:
			gone = append(gone, s.Name)
		}
	}
	if err := v.forget(ctx, at, gone...); err != nil {
		v.node.opt.Log.Warn("skill is offered though it is gone", logkey.Mesh, at.Mesh.Slug, logkey.Err, err)
	}
}
