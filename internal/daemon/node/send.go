package node

import (
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/address"
	"github.com/claudemesh/claudemesh/internal/daemon/node/attachment"
	"github.com/claudemesh/claudemesh/internal/daemon/outbox"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// maxWait bounds how long one request waits for a state.
const maxWait = time.Hour

// letter is a checked request to send.
type letter struct {
	node        *Node
	session     string // host session id of the sender; empty for the user
	req         localapi.SendRequest
	id          mesh.ClientID
	priority    mesh.Priority
	fingerprint seal.Fingerprint
	wait        time.Duration
	allow       Allow
}

// Allow says whether a message may go to a key in a mesh; for plain text kinds the key is empty.
type Allow func(id mesh.ID, key mesh.Key) error

// Send accepts a message of a session, or of the user for an empty session id. allow, if set, is asked when the
// recipient is known. Once accepted it is on the disk and
// leaves by itself. An id that was accepted before is found before anything is resolved, so that a retry does not
// fail because the peer has gone (daemon 8.2).
func (n *Node) Send(ctx context.Context, sessionID string, allow Allow, req localapi.SendRequest) (localapi.SendAnswer, error) {
	l, err := newLetter(n, req)
	if err != nil {
		return localapi.SendAnswer{}, err
	}
	l.session, l.allow = sessionID, allow
	out, err := l.accept(ctx)
	if err != nil {
		return localapi.SendAnswer{}, err
	}
	return l.answer(ctx, out)
}

// answer says what is known of an accepted message, after waiting for what was asked.
func (l letter) answer(ctx context.Context, out accepted) (localapi.SendAnswer, error) {
	l.answered(ctx, out)
	answer := localapi.SendAnswer{
		ClientMessageID: out.ClientID, Status: out.Status, BrokerMessageID: out.BrokerID, Duplicate: out.Duplicate,
		Mesh: out.Row.Mesh, Target: out.Row.TargetSpec, TargetName: out.Row.TargetName, Encrypted: out.Row.Encrypted(),
		RecipientOnline: out.online, State: mesh.StateQueued, FirstPlaintext: l.firstPlaintext(ctx, out.Outcome),
	}
	if l.req.Wait == "" && !out.Duplicate {
		return answer, nil
	}
	return l.awaited(ctx, answer)
}

// firstPlaintext reports whether a message is the first of its mesh that the broker's operator can read (design C10).
func (l letter) firstPlaintext(ctx context.Context, out outbox.Outcome) bool {
	if out.Row.Encrypted() || out.Duplicate || out.Row.MeshID == "" {
		return false
	}
	first, err := l.node.opt.DB.FirstPlaintext(ctx, out.Row.MeshID)
	return first || err != nil // rather once too often
}

// awaited adds to an answer how far the message has come, after waiting for what was asked.
func (l letter) awaited(ctx context.Context, answer localapi.SendAnswer) (localapi.SendAnswer, error) {
	want := l.req.Wait
	if want == "" {
		want = mesh.StateQueued
	}
	ctx, cancel := context.WithTimeout(ctx, l.wait)
	defer cancel()
	m, err := l.await(ctx, answer.ClientMessageID, want)
	if err != nil {
		return answer, err
	}
	if m.State.Failed() && !want.Failed() && l.req.Wait != "" {
		return answer, mesh.Errorf(mesh.Undelivered, "the message is %s: %s", m.State, failure(m)).With(mesh.Details{State: m.State})
	}
	answer.BrokerMessageID, answer.State, answer.Recipients = m.BrokerID, m.State, copies(ctx, l.node, m)
	if m.Status == outbox.Done {
		answer.Status = ""
	}
	return answer, nil
}

// failure says why a message got nowhere.
func failure(m outbox.Message) string {
	for _, r := range m.Recipients {
		if r.State.Failed() && r.Reason != "" {
			return r.Reason
		}
	}
	return m.LastError
}

// newLetter checks a request; what it does not understand is bad_request and changes nothing.
func newLetter(n *Node, req localapi.SendRequest) (letter, error) {
	l := letter{node: n, req: req, wait: n.opt.Settings.SendWait}
	if strings.ContainsRune(req.ReplyToID, 0) || len(req.ReplyToID) > maxReplyBytes {
		return l, mesh.Errorf(mesh.BadRequest, "reply_to_id is no message id")
	}
	if req.Message == "" {
		return l, mesh.Errorf(mesh.BadRequest, "missing 'message'")
	}
	if _, err := mesh.ParseTarget(req.To); err != nil {
		return l, err
	}
	if req.Wait != "" && (!req.Wait.Known() || req.Wait.Failed()) {
		return l, mesh.Errorf(mesh.BadRequest, "wait takes a state, not %q", req.Wait)
	}
	if req.WaitMs > 0 {
		l.wait = min(time.Duration(req.WaitMs)*time.Millisecond, maxWait)
	}
	var err error
	if l.priority, err = mesh.ParsePriority(req.Priority); err != nil {
		return l, err
	}
	if err := checkMeta(req); err != nil {
		return l, err
	}
	l.id = mesh.NewClientID(n.opt.Now())
	if req.ClientMessageID != "" {
		if l.id, err = mesh.ParseClientID(req.ClientMessageID); err != nil {
			return l, err
		}
	}
	l.fingerprint, err = seal.Request{
		To: seal.ParseDestination(req.To), ReplyTo: req.ReplyToID, Priority: string(l.priority), Meta: req.Meta, Body: req.Message,
	}.Fingerprint()
	return l, err
}

// maxReplyBytes bounds the id of the message that is answered.
const maxReplyBytes = 200

// checkMeta accepts an object, null or nothing.
func checkMeta(req localapi.SendRequest) error {
	switch req.Meta.Kind() {
	case 0, 'n', '{':
		return nil
	}
	return mesh.Errorf(mesh.BadRequest, "meta is an object")
}

// accepted is an outcome with what was learned of the recipient on the way.
type accepted struct {
	outbox.Outcome
	online *bool
}

// accept resolves, seals and accepts. What the id stands for decides, once it was accepted, whatever has become of the
// recipient since; Accept sees to that, and where it is not reached the outbox is asked (daemon 8.2).
func (l letter) accept(ctx context.Context) (accepted, error) {
	n := l.node
	var meshID mesh.ID
	if l.req.Mesh != "" {
		at, err := n.find(l.req.Mesh)
		if err != nil {
			return accepted{}, err
		}
		meshID = at.Mesh.ID
	}
	draft, online, err := l.draft(ctx)
	var out outbox.Outcome
	if err == nil {
		out, err = n.opt.Outbox.Accept(ctx, draft)
		n.heed(ctx, draft)
	}
	if err != nil {
		if known, found, lookupErr := n.opt.Outbox.Lookup(ctx, l.id, l.fingerprint, meshID); found || lookupErr != nil {
			return accepted{Outcome: known}, lookupErr
		}
	}
	return accepted{out, online}, err
}

// heed looks after a message whose session may have ended while it was accepted.
func (n *Node) heed(ctx context.Context, d outbox.Draft) {
	if at, err := n.byID(d.MeshID); err == nil {
		at.Heed(ctx, d.Sender)
	}
}

// draft is the message resolved and sealed, and whether its recipient is connected.
func (l letter) draft(ctx context.Context) (outbox.Draft, *bool, error) {
	to, err := l.resolve(ctx)
	if err != nil {
		return outbox.Draft{}, nil, l.unheard(err)
	}
	if to.RecipientKey == "" {
		if err := l.mayBeRead(to); err != nil {
			return outbox.Draft{}, nil, err
		}
	}
	if l.allow != nil {
		if err := l.allow(to.MeshID, to.RecipientKey); err != nil {
			return outbox.Draft{}, nil, err
		}
	}
	at, err := l.node.byID(to.MeshID)
	if err != nil {
		return outbox.Draft{}, nil, err
	}
	if err := weaker(at, to); err != nil && !l.req.AllowDowngrade {
		return outbox.Draft{}, nil, err
	}
	draft, err := l.sealed(at, to)
	return draft, to.Online, err
}

// unheard is why a recipient was not found, where the one broker that could have known it does not hear this member.
func (l letter) unheard(err error) error {
	meshes, narrowErr := narrow(l.node, l.req.Mesh)
	if !mesh.IsCode(err, mesh.TargetNotFound) || narrowErr != nil || len(meshes) != 1 {
		return err
	}
	return cmp.Or(meshes[0].MaySend(""), err)
}

// mayBeRead refuses what the broker can read where the request or the user's settings say so (design C10).
func (l letter) mayBeRead(to address.Result) error {
	switch barred := l.node.opt.Settings.RequireEncrypted; {
	case l.req.RequireEncrypted:
		return mesh.Errorf(mesh.PlaintextRefused, "the broker can read messages to %s", to.TargetSpec)
	case slices.Contains(barred, to.Mesh), slices.Contains(barred, "*"):
		return mesh.Errorf(mesh.PlaintextRefused, "the broker can read messages to %s, and the setting require_encrypted forbids them in %s", to.TargetSpec, to.Mesh)
	}
	return nil
}

// resolve finds whom the address means, in rosters that are a moment old. One that means nobody is looked for anew: who
// came a moment ago may be meant.
func (l letter) resolve(ctx context.Context) (address.Result, error) {
	now := l.node.opt.Now()
	to, err := l.resolveSince(ctx, now.Add(-attachment.Fresh))
	if mesh.IsCode(err, mesh.TargetNotFound) {
		to, err = l.resolveSince(ctx, now)
	}
	return to, err
}

func (l letter) resolveSince(ctx context.Context, t time.Time) (address.Result, error) {
	return address.Resolve(ctx, address.Request{
		To: l.req.To, Mesh: l.req.Mesh, ToSelf: l.req.ToSelf, Meshes: addressBook(l.node, l.session, t),
	})
}

// addressBook is what an address is resolved over: every joined mesh, as the caller sees it, read after a time.
func addressBook(n *Node, sessionID string, since time.Time) []address.Mesh {
	var book []address.Mesh
	for _, at := range n.meshes() {
		book = append(book, at.Address(sessionID, since))
	}
	return book
}

// sealed makes the row of a message: a box for one key, or plain text in the dress of one for the kinds that the
// broker routes by content (daemon 12). The key that seals and the connection that sends go together (daemon 25, row 10).
func (l letter) sealed(at *attachment.Attachment, to address.Result) (outbox.Draft, error) {
	n := l.node
	if limit := at.Link.Limits().BodyBytes; int64(len(l.req.Message)) > limit {
		return outbox.Draft{}, mesh.Errorf(mesh.PayloadTooLarge, "the message has %d bytes, %d are possible", len(l.req.Message), limit).
			With(mesh.Details{LimitBytes: limit})
	}
	d := outbox.Draft{
		ClientID: l.id, Fingerprint: l.fingerprint, MeshID: to.MeshID, Mesh: to.Mesh, TargetSpec: to.TargetSpec, TargetName: to.Name,
		Recipient: to.RecipientKey, Priority: l.priority, ReplyTo: l.req.ReplyToID, Body: []byte(l.req.Message), TraceID: mesh.NewToken()[:traceLen],
	}
	secret := at.Mesh.Secret
	if s := at.Sessions.Find(l.session); s != nil && s.Speaks() {
		secret, d.Sender = s.Secret, s.Pubkey()
	}
	if err := at.MaySend(d.Sender); err != nil {
		return d, err
	}
	if to.RecipientKey == "" {
		d.Nonce, d.Ciphertext = seal.NewNonce().String(), base64.StdEncoding.EncodeToString(d.Body)
		return d, nil
	}
	peer, err := seal.ParsePublicKey(string(to.RecipientKey))
	if err != nil {
		return d, mesh.Errorf(mesh.CodeOf(err), "the key of %s: %w", to.Name, err)
	}
	box, err := n.shared.Boxes.Seal(secret, peer, d.Body)
	d.Nonce, d.Ciphertext = box.Nonce, box.Ciphertext
	return d, err
}

// traceLen is the length of a trace id, in hex digits.
const traceLen = 16

// byID gives an attached mesh by its id.
func (n *Node) byID(id mesh.ID) (*attachment.Attachment, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at, ok := n.attached[id]; ok {
		return at, nil
	}
	return nil, mesh.Errorf(mesh.MeshNotAttached, "the mesh was left")
}
