package approval

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/claudemesh/claudemesh/internal/audit"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// desk is a board with a log, and the keys of a user with two devices.
type desk struct {
	*Board
	t         *testing.T
	mu        sync.Mutex
	log       []audit.Entry
	full      bool // the log cannot be written
	own, away seal.SecretKey
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, own: seal.NewSecretKey(), away: seal.NewSecretKey()}
	d.Board = New(time.Now, func(_ context.Context, e audit.Entry) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.full {
			return mesh.Errorf(mesh.IOError, "no space")
		}
		d.log = append(d.log, e)
		return nil
	})
	return d
}

func (d *desk) noted() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for _, e := range d.log {
		all = append(all, e.Verb+" "+e.Decision)
	}
	return strings.Join(all, ", ")
}

func keyOf(k seal.SecretKey) mesh.Key { return mesh.Key(k.Public().String()) }

// asks adds a question of a session in two meshes.
func (d *desk) asks(tool, input string) Question {
	d.t.Helper()
	q, err := d.Ask(Question{Session: "s1", Name: "api", Tool: tool, Input: []byte(input), Places: []Place{
		{"m1", "team", keyOf(seal.NewSecretKey())}, {"m2", "play", keyOf(seal.NewSecretKey())},
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	return q
}

func (d *desk) sign(q Question, decision string, by seal.SecretKey) Answer {
	d.t.Helper()
	a, err := Sign(q, "m1", decision, by)
	if err != nil {
		d.t.Fatal(err)
	}
	return a
}

// ended gives how a question ended, which it has.
func (d *desk) ended(q Question) Outcome {
	ctx, cancel := context.WithCancel(d.t.Context())
	cancel()
	return d.Wait(ctx, q)
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	for _, decision := range []string{seal.ApprovalAllow, seal.ApprovalDeny} {
		d := newDesk(t)
		q := d.asks("Bash", `{"command":"ls"}`)
		if all := d.List(); len(all) != 1 || all[0].Nonce != q.Nonce || q.Expires.Sub(q.Asked) != Limit {
			t.Errorf("got %+v, want the question, for %v", all, Limit)
		}
		a := d.sign(q, decision, d.away)
		if err := d.Take(t.Context(), a.Paper().Answer("m1", keyOf(d.away))); err != nil {
			t.Fatal(err)
		}
		if o := d.ended(q); o.Decision != decision || o.By != keyOf(d.away) {
			t.Errorf("got %+v, want %s by the other device", o, decision)
		}
		if got, want := d.noted(), decision+" "+decision; got != want || d.log[0].Input != q.SumText() || d.log[0].Tool != "Bash" || d.log[0].Mesh != "team" {
			t.Errorf("got %s, %+v in the log, want %s", got, d.log, want)
		}
		if len(d.List()) != 0 {
			t.Error("an answered question still waits")
		}
	}
}

// TestThreat41ForgedApprovals: no answer counts but the one that a device of this user signed for exactly this question.
func TestThreat41ForgedApprovals(t *testing.T) {
	t.Parallel()
	stranger := seal.NewSecretKey()
	for name, forge := range map[string]func(d *desk, q Question) Answer{
		"the broker, without a key": func(d *desk, q Question) Answer {
			a := d.sign(q, seal.ApprovalAllow, d.away)
			a.Signature = strings.Repeat("0", 128)
			return a
		},
		"another member in the name of a device": func(d *desk, q Question) Answer {
			a := d.sign(q, seal.ApprovalAllow, stranger)
			a.Signer = keyOf(d.away)
			return a
		},
		"a denial that was turned": func(d *desk, q Question) Answer {
			a := d.sign(q, seal.ApprovalDeny, d.away)
			a.Decision = seal.ApprovalAllow
			return a
		},
		"of another mesh": func(d *desk, q Question) Answer {
			a := d.sign(q, seal.ApprovalAllow, d.away)
			a.MeshID, a.Session = "m2", q.Places[1].Session
			return a
		},
		"of another session": func(d *desk, q Question) Answer {
			other := q
			other.Places = []Place{{"m1", "team", keyOf(stranger)}}
			return d.sign(other, seal.ApprovalAllow, d.away)
		},
		"of another tool": func(d *desk, q Question) Answer {
			other := q
			other.Tool = "Read"
			return d.sign(other, seal.ApprovalAllow, d.away)
		},
		"of another input": func(d *desk, q Question) Answer {
			other := q
			other.Input = []byte(`{"command":"rm -r ."}`)
			return d.sign(other, seal.ApprovalAllow, d.away)
		},
		"for another tool under this one's name": func(d *desk, q Question) Answer {
			other := q
			other.Tool = "Read"
			a := d.sign(other, seal.ApprovalAllow, d.away)
			a.Tool = q.Tool
			return a
		},
		"that holds for longer": func(d *desk, q Question) Answer {
			other := q
			other.Expires = q.Expires.Add(time.Hour)
			return d.sign(other, seal.ApprovalAllow, d.away)
		},
		"for a question that was never asked": func(d *desk, q Question) Answer {
			other := q
			other.Nonce = mesh.NewToken()
			return d.sign(other, seal.ApprovalAllow, d.away)
		},
		"with another word": func(d *desk, q Question) Answer { return d.sign(q, "always", d.away) },
		"without a session": func(d *desk, q Question) Answer {
			a := d.sign(q, seal.ApprovalAllow, d.away)
			a.Session = ""
			return a
		},
	} {
		d := newDesk(t)
		q := d.asks("Bash", `{"command":"ls"}`)
		if err := d.Take(t.Context(), forge(d, q)); err == nil {
			t.Errorf("an answer %s was taken", name)
		}
		if len(d.List()) != 1 || !strings.HasSuffix(d.noted(), audit.Refused) {
			t.Errorf("an answer %s: got %d questions and %q in the log, want the question to wait, and the refusal", name, len(d.List()), d.noted())
		}
		if err := d.Take(t.Context(), d.sign(q, seal.ApprovalAllow, d.away)); err != nil {
			t.Errorf("after an answer %s: got %v, want the true one taken", name, err)
		}
	}
}

// TestThreat41ReplayedApprovals: an answer counts once, and not for the same use asked again.
func TestThreat41ReplayedApprovals(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first, second := d.asks("Bash", `{"command":"ls"}`), d.asks("Bash", `{"command":"ls"}`)
	a := d.sign(first, seal.ApprovalAllow, d.away)
	if err := d.Take(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Take(t.Context(), a); !mesh.IsCode(err, mesh.ApprovalOver) {
			t.Errorf("got %v, want the second time refused", err)
		}
	}
	again := a
	again.Nonce, again.ExpiresAt = second.Nonce, second.Expires
	if err := d.Take(t.Context(), again); err == nil {
		t.Error("the answer was taken for the next use")
	}
	if all := d.List(); len(all) != 1 || all[0].Nonce != second.Nonce {
		t.Errorf("got %+v, want the second question to wait", all)
	}
}

// TestThreat41TwoApprovalsAtOnce: of many answers at the same moment one counts, and everybody else hears that it is over.
func TestThreat41TwoApprovalsAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	q := d.asks("Bash", `{"command":"ls"}`)
	errs := make([]error, 16)
	var all sync.WaitGroup
	for i := range errs {
		decision := []string{seal.ApprovalAllow, seal.ApprovalDeny}[i%2]
		a := d.sign(q, decision, []seal.SecretKey{d.own, d.away}[i/2%2])
		all.Go(func() { errs[i] = d.Take(context.WithoutCancel(t.Context()), a) })
	}
	all.Wait()
	taken := 0
	for i, err := range errs {
		switch {
		case err == nil:
			taken++
			if want := []string{seal.ApprovalAllow, seal.ApprovalDeny}[i%2]; d.ended(q).Decision != want {
				t.Errorf("got %+v, want %s", d.ended(q), want)
			}
		case !mesh.IsCode(err, mesh.ApprovalOver):
			t.Errorf("got %v, want approval_over", err)
		}
	}
	if taken != 1 {
		t.Errorf("%d answers were taken, want one", taken)
	}
}

// TestThreat41ApprovalPastItsTime: a question is over after five minutes, also for an answer that was signed before, and also
// when the clock was set.
func TestThreat41ApprovalPastItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		q := d.asks("Bash", `{"command":"ls"}`)
		a := d.sign(q, seal.ApprovalAllow, d.away)
		ended := make(chan Outcome)
		go func() { ended <- d.Wait(t.Context(), q) }()
		if o := <-ended; o.Decision != "" {
			t.Errorf("got %+v, want no answer", o)
		}
		if err := d.Take(t.Context(), a); !mesh.IsCode(err, mesh.ApprovalOver) {
			t.Errorf("got %v, want it over", err)
		}
	})
	var ahead time.Duration
	d := newDesk(t)
	d.now = func() time.Time { return time.Now().Add(ahead) }
	q := d.asks("Bash", `{"command":"ls"}`)
	a := d.sign(q, seal.ApprovalAllow, d.away)
	for _, ahead = range []time.Duration{Limit, -2 * Limit} {
		if err := d.Take(t.Context(), a); err == nil {
			t.Errorf("taken with a clock that is off by %v", ahead)
		}
	}
}

