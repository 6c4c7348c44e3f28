package attachment

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/approval"
	"github.com/claudemesh/claudemesh/internal/daemon/events"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// approval takes what another device of this user says of a permission; false for every other message, which goes on its
// way. Only a box counts that the key of that device sealed to ours: the broker cannot make one. It leaves no row in the
// inbox: a question is known by its nonce, and over in minutes.
func (a intake) approval(ctx context.Context, msg protocol.PushedMessage, opened seal.Opened) bool {
	from := authorOf(opened)
	if from == "" || from != msg.SenderMemberPubkey || mesh.Key(opened.Recipient.String()) != a.Mesh.Pubkey() || !a.Roster.Pins.Of(from).Device {
		return false
	}
	paper, ok := approval.Read(string(opened.Plaintext))
	if !ok {
		return false
	}
	var err error
	switch paper.Kind {
	case approval.Asks:
		var q approval.Question
		if q, err = a.opt.Approvals.Hear(paper, from, approval.Place{MeshID: a.Mesh.ID, Mesh: a.Mesh.Slug}); err == nil {
			a.opt.Events.Publish(events.Event{Kind: localapi.EventApproval, Mesh: a.Mesh.ID, Of: a.Mesh.Pubkey(), Body: localapi.ApprovalEvent{
				TS: mesh.FormatTime(a.opt.Now()), ID: q.Nonce, Mesh: a.Mesh.Slug, Session: q.Name, Tool: q.Tool,
			}})
		}
	case approval.Answers:
		err = a.opt.Approvals.Take(ctx, paper.Answer(a.Mesh.ID, from))
	case approval.Ends:
		a.opt.Approvals.Over(paper, from)
	}
	if err != nil {
		a.opt.Log.Warn("approval not taken", logkey.Mesh, a.Mesh.Slug, logkey.Type, paper.Kind, logkey.By, from.Short(), logkey.Err, err)
	}
	return true
}
