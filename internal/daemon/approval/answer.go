package approval

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/claudemesh/claudemesh/internal/audit"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Answer is an answer as it came: what its signer says that it is about.
type Answer struct {
	MeshID    mesh.ID
	Nonce     string
	Session   mesh.Key
	Tool      string
	Input     string // SHA-256 in hex
	Decision  string
	ExpiresAt time.Time
	Signer    mesh.Key // of this user: the caller has seen to that
	Signature string   // hex
}

// Sign answers a question of a mesh with a member key.
func Sign(q Question, id mesh.ID, decision string, member seal.SecretKey) (Answer, error) {
	place, ok := q.place(id)
	if !ok {
		return Answer{}, mesh.Errorf(mesh.NotFound, "the session that asks is not in this mesh")
	}
	a := Answer{
		MeshID: id, Nonce: q.Nonce, Session: place.Session, Tool: q.Tool, Input: q.SumText(), Decision: decision, ExpiresAt: q.Expires,
		Signer: mesh.Key(member.Public().String()),
	}
	text, err := a.approval()
	if err != nil {
		return a, err
	}
	sig, err := text.Sign(member)
	a.Signature = sig.String()
	return a, err
}

// approval is the signed text of an answer.
func (a Answer) approval() (seal.Approval, error) {
	session, err := seal.ParsePublicKey(string(a.Session))
	if err != nil {
		return seal.Approval{}, err
	}
	signer, err := seal.ParsePublicKey(string(a.Signer))
	if err != nil {
		return seal.Approval{}, err
	}
	out := seal.Approval{
		MeshID: string(a.MeshID), Session: session, Nonce: a.Nonce, Tool: a.Tool, Decision: a.Decision, ExpiresAt: a.ExpiresAt, Signer: signer,
	}
	sum, err := hex.DecodeString(a.Input)
	if err != nil || len(sum) != len(out.Input) {
		return out, mesh.Errorf(mesh.BadRequest, "the answer names no input")
	}
	copy(out.Input[:], sum)
	return out, nil
}

// Take takes an answer to a question of this machine, if it is the first one, is about exactly what was asked, and is
// signed. What it decides is in the audit log before the session hears of it; so is that an answer was refused.
// approval_over where nothing waits for it (any more).
func (b *Board) Take(ctx context.Context, a Answer) error {
	e, err := b.claim(a)
	if err != nil {
		b.refuse(ctx, a, err)
		return err
	}
	o := Outcome{a.Decision, "", a.Signer}
	err = b.note(ctx, entryOf(e.Question, a, a.Decision, ""))
	if err != nil && a.Decision == seal.ApprovalAllow {
		o = Outcome{Reason: "the audit log cannot be written"}
	}
	b.mu.Lock()
	e.end(o)
	b.mu.Unlock()
	if o.Decision == "" {
		return err
	}
	return nil
}

// claim checks an answer, and takes it: from here on every other one comes too late.
func (b *Board) claim(a Answer) (*entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prune()
	e, ok := b.open[a.Nonce]
	if !ok || e.Asker != "" || e.taken {
		return nil, mesh.Errorf(mesh.ApprovalOver, "nothing waits for this answer: it was answered, or its time is over")
	}
	if err := e.fits(a); err != nil {
		return nil, err
	}
	text, err := a.approval()
	if err != nil {
		return nil, err
	}
	sig, err := seal.ParseSignature(a.Signature)
	if err != nil {
		return nil, err
	}
	if err := text.Verify(sig, b.now()); err != nil {
		return nil, err
	}
	e.taken = true
	return e, nil
}

// fits compares an answer with what was asked.
func (q Question) fits(a Answer) error {
	place, ok := q.place(a.MeshID)
	switch {
	case !ok || place.Session != a.Session:
		return mesh.Errorf(mesh.Forbidden, "the answer is for another session")
	case a.Tool != q.Tool:
		return mesh.Errorf(mesh.Forbidden, "the answer is for another tool")
	case a.Input != q.SumText():
		return mesh.Errorf(mesh.Forbidden, "the answer is for another input")
	case !a.ExpiresAt.Equal(q.Expires):
		return mesh.Errorf(mesh.Forbidden, "the answer is for another time")
	case q.Partial && a.Decision != seal.ApprovalDeny:
		return mesh.Errorf(mesh.Forbidden, "the host told a part of the input: this can be allowed at the session alone")
	}
	return nil
}

// refuse writes down that an answer was not taken. That it was not does not depend on the log.
func (b *Board) refuse(ctx context.Context, a Answer, why error) {
	b.mu.Lock()
	e, ok := b.open[a.Nonce]
	b.mu.Unlock()
	q := Question{Tool: "?"}
	if ok {
		q = e.Question
	}
	_ = b.note(ctx, entryOf(q, a, audit.Refused, mesh.PublicText(why)))
}

func entryOf(q Question, a Answer, decision, reason string) audit.Entry {
	verb := a.Decision
	if verb != seal.ApprovalAllow && verb != seal.ApprovalDeny {
		verb = "answer"
	}
	e := audit.Entry{
		Event: audit.Approval, Resource: "approval", Verb: verb, IsWrite: true, Decision: decision, Reason: reason,
		Session: q.Session, Tool: q.Tool, By: a.Signer,
	}
	if q.Input != nil {
		e.Input = q.SumText()
	}
	if place, ok := q.place(a.MeshID); ok {
		e.Mesh = place.Mesh
	}
	return e
}

// Answered notes that a question of another device was answered here: a second answer would not be taken there. The answer
// is in the audit log of this device before the other one hears of it; without one nothing is allowed.
func (b *Board) Answered(ctx context.Context, a Answer) error {
	b.mu.Lock()
	b.prune()
	e, ok := b.open[a.Nonce]
	if !ok || e.taken {
		b.mu.Unlock()
		return mesh.Errorf(mesh.ApprovalOver, "it was answered, or its time is over")
	}
	e.taken = true
	b.mu.Unlock()
	if err := b.note(ctx, entryOf(e.Question, a, a.Decision, "")); err != nil && a.Decision == seal.ApprovalAllow {
		return err
	}
	return nil
}

// Settled waits until ctx ends for what became of an answer that was given here to a question of another device: true where
// it counts, false while nobody knows. approval_over where another one was first, which is in the audit log, too.
func (b *Board) Settled(ctx context.Context, a Answer) (bool, error) {
	b.mu.Lock()
	e, ok := b.open[a.Nonce]
	b.mu.Unlock()
	if !ok {
		return false, nil
	}
	select {
	case <-e.done:
	case <-ctx.Done():
		return false, nil
	}
	o := e.outcome
	if o.Decision == a.Decision && o.By == a.Signer {
		return true, nil
	}
	err := mesh.Errorf(mesh.ApprovalOver, "it was over before the answer came")
	if o.Decision != "" {
		err = mesh.Errorf(mesh.ApprovalOver, "another answer was first: %s", o.Decision)
	}
	b.refuse(context.WithoutCancel(ctx), a, err)
	return false, err
}

// Over takes a question of another device off the board: that device says that it is over, and which answer counts.
func (b *Board) Over(p Paper, asker mesh.Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.open[p.Nonce]; ok && e.Asker == asker && !e.over {
		e.end(Outcome{Decision: p.Decision, Reason: "it is over", By: p.By})
	}
}
