package node

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/inbox"
	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Letters are the dead letters, as one caller may see them.
type Letters struct {
	Outbox                      // what the caller sent
	Scope  inbox.Scope          // what came to it
	Admit  func(inbox.Row) bool // the gate: of letters it refuses only the number is told; nil admits all
}

// How many letters are listed at most, and where nobody says how many; and for how long those that left are. Their rows
// stay for ever.
const (
	maxLetters     = 1000
	defaultLetters = 100
	letterAge      = 30 * 24 * time.Hour
)

// List tells of dead letters in both directions, newest first.
func (l Letters) List(ctx context.Context, req localapi.LettersRequest) (localapi.LettersAnswer, error) {
	answer := localapi.LettersAnswer{Letters: []localapi.DeadLetter{}}
	if req.Limit < 0 || req.Limit > maxLetters {
		return answer, mesh.Errorf(mesh.BadRequest, "limit is 1 to %d", maxLetters)
	}
	limit := cmp.Or(req.Limit, defaultLetters)
	came, err := l.Node.opt.Inbox.Letters().List(ctx, l.Scope, req.Mesh)
	if err != nil {
		return answer, err
	}
	for _, one := range came {
		if !l.admits(one) {
			answer.HeldCount++
			continue
		}
		answer.Letters = append(answer.Letters, incoming(one))
	}
	left, err := l.Node.opt.Outbox.Undelivered(ctx, req.Mesh, l.Node.opt.Now().Add(-letterAge), maxLetters)
	if err != nil {
		return answer, err
	}
	for _, m := range left {
		if l.User || slices.Contains(l.Keys, m.Sender) {
			d := outgoing(m)
			if _, err := l.Node.byID(m.MeshID); err != nil {
				d.Redeliverable = false // until the mesh is joined again
			}
			answer.Letters = append(answer.Letters, d)
		}
	}
	if len(answer.Letters)+answer.HeldCount == 0 { // of a mesh that was left there may still be letters
		if err := CheckMesh(l.Node, req.Mesh); err != nil {
			return answer, err
		}
	}
	slices.SortStableFunc(answer.Letters, func(a, b localapi.DeadLetter) int { return cmp.Compare(b.At, a.At) })
	answer.Letters = answer.Letters[:min(len(answer.Letters), limit)]
	return answer, nil
}

// admits reports whether the caller may hear of a letter. Whom the user blocked no session hears of.
func (l Letters) admits(one inbox.Letter) bool {
	return l.User || one.Reason != inbox.Blocked && (l.Admit == nil || l.Admit(one.Row()))
}

func incoming(l inbox.Letter) localapi.DeadLetter {
	return localapi.DeadLetter{
		ID: l.ID, Direction: "in", Reason: string(l.Reason), Mesh: l.Mesh, Name: l.From.Name, Pubkey: l.From.Key,
		ClientMessageID: l.ClientID, BrokerMessageID: l.BrokerID, At: mesh.FormatTime(l.ReceivedAt), Redeliverable: l.Push != nil,
	}
}

func outgoing(m outbox.Message) localapi.DeadLetter {
	d := localapi.DeadLetter{
		ID: m.ID, Direction: "out", Reason: string(mesh.StateRejected), Detail: m.LastError, Mesh: m.Mesh, Name: m.TargetName, ClientMessageID: m.ClientID,
		BrokerMessageID: m.BrokerID, At: mesh.FormatTime(m.EnqueuedAt), Redeliverable: resendable(m) == nil,
	}
	if d.Pubkey = m.Recipient; !m.Encrypted() {
		d.Target = m.TargetSpec
	}
	if m.State.Failed() {
		d.Reason = string(m.State)
	}
	for _, r := range m.Recipients {
		if r.State.Failed() {
			d.Reason, d.Detail = string(r.State), cmp.Or(r.Reason, d.Detail)
			break
		}
	}
	return d
}

// resendable says why a message cannot be sent again with the certainty that nobody gets it twice; nil: it can.
func resendable(m outbox.Message) error {
	switch {
	case m.Status == outbox.Done:
		return mesh.Errorf(mesh.MessageSettled, "the broker had message %s: send it anew", m.ClientID)
	case m.Status != outbox.Dead:
		return mesh.Errorf(mesh.MessageSettled, "message %s is %s, which is no dead letter", m.ClientID, m.Status)
	case m.MayBeSent():
		return mesh.Errorf(mesh.Forbidden,
			"the broker may have message %s: `claudemesh daemon outbox requeue` sends it all the same, and its recipient may get it twice", m.ClientID)
	case m.Mesh == "" || m.TargetSpec == "":
		return mesh.Errorf(mesh.LegacyUnroutable, "nobody knows to whom message %s was to go: send it anew", m.ClientID)
	}
	return nil
}

// Redeliver tries a dead letter again: it opens one that came, or sends one that left and certainly reached nobody. Nobody
// is shown anything twice.
func (l Letters) Redeliver(ctx context.Context, req localapi.RedeliverRequest) (localapi.RedeliverAnswer, error) {
	one, err := l.Node.opt.Inbox.Letters().Find(ctx, l.Scope, req.ID)
	if err == nil && !l.admits(one) {
		err = mesh.Errorf(mesh.NotFound, "there is no dead letter %q", req.ID)
	}
	if mesh.IsCode(err, mesh.NotFound) {
		return l.resend(ctx, req, err)
	}
	answer := localapi.RedeliverAnswer{ID: one.ID, Direction: "in", Outcome: "delivered", Mesh: one.Mesh, MessageID: one.ID}
	if err != nil {
		return answer, err
	}
	at, err := l.Node.byID(one.MeshID)
	if err != nil {
		return answer, err
	}
	row, verified, err := attachment.Redeliver(ctx, at, one)
	if err != nil {
		return answer, err
	}
	if verified {
		answer.Outcome = "verified"
	} else {
		answer.MessageID = row.ID
	}
	return answer, nil
}

// resend sends a message again under a new id; missing is the error where there is none either.
func (l Letters) resend(ctx context.Context, req localapi.RedeliverRequest, missing error) (localapi.RedeliverAnswer, error) {
	old, err := l.find(ctx, req.ID, "")
	switch {
	case mesh.IsCode(err, mesh.NotFound):
		return localapi.RedeliverAnswer{}, missing
	case err != nil:
		return localapi.RedeliverAnswer{}, err
	}
	again := old.Status == outbox.Aborted && old.SupersededBy != "" && req.NewClientMessageID != "" // this request may have done it
	if err := resendable(old.Message); err != nil && !again {
		return localapi.RedeliverAnswer{}, err
	}
	done, err := l.Requeue(ctx, localapi.RequeueRequest{ID: old.ID, NewClientMessageID: req.NewClientMessageID, AbortedBy: "redeliver"})
	return localapi.RedeliverAnswer{
		ID: old.ID, Direction: "out", Outcome: "queued", Mesh: done.Mesh, MessageID: string(done.NewClientMessageID),
	}, err
}
