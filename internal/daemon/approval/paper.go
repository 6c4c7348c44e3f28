package approval

import (
	"bytes"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// mark begins the text of every message between the devices of a user.
const mark = "claudemesh/approval/1 "

// The kinds of a Paper.
const (
	Asks    = "question"
	Answers = "answer"
	Ends    = "over"
)

// Paper is what one device tells another, as the text of a sealed message to its member key.
type Paper struct {
	Kind      string   `json:"kind"`
	Nonce     string   `json:"nonce"`
	Session   mesh.Key `json:"session,omitzero"`
	Name      string   `json:"name,omitzero"`
	Tool      string   `json:"tool,omitzero"`
	Input     string   `json:"input,omitzero"`
	Partial   bool     `json:"partial,omitzero"`
	Sum       string   `json:"input_sha256,omitzero"`
	ExpiresMS int64    `json:"expires_at_ms,omitzero"`
	Decision  string   `json:"decision,omitzero"`
	Signature string   `json:"signature,omitzero"`
	By        mesh.Key `json:"by,omitzero"` // who signed the answer that counts, at the end of a question
}

// Text is the text of the message.
func (p Paper) Text() (string, error) {
	data, err := wire.Encode(p)
	return mark + string(data), err
}

// Read reads the text of a message; false for one that is for people.
func Read(text string) (Paper, bool) {
	data, ok := strings.CutPrefix(text, mark)
	var p Paper
	if !ok || wire.Decode([]byte(data), &p) != nil {
		return p, false
	}
	return p, p.Kind == Asks || p.Kind == Answers || p.Kind == Ends
}

// Tell makes the paper of a question of this machine for a mesh; false where its input is too large to be told.
func (q Question) Tell(id mesh.ID) (Paper, bool) {
	place, ok := q.place(id)
	return Paper{
		Kind: Asks, Nonce: q.Nonce, Session: place.Session, Name: q.Name, Tool: q.Tool, Input: string(q.Input), Partial: q.Partial,
		Sum: q.SumText(), ExpiresMS: q.Expires.UnixMilli(),
	}, ok && len(q.Input) <= maxInput
}

// Paper is an answer as it is told.
func (a Answer) Paper() Paper {
	return Paper{
		Kind: Answers, Nonce: a.Nonce, Session: a.Session, Tool: a.Tool, Sum: a.Input, ExpiresMS: a.ExpiresAt.UnixMilli(),
		Decision: a.Decision, Signature: a.Signature,
	}
}

// Answer is what a paper answers, in a mesh, by the member that sealed it.
func (p Paper) Answer(id mesh.ID, signer mesh.Key) Answer {
	return Answer{
		MeshID: id, Nonce: p.Nonce, Session: p.Session, Tool: p.Tool, Input: p.Sum, Decision: p.Decision, ExpiresAt: time.UnixMilli(p.ExpiresMS),
		Signer: signer, Signature: p.Signature,
	}
}

// End is what the other devices are told of the end of a question of this machine.
func (q Question) End(o Outcome) Paper {
	return Paper{Kind: Ends, Nonce: q.Nonce, Decision: o.Decision, By: o.By}
}

// Hear takes a question of another device of this user; what came before changes nothing.
func (b *Board) Hear(p Paper, asker mesh.Key, at Place) (Question, error) {
	now := b.now()
	expires := time.UnixMilli(p.ExpiresMS)
	at.Session = p.Session
	q := Question{
		Nonce: p.Nonce, Name: p.Name, Tool: p.Tool, Input: []byte(p.Input), Partial: p.Partial, Asked: now, Expires: expires, Places: []Place{at}, Asker: asker,
	}
	canonical, err := seal.Canonical(q.Input)
	switch {
	case len(p.Nonce) != len(mesh.NewToken()) || strings.Trim(p.Nonce, "0123456789abcdef") != "":
		return q, mesh.Errorf(mesh.BadRequest, "the question has no nonce")
	case p.Tool == "" || len(p.Tool) > maxTool || len(p.Input) > maxInput:
		return q, mesh.Errorf(mesh.BadRequest, "the question is too large")
	case err != nil || !bytes.Equal(canonical, q.Input) || p.Sum != q.SumText():
		return q, mesh.Errorf(mesh.BadRequest, "the question shows another input than it is about")
	case !now.Before(expires) || expires.Sub(now) > Limit+seal.Skew:
		return q, mesh.Errorf(mesh.ApprovalOver, "the question is over, or the clocks of the two devices differ")
	}
	if _, err := seal.ParsePublicKey(string(p.Session)); err != nil {
		return q, err
	}
	b.mu.Lock()
	_, known := b.open[p.Nonce]
	b.mu.Unlock()
	if known {
		return q, mesh.Errorf(mesh.Replay, "the question came before")
	}
	return q, b.add(q, maxThere)
}
