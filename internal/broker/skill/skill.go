// Package skill keeps what members publish for the sessions of the others (wire 11.18). A name belongs to the member that
// published under it first.
package skill

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Skills answers share_skill, get_skill, list_skills and remove_skill. Its fields are set once; it may be used from any
// goroutine.
type Skills struct {
	DB      *sqlite.DB
	Limit   int // names of one member
	Reached func(config.Bound)
	Tell    func(meshID mesh.ID, frame []byte) // to the connections of a mesh that announced claudemesh.go/1
	Now     mesh.Clock
}

// Bind registers the handlers.
func (k *Skills) Bind(m *wire.Mux[*session.Session]) {
	wire.Handle(m, protocol.ShareSkill, k.share)
	wire.Handle(m, protocol.GetSkill, k.get)
	wire.Handle(m, protocol.ListSkills, k.list)
	wire.Handle(m, protocol.RemoveSkill, k.remove)
}

// share writes a skill of the caller's.
func (k *Skills) share(ctx context.Context, s *session.Session, req protocol.SkillShareRequest) (protocol.SkillAck, error) {
	if err := check(req); err != nil {
		return protocol.SkillAck{}, err
	}
	one := store.Skill{
		Mesh: s.Mesh, Name: req.Name, Description: req.Description, Instructions: req.Instructions, Tags: append([]string{}, req.Tags...),
		Manifest: string(req.Manifest), AuthorKey: s.MemberKey, UpdatedAt: k.Now(),
	}
	err := k.DB.Write(ctx, func(tx *sqlite.Tx) error {
		before, err := store.FindSkill(tx, s.Mesh, req.Name)
		if mesh.IsCode(err, mesh.SkillNotFound) {
			err = k.room(tx, s)
		}
		if err != nil {
			return err
		}
		if before.Name != "" && before.AuthorKey != s.MemberKey {
			return errTaken()
		}
		return store.PutSkill(tx, one)
	})
	if err != nil {
		return protocol.SkillAck{}, err
	}
	return k.told(s.Mesh, protocol.SkillAck{Name: req.Name, Action: protocol.SkillShared})
}

// room refuses a name more than a member may have.
func (k *Skills) room(tx *sqlite.Tx, s *session.Session) error {
	n, err := store.CountSkills(tx, s.Mesh, s.MemberKey)
	if err == nil && n >= k.Limit {
		k.Reached(config.BoundMemberSkills)
		err = mesh.Errorf(mesh.SkillsFull, "this member has published %d skills, which is all that one may", n)
	}
	return err
}

func errTaken() error {
	return mesh.Errorf(mesh.SkillTaken, "this name belongs to the member that published it first")
}

// remove forgets a skill of the caller's.
func (k *Skills) remove(ctx context.Context, s *session.Session, req protocol.SkillNameRequest) (protocol.SkillAck, error) {
	err := k.DB.Write(ctx, func(tx *sqlite.Tx) error {
		before, err := store.FindSkill(tx, s.Mesh, req.Name)
		switch {
		case err != nil:
			return err
		case before.Removed:
			return mesh.Errorf(mesh.SkillNotFound, "this skill is removed")
		case before.AuthorKey != s.MemberKey:
			return errTaken()
		}
		return store.RemoveSkill(tx, s.Mesh, req.Name, k.Now())
	})
	if mesh.IsCode(err, mesh.SkillNotFound) {
		return protocol.SkillAck{Name: req.Name, Action: protocol.SkillUnknown}, nil
	}
	if err != nil {
		return protocol.SkillAck{}, err
	}
	return k.told(s.Mesh, protocol.SkillAck{Name: req.Name, Action: protocol.SkillRemoved})
}

// told tells the mesh what was done, and answers with it.
func (k *Skills) told(meshID mesh.ID, ack protocol.SkillAck) (protocol.SkillAck, error) {
	body, err := wire.Encode(ack)
	if err != nil {
		return ack, err
	}
	frame, err := protocol.Push.Encode(protocol.PushedMessage{
		MessageID: mesh.NewID(), MeshID: meshID, SenderPubkey: protocol.SystemSender, Priority: mesh.Low, CreatedAt: mesh.FormatTime(k.Now()),
		Subtype: protocol.SubtypeSystem, Event: protocol.SkillsChanged, EventData: body,
	})
	if err == nil {
		k.Tell(meshID, frame)
	}
	return ack, err
}

