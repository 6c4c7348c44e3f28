package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"

	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// maxRecipients bounds the recipients of one request; more are a group.
const maxRecipients = 100

// post is one letter of several, resolved and sealed.
type post struct {
	letter
	draft  outbox.Draft
	online *bool
	known  *outbox.Outcome // what its id stands for, where it could not be resolved any more
}

// SendMany sends the same text to several, as a message to each: all of them are accepted in one transaction, or none
// is. The rest is as with Send.
func SendMany(ctx context.Context, n *Node, sessionID string, allow Allow, req localapi.SendManyRequest) (localapi.SendManyAnswer, error) {
	posts, err := prepareMany(ctx, n, sessionID, allow, req)
	if err != nil {
		return localapi.SendManyAnswer{}, err
	}
	var drafts []outbox.Draft
	for _, p := range posts {
		if p.known == nil {
			drafts = append(drafts, p.draft)
		}
	}
	outcomes, err := n.opt.Outbox.AcceptAll(ctx, drafts)
	for _, d := range drafts {
		n.heed(ctx, d)
	}
	if err != nil {
		return localapi.SendManyAnswer{}, err
	}
	answer := localapi.SendManyAnswer{Messages: make([]localapi.SendAnswer, len(posts))}
	errs := make([]error, len(posts))
	var waiting sync.WaitGroup
	for i, p := range posts {
		out := accepted{online: p.online}
		if p.known != nil {
			out.Outcome = *p.known
		} else {
			out.Outcome, outcomes = outcomes[0], outcomes[1:]
		}
		waiting.Go(func() { answer.Messages[i], errs[i] = p.answer(ctx, out) })
	}
	waiting.Wait()
	return answer, worst(posts, errs)
}

// prepareMany checks, resolves and seals all letters. Several names of one peer are one.
func prepareMany(ctx context.Context, n *Node, sessionID string, allow Allow, req localapi.SendManyRequest) ([]post, error) {
	switch {
	case len(req.Recipients) == 0:
		return nil, mesh.Errorf(mesh.BadRequest, "the message has no recipient")
	case len(req.Recipients) > maxRecipients:
		return nil, mesh.Errorf(mesh.BadRequest, "at most %d recipients at once: make them a group", maxRecipients)
	case req.Letter.To != "":
		return nil, mesh.Errorf(mesh.BadRequest, "the letter has no to of its own")
	}
	if req.Letter.ClientMessageID == "" {
		req.Letter.ClientMessageID = string(mesh.NewClientID(n.opt.Now()))
	}
	var posts []post
	for _, to := range req.Recipients {
		one := req.Letter
		one.To, one.ClientMessageID = to, partID(req.Letter.ClientMessageID, to)
		l, err := newLetter(n, one)
		if err != nil {
			return nil, about(to, err)
		}
		l.session, l.allow = sessionID, allow
		p, err := l.prepare(ctx)
		if err != nil {
			return nil, about(to, err)
		}
		if !slices.ContainsFunc(posts, p.same) {
			posts = append(posts, p)
		}
	}
	return posts, nil
}

// prepare resolves and seals, or finds what the id stands for.
func (l letter) prepare(ctx context.Context) (post, error) {
	p := post{letter: l}
	var err error
	if p.draft, p.online, err = l.draft(ctx); err == nil {
		return p, nil
	}
	known, found, lookupErr := l.node.opt.Outbox.Lookup(ctx, l.id, l.fingerprint, "")
	if lookupErr != nil {
		return p, lookupErr
	}
	if !found {
		return p, err
	}
	p.known = &known
	return p, nil
}

// same reports whether two letters go to one address.
func (p post) same(other post) bool { return p.address() == other.address() }

// address is the mesh and the target.
func (p post) address() [2]string {
	if p.known != nil {
		return [2]string{string(p.known.Row.MeshID), p.known.Row.TargetSpec}
	}
	return [2]string{string(p.draft.MeshID), p.draft.TargetSpec}
}

// partID is the id of the message to one of several. It depends on nothing that may be another when it is sent again.
func partID(id, to string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.TrimSpace(to))))
	return id + "." + hex.EncodeToString(sum[:8])
}

// worst is the error that counts for all: one that is not only late, else that somebody is, with the names of all who are.
func worst(posts []post, errs []error) error {
	var late []string
	var first error
	for i, err := range errs {
		switch {
		case err == nil:
		case !mesh.IsCode(err, mesh.WaitTimeout):
			return about(posts[i].req.To, err)
		default:
			first = err
			late = append(late, posts[i].req.To)
		}
	}
	if first == nil {
		return nil
	}
	return mesh.Errorf(mesh.WaitTimeout, "the message is %s for %d of %d%s", posts[0].req.Wait, len(posts)-len(late), len(posts), missingText(late)).
		With(mesh.Details{State: mesh.StateQueued, Missing: late})
}
