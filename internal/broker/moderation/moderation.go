// Package moderation lets the owner of a mesh and its admins close connections and end memberships (wire 8.2,
// design C1).
package moderation

import (
	"context"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/claudemesh/claudemesh/internal/broker/authority"
	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/broker/queue"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Moderation answers the moderation frames. Its fields are set once; it may be used from any goroutine.
type Moderation struct {
	DB        *sqlite.DB
	Queue     *queue.Queue
	Authority *authority.Authority
	Silent    func(hub.ConnID) time.Duration // since something was heard of a connection
	Now       mesh.Clock
	Log       *slog.Logger
}

// Bind registers the handlers.
func (m *Moderation) Bind(mux *wire.Mux[*session.Session]) {
	wire.Handle(mux, protocol.Disconnect, m.disconnect)
	wire.Handle(mux, protocol.Kick, m.kick)
	wire.Handle(mux, protocol.BanMember, m.ban)
	wire.Handle(mux, protocol.Unban, m.unban)
	wire.Handle(mux, protocol.ListBans, m.list)
}

// bench is who moderates, and among whom.
type bench struct {
	*session.Session
	owner    bool // it was the owner who signed
	by       mesh.Key
	founder  mesh.ID
	members  []store.Member // active
	sessions []store.Session
}

// convene checks the signature and reads who there is. An admin whose role has ended since it came in is none.
func (m *Moderation) convene(ctx context.Context, s *session.Session, name string, args any, op protocol.SignedOperation) (*bench, error) {
	b := &bench{Session: s, by: op.Key}
	var err error
	if b.owner, err = m.Authority.RequireAdmin(s, name, args, op); err != nil {
		return nil, err
	}
	err = m.DB.Read(ctx, func(tx *sqlite.Tx) error {
		founder, err := store.FindFounder(tx, s.Mesh)
		if err != nil {
			return err
		}
		b.founder = founder.ID
		if b.members, err = store.ListMembers(tx, s.Mesh); err != nil {
			return err
		}
		b.sessions, err = store.ListSessions(tx, s.Mesh, time.Time{})
		return err
	})
	if err == nil && !b.owner && b.member(s.Member).Role != store.RoleAdmin {
		err = mesh.Errorf(mesh.Forbidden, "%s is for the owner and the admins of the mesh", name)
	}
	return b, err
}

// member finds an active member; the zero member otherwise.
func (b *bench) member(id mesh.ID) store.Member {
	for _, m := range b.members {
		if m.ID == id {
			return m
		}
	}
	return store.Member{}
}

// spare says why a member may not be touched: the owner never, an admin by the owner alone.
func (b *bench) spare(m store.Member) error {
	switch {
	case m.ID == b.founder, m.Key == b.OwnerKey:
		return mesh.Errorf(mesh.Forbidden, "%s is the owner of the mesh", m.Name)
	case m.Role == store.RoleAdmin && !b.owner:
		return mesh.Errorf(mesh.Forbidden, "%s is an admin: that needs the signature of the mesh's owner", m.Name)
	}
	return nil
}

// maxReasonRunes bounds what is shown to others.
const maxReasonRunes = 200

func (m *Moderation) ban(ctx context.Context, s *session.Session, req protocol.BanRequest) (protocol.BanAnswer, error) {
	var none protocol.BanAnswer
	b, err := m.convene(ctx, s, protocol.BanMember.Type, req.Signed(), req.Operation)
	if err != nil {
		return none, err
	}
	if utf8.RuneCountInString(req.Reason) > maxReasonRunes || strings.ContainsFunc(req.Reason, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return none, mesh.Errorf(mesh.BadRequest, "a reason has at most %d characters, in one line", maxReasonRunes)
	}
	who, err := b.findMember(req.Target)
	if err != nil {
		return none, err
	}
	if who.ID == s.Member {
		return none, mesh.Errorf(mesh.Invalid, "nobody bans itself: `claudemesh leave` ends the own membership")
	}
	if err := b.spare(who); err != nil {
		return none, err
	}
	last, err := lastWord(Banned(b.MeshSlug, req.Reason))
	if err != nil {
		return none, err
	}
	ended, err := m.Queue.Guard().Ban(ctx, store.Ban{Member: who, Reason: req.Reason, By: b.by, At: m.Now()}, last)
	if err == nil && !ended {
		err = mesh.Errorf(mesh.NotFound, "the membership of %s has ended already", who.Name)
	}
	if err != nil {
		return none, err
	}
	m.note("member banned", b, who, slog.String(logkey.Reason, req.Reason))
	return protocol.BanAnswer{Banned: who.Name, Pubkey: who.Key}, nil
}

// Banned tells a member that it is banned, and why where that was said.
func Banned(slug, reason string) error {
	if reason == "" {
		return mesh.Errorf(mesh.Revoked, "you are banned from %s", slug)
	}
	return mesh.Errorf(mesh.Revoked, "you are banned from %s: %s", slug, reason)
}

// lastWord is the frame from which a connection learns why it is closed.
func lastWord(why error) ([]byte, error) {
	code := mesh.CodeOf(why)
	return wire.EncodeError("", wire.ErrorFrame{Code: string(code), Message: mesh.PublicText(why), Hint: code.Hint()})
}

func (m *Moderation) unban(ctx context.Context, s *session.Session, req protocol.UnbanRequest) (protocol.UnbanAnswer, error) {
	var none protocol.UnbanAnswer
	b, err := m.convene(ctx, s, protocol.Unban.Type, req.Signed(), req.Operation)
	if err != nil {
		return none, err
	}
	bans, err := m.read(ctx, s.Mesh)
	if err != nil {
		return none, err
	}
	who, err := findBan(bans, req.Target)
	if err != nil {
		return none, err
	}
	if err := b.spare(who.Member); err != nil {
		return none, err
	}
	lifted, err := m.Queue.Guard().Unban(ctx, who.Member)
	if err == nil && !lifted {
		err = mesh.Errorf(mesh.NotFound, "%s is not banned any more", who.Name)
	}
	if err != nil {
		return none, err
	}
	m.note("member unbanned", b, who.Member)
	return protocol.UnbanAnswer{Unbanned: who.Name, Pubkey: who.Key}, nil
}

// maxListed bans are shown, newest first: their frame stays below the smallest read limit of a client.
const maxListed = 120

func (m *Moderation) list(ctx context.Context, s *session.Session, _ protocol.BansRequest) (protocol.BansAnswer, error) {
	bans, err := m.read(ctx, s.Mesh)
	answer := protocol.BansAnswer{Bans: []protocol.Ban{}}
	for _, b := range bans[:min(len(bans), maxListed)] {
		answer.Bans = append(answer.Bans, protocol.Ban{
			Name: b.Name, Pubkey: b.Key, RevokedAt: mesh.FormatTime(b.At), Reason: b.Reason, By: b.By,
		})
	}
	return answer, err
}

func (m *Moderation) read(ctx context.Context, meshID mesh.ID) (bans []store.Ban, err error) {
	err = m.DB.Read(ctx, func(tx *sqlite.Tx) error {
		bans, err = store.ListBans(tx, meshID)
		return err
	})
	return bans, err
}

// note writes down what was done to a member, by whom.
func (m *Moderation) note(what string, b *bench, who store.Member, more ...any) {
	m.Log.Info(what, append([]any{
		slog.String(logkey.Mesh, string(b.Mesh)), slog.String(logkey.Member, string(who.ID)), slog.String(logkey.Name, who.Name),
		slog.String(logkey.By, b.by.Short()),
	}, more...)...)
}
