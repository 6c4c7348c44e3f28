package wire

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

type numberRequest struct {
	N    int    `json:"n"`
	Text string `json:"text,omitzero"`
}

type numberAnswer struct {
	N    int    `json:"n"`
	Text string `json:"text,omitzero"`
}

type oldAnswer struct {
	Number int `json:"number"`
}

type itemRequest struct {
	ID string `json:"id,omitzero"`
	N  int    `json:"n,omitzero"`
}

// FrameID is what the answer repeats.
func (r itemRequest) FrameID() string { return r.ID }

type itemAnswer struct {
	ID string `json:"id"`
}

// One declaration of each kind.
var (
	plain = Define[numberRequest, numberAnswer](Spec{Type: "plain", Reply: "plain_answer"})
	quirk = Define[numberRequest, numberAnswer](Spec{
		Type: "quirk", Reply: "quirk_answer", Quiet: true, ErrorInID: true,
		Also: []Copy{Also("quirk_old", func(a numberAnswer) oldAnswer { return oldAnswer{a.N} })},
	})
	item   = Define[itemRequest, itemAnswer](Spec{Type: "item", Reply: "item_answer", Match: ByID})
	greet  = Define[numberRequest, numberAnswer](Spec{Type: "greet", Reply: helloReply, Match: ByType})
	mute   = Define[numberRequest, None](Spec{Type: "mute"})
	happen = DefineEvent[numberRequest](Spec{Type: "happen"})
)

// number answers with what it was asked, and refuses negative numbers.
func number(_ context.Context, seen *[]int, req numberRequest) (numberAnswer, error) {
	*seen = append(*seen, req.N)
	switch {
	case req.N == -1:
		return numberAnswer{}, mesh.Errorf(mesh.RateLimited, "n is %d", req.N)
	case req.N < 0:
		return numberAnswer{}, errors.New("a path of the operator")
	}
	return numberAnswer{N: req.N, Text: req.Text}, nil
}

// testMux handles every declaration; handlers append what they saw to the caller.
func testMux() *Mux[*[]int] {
	m := NewMux[*[]int]()
	Handle(m, plain, number)
	Handle(m, quirk, number)
	Handle(m, greet, number)
	Handle(m, item, func(_ context.Context, seen *[]int, req itemRequest) (itemAnswer, error) {
		*seen = append(*seen, req.N)
		if req.N < 0 {
			return itemAnswer{}, mesh.Errorf(mesh.TargetNotFound, "nobody")
		}
		return itemAnswer{req.ID}, nil
	})
	Handle(m, mute, func(_ context.Context, seen *[]int, req numberRequest) (None, error) {
		_, err := number(nil, seen, req)
		return None{}, err
	})
	On(m, happen, func(_ context.Context, seen *[]int, req numberRequest) { *seen = append(*seen, req.N) })
	return m
}

// outcome is all that a frame does.
type outcome struct {
	Seen   []int
	Frames []string
	Err    string
}

func dispatch(m *Mux[*[]int], goCaller bool, in string) (o outcome) {
	c := Caller{Go: goCaller, Send: func(f []byte) { o.Frames = append(o.Frames, string(f)) }}
	if err := m.Dispatch(context.Background(), &o.Seen, c, []byte(in)); err != nil {
		o.Err = err.Error()
	}
	return o
}

// serveSlowly does what Dispatch does, without its short cut.
func serveSlowly(m *Mux[*[]int], goCaller bool, in string) (o outcome) {
	c := Caller{Go: goCaller, Send: func(f []byte) { o.Frames = append(o.Frames, string(f)) }}
	if err := m.serveRead(context.Background(), &o.Seen, c, []byte(in)); err != nil {
		o.Err = err.Error()
	}
	return o
}

const (
	slowDown  = `"code":"rate_limit","message":"n is -1"`
	slowHint  = `,"hint":"slow down; the daemon retries by itself"}`
	badN      = `"code":"invalid_json","message":"the value at byte `
	jsonHint  = `,"hint":"send one JSON object, without duplicate names"}`
	wrongCase = `"code":"invalid_json","message":"a name is written in another case"`
)