func (k *Skills) get(ctx context.Context, s *session.Session, req protocol.SkillNameRequest) (protocol.SkillData, error) {
	var one store.Skill
	err := k.DB.Read(ctx, func(tx *sqlite.Tx) (err error) {
		one, err = store.FindSkill(tx, s.Mesh, req.Name)
		return err
	})
	if mesh.IsCode(err, mesh.SkillNotFound) || err == nil && (one.Removed || !one.Active) {
		return protocol.SkillData{}, nil
	}
	if err != nil {
		return protocol.SkillData{}, err
	}
	return protocol.SkillData{Skill: &protocol.Skill{
		Name: one.Name, Description: one.Description, Instructions: one.Instructions, Tags: one.Tags, Author: one.AuthorName,
		AuthorPubkey: one.AuthorKey, Manifest: manifest(one.Manifest), CreatedAt: mesh.FormatTime(one.CreatedAt), UpdatedAt: mesh.FormatTime(one.UpdatedAt),
	}}, nil
}

func manifest(text string) wire.RawMessage {
	if text == "" {
		text = "null"
	}
	return wire.RawMessage(text)
}

// maxList bounds one list; a query finds the rest.
const maxList = 1000

func (k *Skills) list(ctx context.Context, s *session.Session, req protocol.SkillListRequest) (protocol.SkillList, error) {
	answer := protocol.SkillList{Skills: []protocol.SkillRow{}}
	query := strings.ToLower(req.Query)
	err := k.DB.Read(ctx, func(tx *sqlite.Tx) error {
		return store.EachSkill(tx, s.Mesh, func(one store.Skill) bool {
			if matches(one, query) {
				answer.Skills = append(answer.Skills, protocol.SkillRow{
					Name: one.Name, Description: one.Description, Tags: one.Tags, Author: one.AuthorName, AuthorPubkey: one.AuthorKey,
					CreatedAt: mesh.FormatTime(one.CreatedAt), UpdatedAt: mesh.FormatTime(one.UpdatedAt),
				})
			}
			return len(answer.Skills) < maxList
		})
	})
	return answer, err
}

func matches(s store.Skill, query string) bool {
	for _, text := range append([]string{s.Name, s.Description}, s.Tags...) {
		if strings.Contains(strings.ToLower(text), query) {
			return true
		}
	}
	return false
}

// check refuses what no reader could be shown.
func check(req protocol.SkillShareRequest) error {
	hidden := func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }
	switch {
	case req.Name == "" || len(req.Name) > protocol.MaxSkillName || strings.ContainsFunc(req.Name, hidden) || !utf8.ValidString(req.Name):
		return mesh.Errorf(mesh.BadName, "a skill has a name of 1 to %d bytes that can be seen", protocol.MaxSkillName)
	case len(req.Description) > protocol.MaxSkillDescription:
		return tooLarge("description", protocol.MaxSkillDescription)
	case req.Instructions == "":
		return mesh.Errorf(mesh.BadRequest, "a skill has instructions")
	case len(req.Instructions) > protocol.MaxSkillInstructions:
		return tooLarge("instructions", protocol.MaxSkillInstructions)
	case len(req.Manifest) > protocol.MaxSkillManifest:
		return tooLarge("manifest", protocol.MaxSkillManifest)
	case len(req.Manifest) > 0 && req.Manifest.Kind() != '{' && req.Manifest.Kind() != 'n':
		return mesh.Errorf(mesh.BadRequest, "a manifest is an object")
	case len(req.Tags) > protocol.MaxSkillTags:
		return mesh.Errorf(mesh.BadRequest, "a skill has at most %d tags", protocol.MaxSkillTags)
	}
	for _, tag := range req.Tags {
		if tag == "" || len(tag) > protocol.MaxSkillTag || strings.ContainsFunc(tag, hidden) {
			return mesh.Errorf(mesh.BadRequest, "a tag has 1 to %d bytes that can be seen", protocol.MaxSkillTag)
		}
	}
	return nil
}

func tooLarge(what string, limit int64) error {
	return mesh.Errorf(mesh.PayloadTooLarge, "the %s of a skill has at most %d bytes", what, limit).With(mesh.Details{LimitBytes: limit})
}
