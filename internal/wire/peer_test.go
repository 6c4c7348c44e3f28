package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// line is a connection in memory. The test plays the broker.
type line struct {
	in  chan []byte // frames for the peer
	out chan string // frames of the peer
	err chan error  // how reading ends

	broken error // what writing says
}

func newLine() *line {
	return &line{in: make(chan []byte, 4096), out: make(chan string, 4096), err: make(chan error, 1)}
}

// Read gives the frames in order, then the end.
func (l *line) Read(ctx context.Context) ([]byte, error) {
	select {
	case frame := <-l.in:
		return frame, nil
	default:
	}
	select {
	case frame := <-l.in:
		return frame, nil
	case err := <-l.err:
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *line) Write(_ context.Context, frame []byte) error {
	if l.broken == nil {
		l.out <- string(frame)
	}
	return l.broken
}

func (l *line) Ping(context.Context) error { return nil }

func (l *line) Close(mesh.CloseCode, string) error { return nil }

func (l *line) say(format string, args ...any) { l.in <- fmt.Appendf(nil, format, args...) }

// heard is the next frame of the peer, with its head.
func (l *line) heard(t *testing.T) (Head, string) {
	t.Helper()
	frame := <-l.out
	h, err := ReadHead([]byte(frame))
	if err != nil {
		t.Fatalf("the peer wrote %s: %v", frame, err)
	}
	return h, frame
}

// settle returns when the peer has handled what was said.
func (l *line) settle(t *testing.T, p *Peer) {
	t.Helper()
	done := begin(t.Context(), p, plain, numberRequest{})
	h, _ := l.heard(t)
	l.say(`{"type":"plain_answer","_reqId":"%s"}`, h.ReqID)
	if r := <-done; r.err != nil {
		t.Fatal(r.err)
	}
}

// run runs a peer over a line until the test ends or the line does. The channel gives why.
func run(t *testing.T, m *Mux[*Peer]) (*Peer, *line, <-chan error) {
	t.Helper()
	l := newLine()
	p := NewPeer(l)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- p.Run(ctx, m)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return p, l, ended
}

// result is what a request came to.
type result[T any] struct {
	answer T
	err    error
}

// begin makes a request in the background.
func begin[Req, Resp any](ctx context.Context, p *Peer, c Call[Req, Resp], req Req) <-chan result[Resp] {
	ch := make(chan result[Resp], 1)
	go func() {
		answer, err := c.Do(ctx, p, req)
		ch <- result[Resp]{answer, err}
	}()
	return ch
}

func TestPeerMatchesByReqID(t *testing.T) {
	t.Parallel()
	p, l, _ := run(t, NewMux[*Peer]())
	a := begin(t.Context(), p, plain, numberRequest{N: 1})
	ha, frame := l.heard(t)
	b := begin(t.Context(), p, plain, numberRequest{N: 2})
	hb, _ := l.heard(t)
	if want := `{"type":"plain","_reqId":"` + ha.ReqID + `","n":1}`; frame != want || len(ha.ReqID) != 24 || ha.ReqID == hb.ReqID {
		t.Errorf("got %s, then _reqId %s, want %s, then another", frame, hb.ReqID, want)
	}
	l.say(`{"type":"plain_answer","_reqId":"%s","n":20}`, hb.ReqID)
	l.say(`{"n":10,"_reqId":"%s","type":"plain_answer","later":1}`, ha.ReqID)
	if r := <-a; r.err != nil || r.answer.N != 10 {
		t.Errorf("first: got %+v, want 10", r)
	}
	if r := <-b; r.err != nil || r.answer.N != 20 {
		t.Errorf("second: got %+v, want 20", r)
	}
}

func TestPeerMatchesByIDInAnyOrder(t *testing.T) {
	t.Parallel()
	const n = 500
	p, l, _ := run(t, NewMux[*Peer]())
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			id := strconv.Itoa(i)
			answer, err := item.Do(t.Context(), p, itemRequest{ID: id})
			if err != nil || answer.ID != id {
				t.Errorf("item %s: got %+v, %v", id, answer, err)
			}
		})
	}
	var ids []string
	for range n {
		h, _ := l.heard(t)
		if h.ReqID != "" {
			t.Errorf("got _reqId %q, want none: the id is enough", h.ReqID)
		}
		ids = append(ids, h.ID)
	}
	for _, id := range slices.Backward(ids) {
		l.say(`{"type":"item_answer","id":"%s"}`, id)
	}
	wg.Wait()
}

