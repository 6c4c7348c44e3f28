// Package approval keeps the questions of host sessions whether they may use a tool, those of this machine and those of
// the user's other devices, until one of them is answered, once, or over. They are in memory: a question does not outlive
// the process that waits for its answer.
package approval

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/audit"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Bounds of what waits at once; a further question is refused, and asked at its session alone. Each of them costs its
// host a request that stays open.
const (
	maxHere  = 16
	maxThere = 64
	maxTool  = 200      // bytes
	maxInput = 24 << 10 // bytes of an input that is told to other devices: a larger one is answered on this machine
)

// Limit is how long a question waits at most.
const Limit = seal.ApprovalLimit

// Place is a mesh in which the session that asks is.
type Place struct {
	MeshID  mesh.ID
	Mesh    string
	Session mesh.Key // of the session, there
}

// Question is what a session wants permission for.
type Question struct {
	Nonce   string // 64 hex, random
	Session string // host session id; empty for a question of another device
	Name    string // of the session
	Tool    string
	Input   []byte // canonical JSON
	Partial bool   // the host told a part of the input: it can only be denied
	Asked   time.Time
	Expires time.Time
	Places  []Place
	Asker   mesh.Key // member key of the device that asks; empty for this one
}

// Sum is the SHA-256 of the input.
func (q Question) Sum() [sha256.Size]byte { return sha256.Sum256(q.Input) }

// SumText is Sum in hex.
func (q Question) SumText() string {
	sum := q.Sum()
	return hex.EncodeToString(sum[:])
}

// place is where a question was asked in a mesh.
func (q Question) place(id mesh.ID) (Place, bool) {
	i := slices.IndexFunc(q.Places, func(p Place) bool { return p.MeshID == id })
	if i < 0 {
		return Place{}, false
	}
	return q.Places[i], true
}

// Outcome is how a question ended. Without a decision nobody answered it, or its host was answered at the session.
type Outcome struct {
	Decision string // seal.ApprovalAllow, seal.ApprovalDeny, or empty
	Reason   string
	By       mesh.Key // who signed the decision
}

// Board keeps the questions. It may be shared.
type Board struct {
	now  mesh.Clock
	note func(context.Context, audit.Entry) error

	mu   sync.Mutex
	open map[string]*entry // by nonce; until the question expires, also when it is answered
}

type entry struct {
	Question
	taken   bool          // an answer was taken, or given here for another device: there is no other
	over    bool          // outcome is there
	done    chan struct{} // closed then
	outcome Outcome
}

// New makes an empty board. note writes to the audit log.
func New(now mesh.Clock, note func(context.Context, audit.Entry) error) *Board {
	return &Board{now: now, note: note, open: map[string]*entry{}}
}

// Ask adds a question of this machine, and sets its nonce and times. rate_limit where too many wait.
func (b *Board) Ask(q Question) (Question, error) {
	q.Nonce, q.Asker = mesh.NewToken(), ""
	q.Asked = b.now().Truncate(time.Millisecond)
	q.Expires = q.Asked.Add(Limit)
	if q.Tool == "" || len(q.Tool) > maxTool {
		return q, mesh.Errorf(mesh.BadRequest, "a tool has a name of at most %d bytes", maxTool)
	}
	return q, b.add(q, maxHere)
}

// add keeps a question, among at most limit of its kind.
func (b *Board) add(q Question, limit int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prune()
	n := 0
	for _, e := range b.open {
		if (e.Asker == "") == (q.Asker == "") && !e.taken {
			n++
		}
	}
	if n >= limit || len(b.open) >= 4*(maxHere+maxThere) {
		return mesh.Errorf(mesh.RateLimited, "%d questions wait already", n)
	}
	b.open[q.Nonce] = &entry{Question: q, done: make(chan struct{})}
	return nil
}

// prune ends what is over, and forgets what was over before. b.mu is held.
func (b *Board) prune() {
	now := b.now()
	for nonce, e := range b.open {
		if now.Before(e.Expires) && !now.Before(e.Asked.Add(-Limit)) { // the clock may have been set back
			continue
		}
		if !e.taken {
			e.end(Outcome{Reason: "nobody answered in time"})
		}
		delete(b.open, nonce)
	}
}

// end settles an entry. The lock of its board is held.
func (e *entry) end(o Outcome) {
	e.taken, e.over, e.outcome = true, true, o
	close(e.done)
}

// Wait waits for the end of a question of this machine. When ctx ends, or the time of the question, it is over.
func (b *Board) Wait(ctx context.Context, q Question) Outcome {
	b.mu.Lock()
	e, ok := b.open[q.Nonce]
	b.mu.Unlock()
	if !ok {
		return Outcome{Reason: "it is over"}
	}
	timer := time.NewTimer(q.Expires.Sub(b.now()))
	defer timer.Stop()
	reason := "nobody answered in time"
	select {
	case <-e.done:
		return e.outcome
	case <-timer.C:
	case <-ctx.Done():
		reason = "the session no longer asks"
	}
	b.mu.Lock()
	if !e.taken {
		e.end(Outcome{Reason: reason})
	}
	b.mu.Unlock()
	<-e.done // an answer that was taken is being written down
	return e.outcome
}

// Elsewhere ends the questions of a session that were answered at the session itself: those about an input of a tool, or
// all of them for an empty tool.
func (b *Board) Elsewhere(session, tool, sum string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.open {
		if e.Asker == "" && e.Session == session && !e.taken && (tool == "" || e.Tool == tool && e.SumText() == sum) {
			e.end(Outcome{Reason: "it was answered at the session"})
		}
	}
}

// Waiting reports whether a question of a session about a tool waits.
func (b *Board) Waiting(session, tool string) bool {
	return slices.ContainsFunc(b.List(), func(q Question) bool { return q.Asker == "" && q.Session == session && q.Tool == tool })
}

// List gives what waits, the oldest first.
func (b *Board) List() []Question {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prune()
	var all []Question
	for _, e := range b.open {
		if !e.taken {
			all = append(all, e.Question)
		}
	}
	slices.SortFunc(all, func(x, y Question) int {
		if c := x.Asked.Compare(y.Asked); c != 0 {
			return c
		}
		return strings.Compare(x.Nonce, y.Nonce)
	})
	return all
}

// minPrefix is how many characters of a nonce name a question at least.
const minPrefix = 4

// Find gives the one question that waits and whose nonce begins with a text; sees says which the caller may know of.
func (b *Board) Find(prefix string, sees func(Question) bool) (Question, error) {
	var found []Question
	for _, q := range b.List() {
		if len(prefix) >= minPrefix && strings.HasPrefix(q.Nonce, prefix) && sees(q) {
			found = append(found, q)
		}
	}
	switch len(found) {
	case 0:
		return Question{}, mesh.Errorf(mesh.ApprovalOver, "no question %q waits: it was answered, or its time is over", prefix)
	case 1:
		return found[0], nil
	}
	return Question{}, mesh.Errorf(mesh.AmbiguousPrefix, "%d questions begin with %q", len(found), prefix)
}