// TestPartOfAnInput: what the host did not tell whole is denied, or answered at the session.
func TestPartOfAnInput(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	q, err := d.Ask(Question{Session: "s1", Tool: "Bash", Input: []byte(`{"input_preview":"ls …"}`), Partial: true, Places: []Place{{"m1", "team", keyOf(d.own)}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Take(t.Context(), d.sign(q, seal.ApprovalAllow, d.own)); !mesh.IsCode(err, mesh.Forbidden) {
		t.Errorf("got %v, want it refused", err)
	}
	if err := d.Take(t.Context(), d.sign(q, seal.ApprovalDeny, d.own)); err != nil {
		t.Errorf("got %v, want the denial taken", err)
	}
}

// TestNoPermissionWithoutALog: what cannot be written down is not allowed.
func TestNoPermissionWithoutALog(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.full = true
	q := d.asks("Bash", `{}`)
	if err := d.Take(t.Context(), d.sign(q, seal.ApprovalAllow, d.own)); !mesh.IsCode(err, mesh.IOError) || d.ended(q).Decision != "" {
		t.Errorf("got %v and %+v, want nothing allowed", err, d.ended(q))
	}
	q = d.asks("Bash", `{}`)
	if err := d.Take(t.Context(), d.sign(q, seal.ApprovalDeny, d.own)); err != nil || d.ended(q).Decision != seal.ApprovalDeny {
		t.Errorf("got %v and %+v, want it denied", err, d.ended(q))
	}
}

func TestElsewhere(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	one, two := d.asks("Bash", `{"command":"ls"}`), d.asks("Bash", `{"command":"pwd"}`)
	d.Elsewhere("s2", "", "")
	d.Elsewhere("s1", "Bash", one.SumText())
	if all := d.List(); len(all) != 1 || all[0].Nonce != two.Nonce {
		t.Errorf("got %+v, want the other question to wait", all)
	}
	d.Elsewhere("s1", "", "")
	if len(d.List()) != 0 {
		t.Error("a question waits on though its session went on")
	}
	if err := d.Take(t.Context(), d.sign(two, seal.ApprovalAllow, d.own)); !mesh.IsCode(err, mesh.ApprovalOver) {
		t.Errorf("got %v, want it over", err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	q := d.asks("Bash", `{}`)
	all, none := func(Question) bool { return true }, func(Question) bool { return false }
	if got, err := d.Find(q.Nonce[:8], all); err != nil || got.Nonce != q.Nonce {
		t.Errorf("got %+v and %v, want the question", got, err)
	}
	for _, id := range []string{q.Nonce[:3], "*", "", "%"} {
		if _, err := d.Find(id, all); !mesh.IsCode(err, mesh.ApprovalOver) {
			t.Errorf("%q: got %v, want no question", id, err)
		}
	}
	if _, err := d.Find(q.Nonce, none); !mesh.IsCode(err, mesh.ApprovalOver) {
		t.Errorf("got %v, want nothing of what the caller does not see", err)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for range maxHere {
		d.asks("Bash", `{}`)
	}
	if _, err := d.Ask(Question{Tool: "Bash", Input: []byte(`{}`)}); !mesh.IsCode(err, mesh.RateLimited) {
		t.Errorf("got %v, want rate_limit", err)
	}
	if _, err := d.Ask(Question{Tool: strings.Repeat("x", maxTool+1)}); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("got %v, want a name of that length refused", err)
	}
	if _, ok := (Question{Input: make([]byte, maxInput+1), Places: []Place{{MeshID: "m1"}}}).Tell("m1"); ok {
		t.Error("an input of that size is told")
	}
}

// TestQuestionOfAnotherDevice: what is shown is what is answered, and its end is taken from who asked.
func TestQuestionOfAnotherDevice(t *testing.T) {
	t.Parallel()
	laptop, d := newDesk(t), newDesk(t)
	q := laptop.asks("Bash", `{"command":"ls"}`)
	told, ok := q.Tell("m1")
	text, err := told.Text()
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	paper, ok := Read(text)
	if !ok {
		t.Fatalf("%s is not read", text)
	}
	at := Place{MeshID: "m1", Mesh: "team"}
	for name, change := range map[string]func(*Paper){
		"another input":   func(p *Paper) { p.Input = `{"command":"pwd"}` },
		"a space":         func(p *Paper) { p.Input = `{"command": "ls"}` },
		"no nonce":        func(p *Paper) { p.Nonce = "*" },
		"no tool":         func(p *Paper) { p.Tool = "" },
		"no session":      func(p *Paper) { p.Session = "x" },
		"too late":        func(p *Paper) { p.ExpiresMS = time.Now().Add(-time.Second).UnixMilli() },
		"for too long":    func(p *Paper) { p.ExpiresMS = time.Now().Add(time.Hour).UnixMilli() },
		"too large":       func(p *Paper) { p.Input = fmt.Sprintf(`{"a":%q}`, strings.Repeat("x", maxInput)) },
		"a sum of others": func(p *Paper) { p.Sum = strings.Repeat("0", 64) },
	} {
		changed := paper
		change(&changed)
		if _, err := d.Hear(changed, keyOf(laptop.own), at); err == nil {
			t.Errorf("%s: the question was taken", name)
		}
	}
	heard, err := d.Hear(paper, keyOf(laptop.own), at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Hear(paper, keyOf(laptop.own), at); !mesh.IsCode(err, mesh.Replay) {
		t.Errorf("got %v, want a copy passed over", err)
	}
	if err := d.Take(t.Context(), d.sign(heard, seal.ApprovalAllow, d.own)); !mesh.IsCode(err, mesh.ApprovalOver) {
		t.Errorf("got %v, want a question of another device answered there", err)
	}
	answer := d.sign(heard, seal.ApprovalAllow, d.own)
	if err := errors.Join(d.Answered(t.Context(), answer), laptop.Take(t.Context(), answer.Paper().Answer("m1", keyOf(d.own)))); err != nil {
		t.Errorf("got %v, want the answer taken", err)
	}
	if err := d.Answered(t.Context(), d.sign(heard, seal.ApprovalDeny, d.own)); !mesh.IsCode(err, mesh.ApprovalOver) {
		t.Errorf("got %v, want one answer a device", err)
	}
	d.Over(q.End(laptop.ended(q)), keyOf(laptop.own))
	if counts, err := d.Settled(t.Context(), answer); !counts || err != nil || !strings.HasSuffix(d.noted(), "allow allow") {
		t.Errorf("got %v, %v and %q in the log, want it known that the answer counts", counts, err, d.noted())
	}

	q = laptop.asks("Write", `{}`)
	told, _ = q.Tell("m1")
	if _, err := d.Hear(told, keyOf(laptop.own), at); err != nil {
		t.Fatal(err)
	}
	d.Over(q.End(Outcome{}), keyOf(laptop.away))
	if len(d.List()) != 1 {
		t.Error("another device ended the question")
	}
	for range 2 {
		d.Over(q.End(Outcome{}), keyOf(laptop.own))
	}
	if len(d.List()) != 0 {
		t.Error("the question waits on")
	}
	for _, text := range []string{"", "claudemesh/approval/1", "claudemesh/approval/1 {}", "claudemesh/approval/1 {\"kind\":\"x\"}", " " + text} {
		if _, ok := Read(text); ok {
			t.Errorf("%q is read as one", text)
		}
	}
}

// TestAnswersOfTwoDevices: of two answers at the same moment one counts, and the human who gave the other one hears that; each
// is in the log of its device.
func TestAnswersOfTwoDevices(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end  func(laptop, phone *desk, q Question) Outcome
		want string
	}{
		"denied at the laptop first": {func(laptop, _ *desk, q Question) Outcome {
			_ = laptop.Take(t.Context(), laptop.sign(q, seal.ApprovalDeny, laptop.own)) // it is the first
			return laptop.ended(q)
		}, "another answer was first: deny"},
		"allowed on a third device first": {func(laptop, phone *desk, q Question) Outcome {
			_ = laptop.Take(t.Context(), phone.sign(q, seal.ApprovalAllow, phone.own)) // it is the first
			return laptop.ended(q)
		}, "another answer was first: allow"},
		"given up": {func(laptop, _ *desk, q Question) Outcome { return laptop.ended(q) }, "it was over before the answer came"},
	} {
		laptop, phone, d := newDesk(t), newDesk(t), newDesk(t)
		q := laptop.asks("Bash", `{"command":"ls"}`)
		paper, _ := q.Tell("m1")
		heard, err := d.Hear(paper, keyOf(laptop.own), Place{MeshID: "m1", Mesh: "team"})
		if err != nil {
			t.Fatal(err)
		}
		answer := d.sign(heard, seal.ApprovalAllow, d.own)
		if err := d.Answered(t.Context(), answer); err != nil {
			t.Fatal(err)
		}
		d.Over(q.End(tc.end(laptop, phone, q)), keyOf(laptop.own))
		if err := laptop.Take(t.Context(), answer.Paper().Answer("m1", keyOf(d.own))); !mesh.IsCode(err, mesh.ApprovalOver) {
			t.Errorf("%s: got %v, want the second answer refused", name, err)
		}
		counts, err := d.Settled(t.Context(), answer)
		if counts || !mesh.IsCode(err, mesh.ApprovalOver) || !strings.Contains(err.Error(), tc.want) || d.noted() != "allow allow, allow refused" {
			t.Errorf("%s: got %v, %v and %q in the log, want %s", name, counts, err, d.noted(), tc.want)
		}
	}
	laptop, d := newDesk(t), newDesk(t)
	q := laptop.asks("Bash", `{}`)
	paper, _ := q.Tell("m1")
	heard, err := d.Hear(paper, keyOf(laptop.own), Place{MeshID: "m1", Mesh: "team"})
	if err != nil {
		t.Fatal(err)
	}
	d.full = true
	if err := d.Answered(t.Context(), d.sign(heard, seal.ApprovalAllow, d.own)); !mesh.IsCode(err, mesh.IOError) {
		t.Errorf("got %v, want nothing allowed that is not written down", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if counts, err := d.Settled(ctx, d.sign(heard, seal.ApprovalAllow, d.own)); counts || err != nil {
		t.Errorf("got %v, %v, want nothing known", counts, err)
	}
}