func TestPeerMatchesHelloByType(t *testing.T) {
	t.Parallel()
	p, l, _ := run(t, NewMux[*Peer]())
	for _, tt := range []struct {
		answer string
		n      int
		code   mesh.Code
	}{
		{`{"type":"hello_ack","n":7}`, 7, ""},
		{`{"type":"error","code":"bad_signature","message":"no"}`, 0, mesh.BadSignature},
	} {
		r := begin(t.Context(), p, greet, numberRequest{})
		if _, frame := l.heard(t); frame != `{"type":"greet","n":0}` {
			t.Errorf("got %s, want no _reqId", frame)
		}
		l.say(`{"type":"other","n":1}`)
		l.say("%s", tt.answer)
		if got := <-r; got.answer.N != tt.n || mesh.CodeOf(got.err) != tt.code {
			t.Errorf("%s: got %+v, want n %d and code %q", tt.answer, got, tt.n, tt.code)
		}
	}
}

func TestPeerTurnsErrorFramesIntoErrors(t *testing.T) {
	t.Parallel()
	p, l, _ := run(t, NewMux[*Peer]())
	for _, tt := range []struct {
		name, format string // of the answer; %s is the request's _reqId
		code         mesh.Code
		text         string
	}{
		{"known code", `{"type":"error","_reqId":"%s","code":"target_not_found","message":"nobody"}`, mesh.TargetNotFound, "nobody"},
		{"internal", `{"type":"error","_reqId":"%s","code":"internal","message":"broken"}`, mesh.Internal, "broken"},
		{"unknown code", `{"type":"error","_reqId":"%s","code":"vault_error","message":"locked"}`, mesh.BrokerRefused, "vault_error: locked"},
		{"no code", `{"type":"error","_reqId":"%s","message":"locked"}`, mesh.BrokerRefused, ": locked"},
		{"in id, as old brokers do", `{"type":"error","id":"%s","code":"not_found","message":"none"}`, mesh.NotFound, "none"},
		{"an error that does not decode", `{"type":"error","_reqId":"%s","code":5}`, mesh.BadJSON, "is of the wrong kind"},
		{"an answer that does not decode", `{"type":"plain_answer","_reqId":"%s","n":"x"}`, mesh.BadJSON, "is of the wrong kind"},
	} {
		r := begin(t.Context(), p, plain, numberRequest{})
		h, _ := l.heard(t)
		l.say(tt.format, h.ReqID)
		got := <-r
		if mesh.CodeOf(got.err) != tt.code || !strings.HasSuffix(got.err.Error(), tt.text) || got.answer.N != 0 {
			t.Errorf("%s: got %+v, want %s: %s", tt.name, got, tt.code, tt.text)
		}
	}
}