var muxCases = []struct {
	name, in string
	goCaller bool
	seen     []int
	frames   []string
}{
	{name: "answer", in: `{"type":"plain","_reqId":"r","n":7}`, seen: []int{7}, frames: []string{`{"type":"plain_answer","_reqId":"r","n":7}`}},
	{name: "answer without _reqId", in: `{"type":"plain","n":7}`, seen: []int{7}, frames: []string{`{"type":"plain_answer","n":7}`}},
	{name: "type behind the rest", in: `{"_reqId":"r","n":7,"type":"plain"}`, seen: []int{7}, frames: []string{`{"type":"plain_answer","_reqId":"r","n":7}`}},
	{name: "spaces", in: ` { "type" : "plain" , "n" : 7 } `, seen: []int{7}, frames: []string{`{"type":"plain_answer","n":7}`}},
	{name: "escaped type", in: `{"type":"pl\u0061in","n":7}`, seen: []int{7}, frames: []string{`{"type":"plain_answer","n":7}`}},
	{name: "unknown names", in: `{"type":"plain","_reqId":"r","n":7,"later":{"n":1}}`, seen: []int{7}, frames: []string{`{"type":"plain_answer","_reqId":"r","n":7}`}},
	{name: "_reqId is null", in: `{"type":"plain","_reqId":null,"n":7}`, seen: []int{7}, frames: []string{`{"type":"plain_answer","n":7}`}},
	{name: "refused", in: `{"type":"plain","_reqId":"r","n":-1}`, seen: []int{-1}, frames: []string{`{"type":"error","_reqId":"r",` + slowDown + slowHint}},
	{name: "refused, nobody waits", in: `{"type":"plain","n":-1}`, seen: []int{-1}},
	{name: "the cause stays inside", in: `{"type":"plain","_reqId":"r","n":-2}`, seen: []int{-2}, frames: []string{`{"type":"error","_reqId":"r","code":"internal","message":"internal error","hint":"see ` + "`claudemesh daemon status`" + ` and the log"}`}},
	{name: "does not decode", in: `{"type":"plain","_reqId":"r","n":"7"}`, frames: []string{`{"type":"error","_reqId":"r",` + badN + `33 is of the wrong kind"` + jsonHint}},
	{name: "does not decode, nobody waits", in: `{"type":"plain","n":"7"}`},
	{name: "wrong case", in: `{"type":"plain","_reqId":"r","N":7}`, frames: []string{`{"type":"error","_reqId":"r",` + wrongCase + jsonHint}},
	{name: "wrong case of the envelope", in: `{"type":"plain","_reqid":"r","n":7}`},
	{name: "_reqId is a number", in: `{"type":"plain","_reqId":5,"n":7}`},
	{name: "trailing text", in: `{"type":"plain","_reqId":"r","n":7} x`, frames: []string{`{"type":"error","_reqId":"r","code":"invalid_json","message":"not valid JSON at byte 36"` + jsonHint}},

	{name: "quiet", in: `{"type":"quirk","n":7}`, seen: []int{7}},
	{name: "quiet, asked for", in: `{"type":"quirk","_reqId":"r","n":7}`, seen: []int{7}, frames: []string{`{"type":"quirk_answer","_reqId":"r","n":7}`, `{"type":"quirk_old","_reqId":"r","number":7}`}},
	{name: "error in id", in: `{"type":"quirk","_reqId":"r","n":-1}`, seen: []int{-1}, frames: []string{`{"type":"error","_reqId":"r",` + slowDown + `,"id":"r"` + slowHint}},
	{name: "quiet, refused", in: `{"type":"quirk","n":-1}`, seen: []int{-1}},

	{name: "by id", in: `{"type":"item","id":"i","n":7}`, seen: []int{7}, frames: []string{`{"type":"item_answer","id":"i"}`}},
	{name: "by id, with _reqId", in: `{"type":"item","_reqId":"r","id":"i"}`, seen: []int{0}, frames: []string{`{"type":"item_answer","_reqId":"r","id":"i"}`}},
	{name: "by id, refused", in: `{"type":"item","id":"i","n":-1}`, seen: []int{-1}, frames: []string{`{"type":"error","code":"target_not_found","message":"nobody","id":"i","hint":"` + "`claudemesh peers`" + ` lists who is there"}`}},
	{name: "by id, does not decode", in: `{"type":"item","id":"i","n":{}}`, frames: []string{`{"type":"error",` + badN + `28 is of the wrong kind","id":"i"` + jsonHint}},
	{name: "by id, without one, refused", in: `{"type":"item","n":-1}`, seen: []int{-1}},
	{name: "by type", in: `{"type":"greet","n":7}`, seen: []int{7}, frames: []string{`{"type":"hello_ack","n":7}`}},
	{name: "by type, refused", in: `{"type":"greet","n":-1}`, seen: []int{-1}, frames: []string{`{"type":"error",` + slowDown + slowHint}},

	{name: "never answered", in: `{"type":"mute","n":7}`, seen: []int{7}},
	{name: "never answered, refused", in: `{"type":"mute","n":-1}`, seen: []int{-1}},
	{name: "event", in: `{"type":"happen","n":7}`, seen: []int{7}},
	{name: "event that does not decode", in: `{"type":"happen","_reqId":"r","n":"7"}`},

	{name: "unknown type, old caller", in: `{"type":"nope","_reqId":"r"}`},
	{name: "unknown type", goCaller: true, in: `{"type":"nope","_reqId":"r"}`, frames: []string{`{"type":"error","_reqId":"r","code":"unknown_message_type","message":"this broker does not know \"nope\"","hint":"the other side is older or newer; compare ` + "`claudemesh version`" + ` on both"}`}},
	{name: "unknown type, nobody waits", goCaller: true, in: `{"type":"nope"}`},
}

