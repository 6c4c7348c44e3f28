package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/claudemesh/claudemesh/internal/broker/hub"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// TestRandomHistories plays random histories of three members with two sessions each, in two meshes, against a model:
// what is accepted comes to the mailboxes it was sent to and to no other, in order, and is acknowledged once.
func TestRandomHistories(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		n := 0
		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) { // in a bubble a test has no deadline to ask for
			n++
			w.t = rt
			h := newHistory(rt, w, fmt.Sprintf("m%dz", n), fmt.Sprintf("n%dz", n)) // ids are padded with zeros
			rt.Repeat(map[string]func(*rapid.T){
				"attach":  h.attach,
				"detach":  h.detach,
				"bye":     h.bye,
				"send":    h.send,
				"burst":   h.burst,
				"ack":     h.ack,
				"lease":   h.lease,
				"status":  h.status,
				"restart": h.restart,
				"":        func(*rapid.T) { h.look() },
			})
			h.finish()
		})
		w.t = t
	})
}

// history is the model beside the world.
type history struct {
	rt     *rapid.T
	w      *world
	meshes []string

	online  map[string]*peer // by mesh/session
	sent    []*sent          // in the order of acceptance
	byID    map[mesh.ID]*sent
	byKey   map[string]*sent // by mesh/member/client id
	pending map[*peer][]protocol.PushedMessage
}

// sent is an accepted message.
type sent struct {
	ack    protocol.Ack
	n      int
	sender string // mesh/member
	body   string
	urgent bool
	many   bool // it was sent to everyone
	to     map[hub.Mailbox]*copyOf
}

// copyOf is one of its copies. Only the holder of its lease can acknowledge it.
type copyOf struct {
	arrived, acked bool
	holder         *peer
}

var (
	people   = []string{"ann", "bob", "cid"}
	sessions = []string{"ann1", "ann2", "bob1", "bob2", "cid1", "cid2"}
)

func newHistory(rt *rapid.T, w *world, meshes ...string) *history {
	h := &history{
		rt: rt, w: w, meshes: meshes, online: map[string]*peer{}, byID: map[mesh.ID]*sent{},
		byKey: map[string]*sent{}, pending: map[*peer][]protocol.PushedMessage{},
	}
	for _, m := range meshes {
		w.mesh(m, people...)
		for _, s := range sessions {
			w.claim(hub.Conn{Mesh: id(m), MemberKey: key(s[:3]), SessionKey: key(s)})
		}
	}
	return h
}

func (h *history) place(rt *rapid.T) (m, s string) {
	return rapid.SampledFrom(h.meshes).Draw(rt, "mesh"), rapid.SampledFrom(sessions).Draw(rt, "session")
}

func (h *history) attach(rt *rapid.T) {
	m, s := h.place(rt)
	if old := h.online[m+"/"+s]; old != nil {
		delete(h.pending, old) // replaced
	}
	h.online[m+"/"+s] = h.w.attach(m, s[:3], s)
}

func (h *history) detach(rt *rapid.T) {
	if p := h.anyone(rt); p != nil {
		p.detach()
		delete(h.pending, p)
		delete(h.online, p.name())
	}
}

// bye ends a session: what it leaves is its member's, but for what the member has, and for what it wrote itself.
func (h *history) bye(rt *rapid.T) {
	p := h.anyone(rt)
	if p == nil {
		return
	}
	p.sayBye()
	delete(h.pending, p)
	delete(h.online, p.name())
	own := hub.Mailbox{Member: p.conn.Member, Session: p.conn.SessionKey}
	heir := hub.Mailbox{Member: p.conn.Member}
	for _, s := range h.sent {
		c := s.to[own]
		if c == nil || c.acked || !s.many || s.sender == p.who.MeshSlug+"/"+p.conn.Name {
			continue
		}
		switch has := s.to[heir]; {
		case has == nil:
			delete(s.to, own)
			s.to[heir] = &copyOf{}
		case has.acked:
			c.arrived, c.acked = true, true
		}
	}
	h.look()
}

// anyone draws a connected peer; nil when there is none.
func (h *history) anyone(rt *rapid.T) *peer {
	names := h.names()
	if len(names) == 0 {
		return nil
	}
	return h.online[rapid.SampledFrom(names).Draw(rt, "peer")]
}

