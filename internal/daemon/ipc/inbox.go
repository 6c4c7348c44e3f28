package ipc

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/gate"
	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/node"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// inboxRoutes answers what came.
type inboxRoutes struct{ *Server }

func (s inboxRoutes) list(ctx context.Context, c caller, req localapi.InboxRequest) (localapi.InboxAnswer, error) {
	q, err := inbox.ParseQuery(req, c.scope())
	if err != nil {
		return localapi.InboxAnswer{}, err
	}
	q.Session = c.id()
	verdicts := s.verdicts(ctx, c.id())
	if c.session != nil {
		q.Admit, q.Reads = verdicts.admit, verdicts.shows
	}
	page, err := s.Inbox.List(ctx, q)
	if err != nil {
		return localapi.InboxAnswer{}, err
	}
	if len(page.Rows)+page.Held == 0 { // of a mesh that was left there may still be messages
		if err := node.CheckMesh(s.Node, req.Mesh); err != nil {
			return localapi.InboxAnswer{}, err
		}
	}
	answer := localapi.InboxAnswer{Items: make([]localapi.InboxItem, 0, len(page.Rows)), MarkedSeen: page.Marked, HeldCount: page.Held}
	if answer.Unread, err = s.Inbox.Unread(ctx, c.scope(), c.id()); err != nil {
		return localapi.InboxAnswer{}, err
	}
	for _, r := range page.Rows {
		answer.Items = append(answer.Items, verdicts.item(r))
	}
	return answer, nil
}

func (s inboxRoutes) seen(ctx context.Context, c caller, req localapi.SeenRequest) (localapi.SeenAnswer, error) {
	n, err := s.Inbox.MarkSeen(ctx, c.scope(), req.IDs)
	return localapi.SeenAnswer{MarkedSeen: n}, err
}

// flush forgets messages. What is held for the human stays: no session can make it disappear.
func (s inboxRoutes) flush(ctx context.Context, c caller, req localapi.FlushRequest) (localapi.FlushAnswer, error) {
	f, err := inbox.ParseFlush(req, c.scope(), s.Now())
	if err != nil {
		return localapi.FlushAnswer{}, err
	}
	f.Admit = s.gate(ctx, c)
	n, err := s.Inbox.Flush(ctx, f)
	if err == nil && n == 0 {
		err = node.CheckMesh(s.Node, f.Mesh)
	}
	return localapi.FlushAnswer{Removed: n}, err
}

func (s inboxRoutes) delete(ctx context.Context, c caller, req localapi.InboxDeleteRequest) (localapi.InboxDeleteAnswer, error) {
	r, err := s.Inbox.Delete(ctx, c.scope(), req.ID, s.gate(ctx, c))
	if err != nil {
		return localapi.InboxDeleteAnswer{}, err
	}
	return localapi.InboxDeleteAnswer{Removed: 1, ID: r.ID}, nil
}

// gate says which messages a caller may be given in any form; nil: all.
func (s inboxRoutes) gate(ctx context.Context, c caller) func(inbox.Row) bool {
	if c.session == nil {
		return nil
	}
	return s.verdicts(ctx, c.id()).admit
}

// maxAttempts bounds one confirmation.
const maxAttempts = 1000

func (s inboxRoutes) offered(ctx context.Context, c caller, req localapi.OfferedRequest) (localapi.OfferedAnswer, error) {
	switch {
	case c.session == nil:
		return localapi.OfferedAnswer{}, mesh.Errorf(mesh.SessionUnknown, "only a session is offered messages")
	case len(req.Attempts) > maxAttempts:
		return localapi.OfferedAnswer{}, mesh.Errorf(mesh.BadRequest, "at most %d attempts at once", maxAttempts)
	}
	if err := checkPaths([]string{req.Path}); err != nil {
		return localapi.OfferedAnswer{}, err
	}
	n, err := s.Inbox.Offered(ctx, c.id(), req.Attempts, req.Path)
	s.paths.Offered(c.id(), req.Path, n)
	return localapi.OfferedAnswer{Marked: n}, err
}

// verdicts judges the messages of one answer: for a session (design E3), or for the user, who is shown everything.
type verdicts struct {
	standing func(inbox.Row) node.Standing
	judge    func(inbox.Row) (gate.Verdict, gate.Reason)
	// unasked are the senders of whom the mesh could not be asked: a verdict on them may be another one later.
	unasked map[mesh.Key]bool
}

// author is what a standing depends on.
type author struct {
	mesh           mesh.ID
	sender, member mesh.Key
	name           string
	verified       bool
}

// verdicts reads the rules of a session's host once, and asks once about each author; the session id is empty for the
// user.
func (s *Server) verdicts(ctx context.Context, sessionID string) verdicts {
	unasked, known := map[mesh.Key]bool{}, map[author]node.Standing{}
	standing := func(r inbox.Row) node.Standing {
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
	if sessionID == "" {
		return verdicts{standing, func(inbox.Row) (gate.Verdict, gate.Reason) { return gate.Show, gate.None }, unasked}
	}
	rules := s.Registry.Rules(sessionID)
	judge := func(r inbox.Row) (gate.Verdict, gate.Reason) {
		is := standing(r)
		m := gate.Message{Opened: r.Encrypted, Known: is.Known, Verified: is.Verified, Unattended: is.Unattended}
		if from, ok := s.Registry.ByKey(r.MeshID, r.Sender); ok {
			m.Own = s.Registry.Rules(from.ID).Mode
		}
		return gate.Decide(rules, m)
	}
	return verdicts{standing, judge, unasked}
}

// admit reports whether a session may be given a message in any form.
func (v verdicts) admit(r inbox.Row) bool {
	verdict, _ := v.judge(r)
	return verdict != gate.Hold
}

// shows reports whether a session may read the text of a message.
func (v verdicts) shows(r inbox.Row) bool {
	verdict, _ := v.judge(r)
	return verdict == gate.Show
}

// item is a message as the caller may see it.
func (v verdicts) item(r inbox.Row) localapi.InboxItem {
	from := v.standing(r)
	i := localapi.InboxItem{
		Seq: r.Seq, ID: r.ID, ClientMessageID: r.ClientID, BrokerMessageID: r.BrokerID, Mesh: r.Mesh, Topic: orNull(r.Topic),
		SenderPubkey: r.Sender, SenderMemberPubkey: r.SenderMember, SenderName: from.Name, Body: r.Body, Priority: r.Priority,
		ReceivedAt: mesh.FormatTime(r.ReceivedAt), CreatedAt: mesh.FormatTime(r.CreatedAt), ReplyToID: orNull(r.ReplyTo),
		SeenAt: timeOrNull(r.SeenAt), RecipientPubkey: r.Recipient, RecipientKind: string(r.RecipientKind),
		Encrypted: r.Encrypted, Verified: from.Verified, Undecryptable: r.Undecryptable, Subtype: r.Subtype,
	}
	if verdict, _ := v.judge(r); verdict != gate.Show {
		i.Body, i.Held = nil, true
	}
	return i
}

// orNull is null for an empty text.
func orNull[T ~string](v T) *T {
	if v == "" {
		return nil
	}
	return &v
}

// timeOrNull is null for the zero time.
func timeOrNull(t time.Time) *string { return orNull(mesh.FormatTime(t)) }