// A broker that answers twice, answers what was never asked or says nonsense changes nothing.
func TestLesson237PeerIgnoresWhatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	p, l, _ := run(t, NewMux[*Peer]())
	first := begin(t.Context(), p, item, itemRequest{ID: "a"})
	l.heard(t)
	l.say(`{"type":"item_answer","id":"a"}`)
	if r := <-first; r.err != nil {
		t.Fatal(r.err)
	}
	second := begin(t.Context(), p, item, itemRequest{ID: "b"})
	l.heard(t)
	for _, frame := range []string{
		`{"type":"item_answer","id":"a"}`,
		`{"type":"item_answer","id":""}`,
		`{"type":"item_answer","_reqId":"b"}`,
		`{"type":"plain_answer","id":"b"}`,
		`{"type":"hello_ack"}`,
		`{"type":"unheard","_reqId":"x","id":"b"}`,
		`{"type":"error","code":"internal","message":"of nothing"}`,
		`{"type":"error","_reqId":"x","id":"y","code":"internal","message":"of another"}`,
		`{"type":"item_answer","id":"b","id":"b"}`,
		`null`, `[]`, `{`, ``, "\xff",
	} {
		l.say("%s", frame)
	}
	l.settle(t, p)
	select {
	case r := <-second:
		t.Fatalf("got %+v, want still waiting", r)
	default:
	}
	l.say(`{"type":"item_answer","id":"b"}`)
	if r := <-second; r.err != nil || r.answer.ID != "b" {
		t.Errorf("got %+v, want b", r)
	}
}

func TestPeerGivesEventsInOrder(t *testing.T) {
	t.Parallel()
	const n = 2001
	m := NewMux[*Peer]()
	var seen []int
	all := make(chan struct{})
	var self *Peer
	On(m, happen, func(_ context.Context, p *Peer, e numberRequest) {
		if seen = append(seen, e.N); e.N == n-1 {
			self = p
			close(all)
		}
	})
	p, l, _ := run(t, m)
	r := begin(t.Context(), p, item, itemRequest{ID: "a"})
	l.heard(t)
	for i := range n {
		switch i {
		case 5:
			l.say(`{"type":"happen","n":"no event"}`)
			l.say(`{"type":"item_answer","id":"a"}`)
		case 6: // no answer, though it carries the id of one
			l.say(`{"n":%d,"id":"a","type":"happen"}`, i)
			continue
		}
		l.say(`{"type":"happen","n":%d}`, i)
	}
	<-all
	if got := <-r; got.err != nil {
		t.Errorf("the answer between the events: %v", got.err)
	}
	for i, e := range seen {
		if e != i {
			t.Fatalf("event %d: got %d", i, e)
		}
	}
	if len(seen) != n || self != p {
		t.Errorf("got %d events of peer %p, want %d of %p", len(seen), self, n, p)
	}
}