func (h *history) names() []string {
	var names []string
	for name := range h.online {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (p *peer) name() string { return p.who.MeshSlug + "/" + p.conn.SessionID }

func (h *history) send(rt *rapid.T) {
	if p := h.anyone(rt); p != nil {
		h.sendOne(rt, p)
	}
}

// burst sends several messages before the first is answered.
func (h *history) burst(rt *rapid.T) {
	p := h.anyone(rt)
	if p == nil {
		return
	}
	var reqs []protocol.SendRequest
	var acks []<-chan protocol.Ack
	for range rapid.IntRange(2, 20).Draw(rt, "messages") {
		req := h.request(rt)
		reqs = append(reqs, req)
		acks = append(acks, p.start(req))
	}
	for i := range reqs {
		h.judge(p, reqs[i], <-acks[i])
	}
	h.look()
}

func (h *history) sendOne(rt *rapid.T, p *peer) {
	req := h.request(rt)
	h.judge(p, req, p.try(req))
	h.look()
}

// request draws a message; its id is often one that was used before.
func (h *history) request(rt *rapid.T) protocol.SendRequest {
	to := rapid.SampledFrom(append([]string{"*"}, append(slices.Clone(people), sessions...)...)).Draw(rt, "to")
	if to != "*" {
		to = string(key(to))
	}
	req := request(to, fmt.Sprint("id", rapid.IntRange(0, 60).Draw(rt, "id")))
	body := fmt.Sprint("body", len(h.sent), rapid.IntRange(0, 1<<20).Draw(rt, "body"))
	req.Ciphertext = request("", body).Ciphertext
	req.Priority = rapid.SampledFrom([]mesh.Priority{mesh.Now, mesh.Next, mesh.Low}).Draw(rt, "priority")
	req.RequestFingerprint = strings.Repeat(rapid.SampledFrom([]string{"aa", "aa", "bb"}).Draw(rt, "fingerprint"), 32)
	return req
}

// judge compares an answer with the model.
func (h *history) judge(p *peer, req protocol.SendRequest, a protocol.Ack) {
	h.rt.Helper()
	sender := p.who.MeshSlug + "/" + p.conn.Name
	used := h.byKey[sender+"/"+string(req.ClientMessageID)]
	switch {
	case used != nil && strings.HasPrefix(used.body, req.RequestFingerprint):
		if !a.Duplicate || a.MessageID != used.ack.MessageID {
			h.rt.Fatalf("%s again: got %+v, want the duplicate of %s", req.ID, a, used.ack.MessageID)
		}
	case used != nil:
		if a.Code != mesh.Reused {
			h.rt.Fatalf("%s with another fingerprint: got %+v, want a conflict", req.ID, a)
		}
	case req.TargetSpec == string(p.conn.SessionKey):
		if a.Code != mesh.SelfSend {
			h.rt.Fatalf("%s to itself: got %+v, want self_send", req.ID, a)
		}
	default:
		h.accepted(p, req, a, sender)
	}
}

func (h *history) accepted(p *peer, req protocol.SendRequest, a protocol.Ack, sender string) {
	h.rt.Helper()
	if !a.Queued || a.Duplicate || h.byID[a.MessageID] != nil {
		h.rt.Fatalf("%s: got %+v, want it accepted with an id of its own", req.ID, a)
	}
	s := &sent{
		ack: a, n: len(h.sent), sender: sender, body: req.RequestFingerprint + req.Ciphertext,
		urgent: req.Priority == mesh.Now, many: req.TargetSpec == "*", to: h.recipients(p, req.TargetSpec),
	}
	if a.Recipients != len(s.to) {
		h.rt.Fatalf("%s: got %d recipients, want %d", req.ID, a.Recipients, len(s.to))
	}
	h.sent = append(h.sent, s)
	h.byID[a.MessageID], h.byKey[sender+"/"+string(req.ClientMessageID)] = s, s
}

// recipients are the mailboxes that a target means (design D1).
func (h *history) recipients(p *peer, to string) map[hub.Mailbox]*copyOf {
	m := p.who.MeshSlug
	boxes := map[hub.Mailbox]*copyOf{}
	for _, name := range people {
		member := id(m + "x" + name)
		live := false
		for _, s := range []string{name + "1", name + "2"} {
			on := h.online[m+"/"+s] != nil
			live = live || on
			if to == string(key(s)) || to == "*" && on && s != p.conn.SessionID {
				boxes[hub.Mailbox{Member: member, Session: key(s)}] = &copyOf{}
			}
		}
		if to == string(key(name)) || to == "*" && !live && member != p.conn.Member {
			boxes[hub.Mailbox{Member: member}] = &copyOf{}
		}
	}
	return boxes
}

// look reads what everyone was pushed and compares it with the model.
func (h *history) look() {
	h.rt.Helper()
	for _, name := range h.names() {
		p := h.online[name]
		for _, m := range p.pushes() {
			h.arrived(p, m)
			h.pending[p] = append(h.pending[p], m)
		}
	}
}

func (h *history) arrived(p *peer, m protocol.PushedMessage) {
	h.rt.Helper()
	s := h.byID[m.MessageID]
	if s == nil || m.MeshID != p.conn.Mesh || !strings.HasSuffix(s.body, m.Ciphertext) {
		h.rt.Fatalf("%s was pushed %+v, which nobody sent", p.name(), m)
	}
	box, c := s.copyFor(p, m)
	if c == nil || c.acked {
		h.rt.Fatalf("%s was pushed %s: its copy is %+v, want one that waits for it", p.name(), m.MessageID, c)
	}
	c.holder = p
	if c.arrived {
		return // again, after a lease or a reconnect
	}
	c.arrived = true
	for _, earlier := range h.sent[:s.n] {
		e := earlier.to[box]
		if e != nil && !e.arrived && earlier.sender == s.sender && earlier.urgent == s.urgent {
			h.rt.Fatalf("%s was pushed message %d before message %d of the same sender", p.name(), s.n, earlier.n)
		}
	}
}

// copyFor finds the copy that a push to p is of.
func (s *sent) copyFor(p *peer, m protocol.PushedMessage) (hub.Mailbox, *copyOf) {
	box := hub.Mailbox{Member: p.conn.Member, Session: p.conn.SessionKey}
	if m.Mailbox == protocol.KindMember {
		box.Session = ""
	}
	return box, s.to[box]
}

// ack acknowledges some of what a peer was pushed.
func (h *history) ack(rt *rapid.T) {
	p := h.anyone(rt)
	if p == nil || len(h.pending[p]) == 0 {
		return
	}
	from := rapid.IntRange(0, len(h.pending[p])-1).Draw(rt, "from")
	h.ackAll(p, from)
}

func (h *history) ackAll(p *peer, from int) {
	for _, m := range h.pending[p][from:] {
		p.ackIDs(m.MessageID, m.ClientMessageID)
		if _, c := h.byID[m.MessageID].copyFor(p, m); c != nil && c.holder == p {
			c.acked = true
		}
	}
	h.pending[p] = h.pending[p][:from]
	h.look()
}

// lease lets all leases end. What a peer acknowledges later counts only if it was pushed again.
func (h *history) lease(*rapid.T) {
	for _, s := range h.sent {
		for _, c := range s.to {
			c.holder = nil
		}
	}
	h.w.pass(35 * time.Second)
	h.look()
}

func (h *history) status(rt *rapid.T) {
	if p := h.anyone(rt); p != nil {
		h.w.q.SetStatus(p.conn.ID, rapid.SampledFrom([]mesh.Status{mesh.Idle, mesh.Working, mesh.DND}).Draw(rt, "status"))
		h.look()
	}
}

func (h *history) restart(rt *rapid.T) {
	if rapid.IntRange(0, 7).Draw(rt, "seldom") > 0 {
		return // it costs as much as all the rest
	}
	h.w.restart()
	h.online = map[string]*peer{}
	clear(h.pending)
}

// finish brings everyone back, and compares the ends.
func (h *history) finish() {
	h.rt.Helper()
	for _, m := range h.meshes {
		for _, s := range sessions {
			delete(h.pending, h.online[m+"/"+s])
			h.online[m+"/"+s] = h.w.attach(m, s[:3], s)
		}
	}
	h.look()
	for quiet := false; !quiet; {
		quiet = true
		for _, name := range h.names() {
			if p := h.online[name]; len(h.pending[p]) > 0 {
				h.ackAll(p, 0)
				quiet = false
			}
		}
	}
	for _, s := range h.sent {
		for box, c := range s.to {
			if !c.arrived || !c.acked {
				h.rt.Fatalf("message %d for %+v: got %+v, want it to have arrived", s.n, box, c)
			}
		}
	}
	for _, m := range h.meshes {
		for _, name := range people {
			h.checkReceipts(m, name)
		}
	}
	for _, name := range h.names() {
		h.online[name].detach()
	}
}

// checkReceipts wants one receipt of each copy that a member sent, numbered without gaps.
func (h *history) checkReceipts(m, name string) {
	h.rt.Helper()
	want := map[string]bool{}
	for _, s := range h.sent {
		for box := range s.to {
			if s.sender == m+"/"+name {
				want[string(s.ack.MessageID)+string(recipientKey(box))] = true
			}
		}
	}
	p := h.online[m+"/"+name+"1"]
	seq := int64(0)
	for {
		page, err := h.w.q.ReceiptsSince(context.Background(), p.who, protocol.ReceiptsRequest{Seq: seq, Limit: 7})
		if err != nil {
			h.rt.Fatalf("receipts_since %d: %v", seq, err)
		}
		for _, r := range page.Receipts {
			k := string(r.MessageID) + string(r.Recipient)
			if seq++; r.Seq != seq || r.State != mesh.StateDelivered || !want[k] {
				h.rt.Fatalf("got receipt %+v, want number %d of a copy that has none yet", r, seq)
			}
			delete(want, k)
		}
		if !page.More {
			break
		}
	}
	if len(want) > 0 {
		h.rt.Fatalf("%d copies of %s have no receipt", len(want), name)
	}
}

// recipientKey is how a mailbox is called on the wire.
func recipientKey(box hub.Mailbox) mesh.Key {
	if box.Session != "" {
		return box.Session
	}
	_, name, _ := strings.Cut(strings.TrimRight(string(box.Member), "0"), "x") // as world.mesh made it
	return key(name)
}
