package registry

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Amendment is what the user changed of a session since it was registered. Nil fields are as the host says.
type Amendment struct {
	Name        *string `json:"name,omitzero"`         // empty: as the host names it
	Role        *string `json:"role,omitzero"`         // empty: none
	MessageMode *string `json:"message_mode,omitzero"` // push, inbox or off
}

// kept is what is known of a session beside what its program says when it registers; it outlives the daemon.
type kept struct {
	Amendment
	Given  string `json:"given,omitzero"`  // the name that it was started with
	Called string `json:"called,omitzero"` // the id by which the host calls it now; empty for the one that it registered with
	Copy   int    `json:"copy,omitzero"`   // from 2, where another session with the same conversation was there first

	Accepts []localapi.Accepted `json:"accepts,omitzero"` // who reaches it also while it acts alone
}

// Amend changes a session: on the disk, and for who sees it. It holds until the session's process ends, also when the
// host registers it anew. session_unknown, bad_request, bad_name.
func (r *Registry) Amend(ctx context.Context, id string, change Amendment) error {
	if change.Name != nil && *change.Name != "" {
		if err := mesh.CheckName(*change.Name); err != nil {
			return err
		}
	}
	if _, err := check(localapi.RegisterRequest{
		SessionID: id, CWD: "/", Role: deref(change.Role), MessageMode: deref(change.MessageMode),
	}); err != nil {
		return err
	}
	if err := r.turn.take(ctx); err != nil {
		return err
	}
	defer r.turn.release()
	old := r.table.find(id)
	if old == nil {
		return mesh.Errorf(mesh.SessionUnknown, "the session has ended")
	}
	e := *old
	e.kept.Amendment = old.kept.with(change)
	r.table.amend(&e, localapi.RegisterRequest{CWD: e.CWD, Role: e.Role, MessageMode: e.MessageMode})
	if err := r.opt.DB.SaveSession(ctx, e.row()); err != nil {
		return err
	}
	r.install(&e)
	r.opt.Log.Info("session changed", slog.String(logkey.Session, id), slog.String(logkey.Name, e.Name))
	return nil
}

// amend gives an entry its name, role and message mode: as its user wants them, else as its host does.
func (t *table) amend(e *entry, said localapi.RegisterRequest) {
	e.Role, e.MessageMode = said.Role, said.MessageMode
	if e.kept.Role != nil {
		e.Role = *e.kept.Role
	}
	if mode := deref(e.kept.MessageMode); mode != "" {
		e.MessageMode = mode
	}
	t.name(e)
}

// name gives an entry its name: the one that its user set, else the one that it was started with, else its host's, else its
// folder's (design C5).
func (t *table) name(e *entry) {
	e.proposed = proposeName(cmp.Or(deref(e.kept.Name), e.kept.Given), e.rules.SessionName(e.hostID()), e.CWD)
	e.Name = t.freeName(e.ID, e.proposed)
}

// with is an amendment after another one.
func (a Amendment) with(change Amendment) Amendment {
	return Amendment{Name: cmp.Or(change.Name, a.Name), Role: cmp.Or(change.Role, a.Role), MessageMode: cmp.Or(change.MessageMode, a.MessageMode)}
}

// Fields names what it changes, as requests do.
func (a Amendment) Fields() (names []string) {
	for _, f := range []struct {
		name  string
		value *string
	}{{"name", a.Name}, {"role", a.Role}, {"message_mode", a.MessageMode}} {
		if f.value != nil {
			names = append(names, f.name)
		}
	}
	return names
}

// text is how it is stored; empty for nothing.
func (k kept) text() string {
	text, err := wire.Encode(k)
	if err != nil || string(text) == "{}" {
		return "" // strings always encode
	}
	return string(text)
}

// readKept reads what text writes. What cannot be read is nothing.
func readKept(text string) (k kept) {
	if text == "" || wire.Decode([]byte(text), &k) != nil {
		return kept{}
	}
	return k
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