func TestPeerFailsWaitersWhenTheConnectionEnds(t *testing.T) {
	t.Parallel()
	tooLarge := mesh.Errorf(mesh.PayloadTooLarge, "the broker closed for that")
	for _, tt := range []struct {
		name string
		end  error
		code mesh.Code
	}{
		{"end of file", io.EOF, mesh.BrokerDown},
		{"foreign error with a code", mesh.Errorf(mesh.Internal, "odd"), mesh.BrokerDown},
		{"a frame was too large", tooLarge, mesh.PayloadTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, l, ended := run(t, NewMux[*Peer]())
			a := begin(t.Context(), p, plain, numberRequest{})
			b := begin(t.Context(), p, item, itemRequest{ID: "b"})
			l.heard(t)
			l.heard(t)
			l.err <- tt.end
			if err := <-ended; !errors.Is(err, tt.end) {
				t.Errorf("Run: got %v, want %v", err, tt.end)
			}
			for _, err := range []error{(<-a).err, (<-b).err, second(plain.Do(t.Context(), p, numberRequest{}))} {
				if mesh.CodeOf(err) != tt.code || !errors.Is(err, tt.end) {
					t.Errorf("got %v, want %s because of %v", err, tt.code, tt.end)
				}
			}
			if len(p.waiting) != 0 {
				t.Errorf("got %d requests waiting, want none", len(p.waiting))
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

func TestPeerBoundsWhatWaits(t *testing.T) {
	t.Parallel()
	p, l, _ := run(t, NewMux[*Peer]())
	ctx, cancel := context.WithCancel(t.Context())
	waits := make([]func(context.Context) (itemAnswer, error), maxPending)
	for i := range waits {
		var err error
		if waits[i], err = item.Start(ctx, p, itemRequest{ID: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := second(item.Do(ctx, p, itemRequest{ID: "more"})); !mesh.IsCode(err, mesh.RateLimited) {
		t.Errorf("got %v, want %s", err, mesh.RateLimited)
	}
	l.say(`{"type":"item_answer","id":"7"}`)
	if _, err := waits[7](ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := item.Start(ctx, p, itemRequest{ID: "more"}); err != nil {
		t.Errorf("got %v, want room for one again", err)
	}
	cancel()
	if err := second(waits[8](ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
	if got := len(p.waiting); got != maxPending-1 {
		t.Errorf("got %d waiting, want %d: who gave up is forgotten", got, maxPending-1)
	}
}

func TestPeerWritesInTheOrderOfStart(t *testing.T) {
	t.Parallel()
	p, l, _ := run(t, NewMux[*Peer]())
	for i := range 100 {
		if _, err := item.Start(t.Context(), p, itemRequest{ID: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if h, _ := l.heard(t); h.ID != strconv.Itoa(i) {
			t.Fatalf("frame %d: got id %s", i, h.ID)
		}
	}
}

func TestPeerRefusesWhatCannotBeMatched(t *testing.T) {
	t.Parallel()
	p, l, _ := run(t, NewMux[*Peer]())
	if err := second(item.Do(t.Context(), p, itemRequest{})); !mesh.IsCode(err, mesh.Internal) {
		t.Errorf("no id: got %v, want internal", err)
	}
	wait, err := item.Start(t.Context(), p, itemRequest{ID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if err := second(item.Do(t.Context(), p, itemRequest{ID: "a"})); !mesh.IsCode(err, mesh.Internal) {
		t.Errorf("same id: got %v, want internal", err)
	}
	l.say(`{"type":"item_answer","id":"a"}`)
	if _, err := wait(t.Context()); err != nil {
		t.Errorf("the first of the two: %v", err)
	}
}

// An answer ends the waiting before it is fetched; a request under the same id may have begun in between.
func TestPeerForgetsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	p, l, _ := run(t, NewMux[*Peer]())
	wait, err := item.Start(t.Context(), p, itemRequest{ID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	l.heard(t)
	l.say(`{"type":"item_answer","id":"a"}`)
	l.settle(t, p)
	again, err := item.Start(t.Context(), p, itemRequest{ID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.say(`{"type":"item_answer","id":"a"}`)
	if _, err := again(t.Context()); err != nil {
		t.Errorf("the second: %v", err)
	}
}

func TestPeerWriteFails(t *testing.T) {
	t.Parallel()
	p, l, _ := run(t, NewMux[*Peer]())
	l.broken = io.ErrClosedPipe
	for name, err := range map[string]error{
		"Do": second(plain.Do(t.Context(), p, numberRequest{})), "Send": mute.Send(t.Context(), p, numberRequest{}),
	} {
		if !mesh.IsCode(err, mesh.BrokerDown) || !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: got %v, want %s", name, err, mesh.BrokerDown)
		}
	}
	if len(p.waiting) != 0 {
		t.Errorf("got %d waiting, want none", len(p.waiting))
	}
	if p.Conn() != Conn(l) {
		t.Error("Conn is not the connection")
	}
}

func TestPeerWritesNothingThatDoesNotEncode(t *testing.T) {
	t.Parallel()
	p, l, _ := run(t, NewMux[*Peer]())
	bad := numberRequest{Text: "\xff"}
	for name, err := range map[string]error{"Do": second(plain.Do(t.Context(), p, bad)), "Send": mute.Send(t.Context(), p, bad)} {
		if !mesh.IsCode(err, mesh.Internal) {
			t.Errorf("%s: got %v, want internal", name, err)
		}
	}
	if err := mute.Send(t.Context(), p, numberRequest{N: 1}); err != nil {
		t.Fatal(err)
	}
	if _, frame := l.heard(t); !strings.Contains(frame, `"mute"`) || len(p.waiting) != 0 {
		t.Errorf("got %s first and %d waiting, want mute and none", frame, len(p.waiting))
	}
}