func TestMux(t *testing.T) {
	t.Parallel()
	m := testMux()
	for _, tt := range muxCases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := outcome{Seen: tt.seen, Frames: tt.frames}
			if diff := cmp.Diff(want, dispatch(m, tt.goCaller, tt.in)); diff != "" {
				t.Errorf("Dispatch(%s): -want +got\n%s", tt.in, diff)
			}
			if diff := cmp.Diff(want, serveSlowly(m, tt.goCaller, tt.in)); diff != "" {
				t.Errorf("Serve(%s): -want +got\n%s", tt.in, diff)
			}
		})
	}
}

// What is not admitted is refused by the rules of its declaration, and its handler does not see it.
func TestAdmit(t *testing.T) {
	t.Parallel()
	m := testMux()
	var asked []string
	m.Admit = func(_ *[]int, e *Entry) error {
		if asked = append(asked, e.Type); e == mute.Entry {
			return nil
		}
		return mesh.Errorf(mesh.RateLimited, "later")
	}
	for in, want := range map[string]outcome{
		`{"type":"plain","_reqId":"1","n":5}`: {Frames: []string{`{"type":"error","_reqId":"1","code":"rate_limit","message":"later","hint":"` + mesh.RateLimited.Hint() + `"}`}},
		`{"type":"quirk","n":5}`:              {}, // waits for nothing
		`{"type":"mute","n":5}`:               {Seen: []int{5}},
	} {
		if diff := cmp.Diff(want, dispatch(m, true, in)); diff != "" {
			t.Errorf("%s: -want +got\n%s", in, diff)
		}
	}
	slices.Sort(asked)
	if diff := cmp.Diff([]string{"mute", "plain", "quirk"}, asked); diff != "" {
		t.Errorf("asked about (-want +got):\n%s", diff)
	}
}

// Who waits for an answer to a frame that does not say what it is hears so; old clients do not.
func TestFrameWithoutAType(t *testing.T) {
	t.Parallel()
	m := testMux()
	told := []string{`{"type":"error","_reqId":"r","code":"invalid_json","message":"a frame has a type","hint":"` + mesh.BadJSON.Hint() + `"}`}
	for _, tt := range []struct {
		in     string
		caller bool
		want   []string
	}{
		{`{"type":"","_reqId":"r"}`, true, told}, {`{"_reqId":"r","n":7}`, true, told},
		{`{"type":"","_reqId":"r"}`, false, nil}, {`{"type":""}`, true, nil}, {`{"_reqId":"r","n":}`, true, nil},
	} {
		got := dispatch(m, tt.caller, tt.in)
		if diff := cmp.Diff(tt.want, got.Frames); diff != "" || got.Err == "" {
			t.Errorf("%s: got error %q, frames (-want +got):\n%s", tt.in, got.Err, diff)
		}
	}
}

func TestDispatchRefusesWhatIsNoFrame(t *testing.T) {
	t.Parallel()
	m := testMux()
	for _, in := range []string{
		``, `null`, `[]`, `"plain"`, `{}`, `{"n":1}`, `{"type":null}`, `{"type":5}`, `{"type":""}`, `{"type":"plain"`, `{"type":"pla`, `{"type":"`,
		`{"type":"plain","type":"quirk"}`, `{"type":"plain","n":1,"n":2}`, "{\"type\":\"\xff\"}", `{"type":"nope","x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`,
	} {
		o := dispatch(m, true, in)
		if o.Err == "" || o.Seen != nil || o.Frames != nil {
			t.Errorf("Dispatch(%q): got %+v, want an error and nothing else", in, o)
		}
	}
}

func TestRefusalOfTextThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	var frames []string
	SendError(Caller{Send: func(f []byte) { frames = append(frames, string(f)) }}, "r", "", mesh.Errorf(mesh.BadRequest, "no %s", "\xff"))
	want := []string{`{"type":"error","_reqId":"r","code":"bad_request","message":"no ` + "\uFFFD" + `","hint":"see the verb's --help"}`}
	if diff := cmp.Diff(want, frames); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestAnswerThatCannotBeEncodedIsAnError(t *testing.T) {
	t.Parallel()
	m := NewMux[int]()
	Handle(m, quirk, func(context.Context, int, numberRequest) (numberAnswer, error) {
		return numberAnswer{Text: "\xff"}, nil
	})
	var frames []string
	c := Caller{Send: func(f []byte) { frames = append(frames, string(f)) }}
	if err := m.Dispatch(t.Context(), 0, c, []byte(`{"type":"quirk","_reqId":"r"}`)); err != nil {
		t.Fatal(err)
	}
	if len(frames) != 1 || !strings.Contains(frames[0], `"code":"internal"`) {
		t.Errorf("got %q, want one internal error", frames)
	}
}

func TestAsyncAnswersComeInAnyOrder(t *testing.T) {
	t.Parallel()
	m := NewMux[int]()
	type held struct {
		n      int
		answer Answer[numberAnswer]
	}
	waiting := make(chan held, 3)
	HandleAsync(m, plain, func(_ context.Context, _ int, req numberRequest, answer Answer[numberAnswer]) {
		waiting <- held{req.N, answer}
	})
	frames := make(chan string, 3)
	c := Caller{Send: func(f []byte) { frames <- string(f) }}
	for _, in := range []string{`{"type":"plain","_reqId":"a","n":1}`, `{"type":"plain","_reqId":"b","n":2}`, `{"n":3,"type":"plain","_reqId":"c"}`} {
		if err := m.Dispatch(t.Context(), 0, c, []byte(in)); err != nil {
			t.Fatal(err)
		}
	}
	calls := []held{<-waiting, <-waiting, <-waiting}
	for i, h := range calls {
		if h.n != i+1 {
			t.Errorf("call %d: got n %d, want the order of the frames", i, h.n)
		}
	}
	go func() {
		calls[2].answer(numberAnswer{N: 3}, nil)
		calls[0].answer(numberAnswer{}, mesh.Errorf(mesh.StoreFailed, "gone"))
		calls[1].answer(numberAnswer{N: 2}, nil)
	}()
	got := []string{<-frames, <-frames, <-frames}
	want := []string{
		`{"type":"plain_answer","_reqId":"c","n":3}`,
		`{"type":"error","_reqId":"a","code":"store_failed","message":"gone","hint":"restart the process after checking the disk"}`,
		`{"type":"plain_answer","_reqId":"b","n":2}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestMuxKnowsItsTypes(t *testing.T) {
	t.Parallel()
	m := testMux()
	if got, want := m.Types(), []string{"greet", "happen", "item", "mute", "plain", "quirk"}; !slices.Equal(got, want) {
		t.Errorf("Types: got %q, want %q", got, want)
	}
	if got := m.Entry("quirk"); got != quirk.Entry {
		t.Errorf("Entry: got %v, want the declaration", got)
	}
	if got := m.Entry("nope"); got != nil {
		t.Errorf("Entry of an unknown type: got %v, want nil", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("a second handler was taken, want a panic")
		}
	}()
	Handle(m, plain, number)
}

func TestCatalogueIsSortedAndWhole(t *testing.T) {
	t.Parallel()
	all := Catalogue()
	if !slices.IsSortedFunc(all, func(a, b *Entry) int { return strings.Compare(a.Type, b.Type) }) {
		t.Error("the catalogue is not sorted by type")
	}
	for _, e := range []*Entry{plain.Entry, mute.Entry, happen.Entry} {
		if !slices.Contains(all, e) {
			t.Errorf("the catalogue lacks %s", e.Type)
		}
	}
	if mute.Answer != nil || happen.Answer != nil || plain.Answer == nil {
		t.Errorf("got answers %v, %v, %v, want one for plain only", mute.Answer, happen.Answer, plain.Answer)
	}
	if !happen.Event || plain.Event {
		t.Error("an event is one that was declared as such")
	}
}

func TestCopyOfAnotherAnswerIsRefused(t *testing.T) {
	t.Parallel()
	data, err := quirk.Also[0].Encode("r", oldAnswer{})
	if data != nil || !mesh.IsCode(err, mesh.Internal) {
		t.Errorf("got %s, %v, want internal", data, err)
	}
}
