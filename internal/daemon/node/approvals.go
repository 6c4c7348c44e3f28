package node

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/approval"
	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/daemon/registry"
	"github.com/claudemesh/claudemesh/internal/daemon/trust"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Approvals are the permissions that host sessions of this user want.
type Approvals struct{ Node *Node }

// Board is where they wait.
func (a Approvals) Board() *approval.Board { return a.Node.shared.Approvals }

// On reports whether the sessions of this machine are asked for.
func (a Approvals) On() bool { return a.Node.opt.Settings.ApprovalRelay }

// Ask asks for a session, here and on the user's other devices, and waits until the question is answered or over. It tells
// nobody anything where the relay is off, or the session is in no mesh: the question is then asked at the session alone.
func (a Approvals) Ask(ctx context.Context, session registry.Session, q approval.Question) (approval.Outcome, error) {
	if !a.On() {
		return approval.Outcome{Reason: "the relay is off"}, nil
	}
	q.Session, q.Name = session.ID, session.Name
	for _, l := range session.Lines {
		if _, err := a.Node.byID(l.MeshID); err == nil {
			q.Places = append(q.Places, approval.Place{MeshID: l.MeshID, Mesh: l.Slug, Session: l.Pubkey()})
		}
	}
	if len(q.Places) == 0 {
		return approval.Outcome{Reason: "the session is in no mesh"}, nil
	}
	q, err := a.Board().Ask(q)
	if err != nil {
		return approval.Outcome{}, err
	}
	told := a.tell(ctx, q)
	o := a.Board().Wait(ctx, q)
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), localTime)
	defer cancel()
	a.over(after, q.End(o), told)
	return o, nil
}

// localTime bounds what is written after the one who asked has gone.
const localTime = 10 * time.Second

// device is another device of this user in a mesh.
type device struct {
	at  *attachment.Attachment
	key mesh.Key
}

// tell tells a question to the user's other devices, and gives those that it was told.
func (a Approvals) tell(ctx context.Context, q approval.Question) []device {
	var told []device
	for _, p := range q.Places {
		at, err := a.Node.byID(p.MeshID)
		paper, ok := q.Tell(p.MeshID)
		if err != nil || !ok {
			continue // left meanwhile, or too large to be told: it is answered here
		}
		for _, key := range trust.Devices(at.Roster.Pins) {
			if _, err := a.send(ctx, device{at, key}, paper); err != nil {
				a.Node.opt.Log.Warn("question not told", logkey.Mesh, p.Mesh, logkey.By, key.Short(), logkey.Err, err)
				continue
			}
			told = append(told, device{at, key})
		}
	}
	return told
}

// over tells devices that a question is over, and how it ended.
func (a Approvals) over(ctx context.Context, end approval.Paper, told []device) {
	for _, d := range told {
		if _, err := a.send(ctx, d, end); err != nil {
			a.Node.opt.Log.Info("end of a question not told", logkey.Mesh, d.at.Mesh.Slug, logkey.By, d.key.Short(), logkey.Err, err)
		}
	}
}

// send puts a paper into the outbox as a message from the user to a member key: a sealed box, like every direct message.
func (a Approvals) send(ctx context.Context, to device, p approval.Paper) (localapi.SendAnswer, error) {
	text, err := p.Text()
	if err != nil {
		return localapi.SendAnswer{}, err
	}
	return a.Node.Send(ctx, "", nil, localapi.SendRequest{
		To: string(to.key), Mesh: to.at.Mesh.Slug, Message: text, Priority: string(mesh.Now),
	})
}

// answerTime is how long an answer waits until the machine of the session says whether it counts.
const answerTime = 5 * time.Second

// NameOf is how the device is called that asks a question.
func (a Approvals) NameOf(q approval.Question) string {
	at, err := a.Node.byID(q.Places[0].MeshID)
	if err != nil {
		return q.Asker.Short()
	}
	return mesh.SafeName(at.Roster.Pins.Of(q.Asker).Name, q.Asker.Short())
}

// Decide answers a question, with this user's key in a mesh in which it was asked. The word of the caller that it may is
// taken. delivered reports whether the session's machine has the answer, which counts there; approval_over where another one
// was first.
func (a Approvals) Decide(ctx context.Context, q approval.Question, decision string) (delivered bool, err error) {
	if q.Partial && decision != seal.ApprovalDeny {
		return false, mesh.Errorf(mesh.Forbidden, "the host told a part of the input: this can be allowed at the session alone")
	}
	at, err := a.Node.byID(q.Places[0].MeshID)
	if err != nil {
		return false, err
	}
	answer, err := approval.Sign(q, at.Mesh.ID, decision, at.Mesh.Secret)
	if err != nil {
		return false, err
	}
	if q.Asker == "" {
		return true, a.Board().Take(ctx, answer)
	}
	if !at.Roster.Pins.Of(q.Asker).Device {
		return false, mesh.Errorf(mesh.Forbidden, "that device is no longer one of yours")
	}
	if err := a.Board().Answered(ctx, answer); err != nil {
		return false, err
	}
	if _, err := a.send(ctx, device{at, q.Asker}, answer.Paper()); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return a.Board().Settled(ctx, answer)
}
