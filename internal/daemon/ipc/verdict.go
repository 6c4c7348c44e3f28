package ipc

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/gate"
	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// verdicts judges the messages of one answer: for a session (design E3), or for the user, who is shown everything. Whatever
// gives messages to a session asks it, by the way that they go.
type verdicts struct {
	standing func(inbox.Row) node.Standing
	judge    func(inbox.Row, gate.Way) (gate.Verdict, gate.Reason)
	muted    func(inbox.Row) bool // whether the human wants none of it by itself
	// unasked are the senders of whom the mesh could not be asked: a verdict on them may be another one later.
	unasked map[mesh.Key]bool
	// later are the messages that are not to disturb now; nil where nobody asks.
	later func(inbox.Row) bool
}

// author is what a standing depends on.
type author struct {
	mesh           mesh.ID
	sender, member mesh.Key
	name           string
	verified       bool
}

// verdicts reads the rules of a session's host and what is paused once, and asks once about each author; the session id is
// empty for the user.
func (s *Server) verdicts(ctx context.Context, sessionID string) verdicts {
	unasked := map[mesh.Key]bool{}
	standing := standings(ctx, s, sessionID, unasked)
	pauses, err := localdb.ListPauses(ctx, s.DB)
	if err != nil {
		s.Log.Error("what is paused is not known: everything is", logkey.Err, err)
		pauses = []localdb.Pause{{}}
	}
	muted := func(r inbox.Row) bool { return stopped(pauses, true, r) }
	if sessionID == "" {
		return verdicts{standing, func(inbox.Row, gate.Way) (gate.Verdict, gate.Reason) { return gate.Show, gate.None }, muted, unasked, nil}
	}
	to := gate.Session{Rules: s.Registry.Rules(sessionID), Wakes: gate.Limits{
		Minute: s.Settings.WakeMinute, Hour: s.Settings.WakeHour, HourTokens: s.Settings.WakeHourTokens,
		SessionHour: s.Settings.WakeSessionHour, Alternating: s.Settings.WakeAlternating,
	}}
	session, _ := s.Registry.Find(sessionID) // one that has ended has no lines
	recall(ctx, s, sessionID)
	judge := func(r inbox.Row, way gate.Way) (gate.Verdict, gate.Reason) {
		m := messageOf(s, r, standing(r), session)
		m.Paused, m.Muted = stopped(pauses, false, r), muted(r)
		m.Talk = func() gate.Talk { return s.talks.Of(sessionID, r.Sender, s.Now()) }
		return gate.Decide(to, m, way)
	}
	return verdicts{standing, judge, muted, unasked, nil}
}

// recall has the loop guard know what a session was given before the daemon was restarted.
func recall(ctx context.Context, s *Server, session string) {
	now := s.Now()
	if s.talks.Recalled(session, now) {
		return
	}
	offered, err := inbox.OfferingsOf(s.Inbox).Since(ctx, session, now.Add(-time.Hour))
	if err != nil {
		s.Log.Warn("what a session was given before is not counted", logkey.Session, session, logkey.Err, err)
		return
	}
	var all []gate.Past
	for _, o := range offered {
		all = append(all, gate.Past{From: o.Sender, At: o.At, Bytes: o.BodyBytes})
	}
	s.talks.Recall(session, all, now)
}

// messageOf is what counts about a row, by what is thought of its author, for a session.
func messageOf(s *Server, r inbox.Row, is node.Standing, session registry.Session) gate.Message {
	m := gate.Message{Opened: r.Encrypted, Known: is.Known, Verified: is.Verified, Unattended: is.Unattended, Released: r.Released}
	if from, ok := s.Registry.ByKey(r.MeshID, r.Sender); ok {
		m.Own = s.Registry.Rules(from.ID).Mode
	}
	m.Accepted = (registry.Hooks{Registry: s.Registry}).Accepts(session.ID, r.MeshID, r.SenderMember)
	line, ok := session.Line(r.MeshID)
	m.Self = ok && r.Sender == line.Member && (r.Encrypted || is.Verified)
	return m
}

// standings gives what is thought of the authors of rows, and notes those of whom nobody could be asked.
func standings(ctx context.Context, s *Server, sessionID string, unasked map[mesh.Key]bool) func(inbox.Row) node.Standing {
	known := map[author]node.Standing{}
	return func(r inbox.Row) node.Standing {
		if sessionID == "" && !r.Verified {
			return node.Standing{Name: r.SenderName} // who else could vouch for it matters to sessions only
		}
		from := author{r.MeshID, r.Sender, r.SenderMember, r.SenderName, r.Verified}
		is, asked := known[from]
		if !asked {
			var err error
			is, err = node.Trust{Node: s.Node}.Standing(ctx, r)
			known[from], unasked[r.Sender] = is, err != nil
		}
		return is
	}
}

// admit reports whether a session that asks for a message may be given it in any form.
func (v verdicts) admit(r inbox.Row) bool {
	verdict, _ := v.judge(r, gate.Pull)
	return verdict != gate.Hold
}

// shows reports whether a session that asks for a message may read its text.
func (v verdicts) shows(r inbox.Row) bool {
	verdict, _ := v.judge(r, gate.Pull)
	return verdict == gate.Show
}

// admits says which messages a caller may be given in any form; nil: all.
func admits(ctx context.Context, s *Server, c caller) func(inbox.Row) bool {
	if c.session == nil {
		return nil
	}
	return s.verdicts(ctx, c.id()).admit
}

// reads says the text of which messages a caller may read; nil: all.
func reads(ctx context.Context, s *Server, c caller) func(inbox.Row) bool {
	if c.session == nil {
		return nil
	}
	return s.verdicts(ctx, c.id()).shows
}

// offering is verdicts for what a session is shown without having asked: one that wants not to be disturbed is only
// for what is urgent.
func offering(ctx context.Context, s *Server, session string) (verdicts, error) {
	quiet, err := s.Node.Presence().Undisturbed(ctx, session)
	v := s.verdicts(ctx, session)
	v.later = func(r inbox.Row) bool { return quiet[r.MeshID] && r.Priority != mesh.Now }
	return v, err
}

// offers is the gate in front of what is put into a session by itself. kept is told why something was not let through.
func (v verdicts) offers(kept func(gate.Reason)) func(inbox.Row) bool {
	return func(r inbox.Row) bool {
		if v.later(r) {
			return false
		}
		verdict, reason := v.judge(r, gate.Push)
		if verdict == gate.Hold || verdict == gate.Wait {
			kept(reason)
			return false
		}
		// What is offered is offered once: a sender of whom nobody can be asked now is asked about when that is possible.
		return verdict == gate.Show || !v.unasked[r.Sender]
	}
}
