package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// inBubble runs a test with a fake clock, an outbox and a scripted broker. The drain is started by the test.
func inBubble(t *testing.T, test func(t *testing.T, o *Outbox, s *scripted)) {
	t.Helper()
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	synctest.Test(t, func(t *testing.T) {
		o, err := Open(context.Background(), Options{Path: path, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatalf("open outbox: %v", err)
		}
		defer func() {
			if err := o.Close(); err != nil {
				t.Errorf("close outbox: %v", err)
			}
		}()
		test(t, o, newScripted())
	})
}

// start runs a drain until the returned function is called, which waits for its end.
func start(t *testing.T, o *Outbox, s *scripted) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.Drain(ctx, meshA, "a", s) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("drain: %v", err)
		}
	}
}

// pass lets fake time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// acceptMany accepts n messages to one target, whose ids begin with prefix.
func acceptMany(t testing.TB, o *Outbox, prefix, target string, n int) []mesh.ClientID {
	t.Helper()
	ids := make([]mesh.ClientID, n)
	for i := range ids {
		ids[i] = mesh.ClientID(fmt.Sprintf("%s-%04d", prefix, i))
		accept(t, o, draft(ids[i], target, "hello"))
	}
	return ids
}

func statuses(t testing.TB, o *Outbox, ids ...mesh.ClientID) []Status {
	t.Helper()
	all := make([]Status, len(ids))
	for i, id := range ids {
		all[i] = row(t, o, id).Status
	}
	return all
}

// target makes the n-th key.
func target(n int) string { return fmt.Sprintf("%064x", n+1) }

func TestDrainPipelinesOneTarget(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.delay = 10 * time.Millisecond
		ids := acceptMany(t, o, "m", bob, 500)
		begin := time.Now()
		defer start(t, o, s)()
		for len(s.order("m")) < len(ids) {
			pass(time.Millisecond)
		}
		if diff := cmp.Diff(ids, s.order("m")); diff != "" {
			t.Errorf("order of acceptance (-want +got):\n%s", diff)
		}
		if s.most[bob] != maxWindow {
			t.Errorf("%d frames under way at most, want %d", s.most[bob], maxWindow)
		}
		if took := time.Since(begin); took > 150*time.Millisecond {
			t.Errorf("500 messages at 10 ms an ack took %s, want some 8 rounds", took)
		}
		pass(time.Second)
		if r := row(t, o, ids[499]); r.Status != Done || r.BrokerID != "bm-500" || r.Mailboxes != 1 || r.Attempts != 0 {
			t.Errorf("the last row is %+v", r)
		}
	})
}

func TestDrainWithoutWindow(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.limits.SendWindow = 0
		ids := acceptMany(t, o, "m", bob, 20)
		defer start(t, o, s)()
		pass(time.Second)
		if diff := cmp.Diff(ids, s.order("m")); diff != "" {
			t.Errorf("order of acceptance (-want +got):\n%s", diff)
		}
		if s.most[bob] != 1 {
			t.Errorf("%d frames under way to a broker that does not know after, want 1", s.most[bob])
		}
		for _, f := range s.frames {
			if f.req.After != "" {
				t.Errorf("frame %s names %s before it", f.req.ID, f.req.After)
			}
		}
	})
}

// A refusal in the middle of a window must not let those behind it overtake.
func TestDrainKeepsOrderAcrossRefusals(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.script = func(try int, r protocol.SendRequest) answer {
			switch {
			case r.ID == "m-0010" && try < 3:
				return answer{code: mesh.QueueFull}
			case r.ID == "m-0020" && try == 1:
				return answer{code: mesh.RateLimited, retry: 100 * time.Millisecond}
			case r.ID == "m-0030":
				return answer{code: mesh.TargetNotFound}
			case r.ID == "m-0040" && try == 1:
				return answer{dropped: true}
			case r.ID == "m-0050" && try == 1:
				return answer{lost: true}
			case r.ID == "m-0060" && try == 1:
				return answer{unsent: mesh.Errorf(mesh.BrokerDown, "gone")}
			}
			return answer{}
		}
		ids := acceptMany(t, o, "m", bob, 100)
		defer start(t, o, s)()
		pass(3 * time.Minute)
		want := append(append([]mesh.ClientID{}, ids[:30]...), ids[31:]...)
		if diff := cmp.Diff(want, s.order("m")); diff != "" {
			t.Errorf("order of acceptance (-want +got):\n%s", diff)
		}
		if r := row(t, o, "m-0010"); r.Status != Done || r.Attempts != 2 || r.LastError != "" {
			t.Errorf("refused twice, then accepted: %s with %d attempts, %q", r.Status, r.Attempts, r.LastError)
		}
		if r := row(t, o, "m-0030"); r.Status != Dead || r.LastError != "target_not_found: scripted (invalid)" {
			t.Errorf("refused for good: %s %q", r.Status, r.LastError)
		}
		for _, id := range []mesh.ClientID{"m-0011", "m-0020", "m-0040", "m-0050", "m-0060"} {
			if r := row(t, o, id); r.Status != Done || r.Attempts != 0 {
				t.Errorf("%s: %s with %d attempts, want done with none", id, r.Status, r.Attempts)
			}
		}
	})
}

func TestDrainBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.script = func(try int, _ protocol.SendRequest) answer {
			if try <= 7 {
				return answer{code: mesh.QueueFull}
			}
			return answer{}
		}
		accept(t, o, draft("one", bob, "hello"))
		defer start(t, o, s)()
		pass(2 * time.Minute)
		times := s.sendTimes("one")
		var waits []time.Duration
		for i := 1; i < len(times); i++ {
			waits = append(waits, times[i].Sub(times[i-1]).Round(time.Second))
		}
		want := []time.Duration{1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second}
		if diff := cmp.Diff(want, waits); diff != "" {
			t.Errorf("waits between tries (-want +got):\n%s", diff)
		}
	})
}

func TestDrainClaimsNothingWhileClosed(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.closed[""], s.closed[sess] = true, true
		accept(t, o, draft("member", bob, "hello"))
		d := draft("session", bob, "hello")
		d.Sender = sess
		accept(t, o, d)
		defer start(t, o, s)()
		pass(time.Hour)
		if diff := cmp.Diff([]Status{Pending, Pending}, statuses(t, o, "member", "session")); diff != "" {
			t.Errorf("while closed (-want +got):\n%s", diff)
		}
		s.set(func() { s.closed[""] = false })
		pass(time.Second)
		if diff := cmp.Diff([]Status{Done, Pending}, statuses(t, o, "member", "session")); diff != "" {
			t.Errorf("with the member's connection open (-want +got):\n%s", diff)
		}
		s.set(func() { s.closed[sess] = false })
		pass(time.Second)
		if got := statuses(t, o, "session")[0]; got != Done {
			t.Errorf("with the session's connection open its row is %s, want done", got)
		}
		if s.frames[0].sender != "" || s.frames[1].sender != sess || len(s.frames) != 2 {
			t.Errorf("frames went out as %+v", s.frames)
		}
	})
}

func TestDrainServesTargetsSideBySide(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		for n := range 12 {
			acceptMany(t, o, fmt.Sprintf("t%02d", n), target(n), 100)
		}
		s.script = func(_ int, r protocol.SendRequest) answer { return answer{dropped: r.TargetSpec == target(0)} }
		defer start(t, o, s)()
		pass(2 * time.Second)
		for n := 1; n < 12; n++ {
			if got := len(s.order(fmt.Sprintf("t%02d", n))); got != 100 {
				t.Errorf("%d messages to target %d arrived beside a silent one, want 100", got, n)
			}
		}
		if s.lanes != maxLanes {
			t.Errorf("%d targets had frames under way at most, want %d", s.lanes, maxLanes)
		}
	})
}

func TestDrainKeepsToTheRate(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.limits = protocol.Limits{} // 60 a minute, 10 at once
		ids := acceptMany(t, o, "m", bob, 15)
		begin := time.Now()
		defer start(t, o, s)()
		pass(500 * time.Millisecond)
		if got := len(s.order("m")); got != 10 {
			t.Errorf("%d messages at once, want 10", got)
		}
		pass(5 * time.Second)
		if got := len(s.order("m")); got != len(ids) {
			t.Errorf("%d messages after %s, want %d", got, time.Since(begin), len(ids))
		}
		s.set(func() { s.limits = protocol.Limits{SendPerSecond: 100, SendBurst: 50} })
		acceptMany(t, o, "n", bob, 50)
		pass(200 * time.Millisecond)
		if got := len(s.order("n")); got != 50 {
			t.Errorf("%d messages under new limits, want 50", got)
		}
	})
}

func TestDrainPausesWhenTooFast(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.script = func(try int, r protocol.SendRequest) answer {
			if r.ID == "one" && try <= 30 {
				return answer{code: mesh.RateLimited, retry: 2 * time.Second}
			}
			return answer{}
		}
		accept(t, o, draft("one", bob, "hello"))
		defer start(t, o, s)()
		pass(time.Second)
		accept(t, o, draft("two", carol, "hello"))
		pass(500 * time.Millisecond)
		if got := statuses(t, o, "two")[0]; got != Pending {
			t.Errorf("during the pause another target's row is %s, want pending", got)
		}
		pass(2 * time.Minute)
		if r := row(t, o, "one"); r.Status != Done || r.Attempts != 0 {
			t.Errorf("after 30 rate limits the row is %s with %d attempts, want done with none", r.Status, r.Attempts)
		}
	})
}

// One frame closes the connection for its size, and all that were under way die with it.
func TestDrainFindsTheOversizedFrame(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.script = func(_ int, r protocol.SendRequest) answer {
			if r.ID == "m-0003" {
				return answer{err: mesh.Errorf(mesh.PayloadTooLarge, "closed with 1009")}
			}
			for _, f := range s.frames {
				if f.req.ID == "m-0003" && f.at.Equal(time.Now()) {
					return answer{err: mesh.Errorf(mesh.PayloadTooLarge, "closed with 1009")}
				}
			}
			return answer{}
		}
		ids := acceptMany(t, o, "m", bob, 8)
		accept(t, o, draft("other", carol, "hello"))
		defer start(t, o, s)()
		pass(time.Minute)
		if r := row(t, o, "m-0003"); r.Status != Dead || s.tries["m-0003"] != 2 {
			t.Errorf("the oversized row is %s after %d tries, want dead after 2", r.Status, s.tries["m-0003"])
		}
		for _, id := range append(ids[:3:3], append(ids[4:], "other")...) {
			if r := row(t, o, id); r.Status != Done || r.Attempts != 0 {
				t.Errorf("%s is %s with %d attempts, want done with none", id, r.Status, r.Attempts)
			}
		}
	})
}

func TestDrainRefusesLocallyWhatIsTooBig(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		d := draft("big", bob, "hello")
		d.Ciphertext = string(make([]byte, defaultFrameBytes))
		accept(t, o, d)
		accept(t, o, draft("small", bob, "hello"))
		defer start(t, o, s)()
		pass(time.Second)
		if r := row(t, o, "big"); r.Status != Dead || r.LastError != string(mesh.PayloadTooLarge) {
			t.Errorf("the big row is %s %q, want dead %s", r.Status, r.LastError, mesh.PayloadTooLarge)
		}
		if got := s.order(""); len(got) != 1 || got[0] != "small" {
			t.Errorf("sent %v, want only the small one", got)
		}
	})
}

func TestDrainEndsWhatIsTooOld(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.closed[""] = true
		accept(t, o, draft("old", bob, "hello"))
		defer start(t, o, s)()
		pass(defaultMaxAge - time.Hour)
		accept(t, o, draft("young", bob, "hello"))
		pass(time.Hour + 2*expireEvery)
		if r := row(t, o, "old"); r.Status != Dead || r.LastError != string(mesh.MaxAge) {
			t.Errorf("after a week the row is %s %q, want dead %s", r.Status, r.LastError, mesh.MaxAge)
		}
		m, err := findMessage(context.Background(), o.db, "old")
		if err != nil || m.State != mesh.StateExpired {
			t.Errorf("its message is %s, %v; want %s", m.State, err, mesh.StateExpired)
		}
		s.set(func() { s.closed[""] = false })
		pass(time.Second)
		if got := statuses(t, o, "young")[0]; got != Done {
			t.Errorf("the younger row is %s, want done", got)
		}
		if got := o.open.Load(); got != 0 {
			t.Errorf("%d rows are counted as waiting, want none", got)
		}
	})
}

// A broker that will not hear a sender again gets nothing of it, and the sender is told; others go on.
func TestDrainGivesUpWhoIsBarred(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.script = func(try int, r protocol.SendRequest) answer {
			return answer{dropped: r.TargetSpec == "stuck"}
		}
		s.limits.SendWindow = 1
		flying := acceptMany(t, o, "flying", "stuck", 2)
		stop := start(t, o, s)
		pass(time.Second)
		s.set(func() { s.barred, s.closed[""] = map[mesh.Key]mesh.Code{"": mesh.Revoked}, true })
		late := acceptMany(t, o, "late", "other", 2)
		pass(time.Minute) // the ack that never comes is given up
		for _, id := range append(flying, late...) {
			m, err := o.Status(context.Background(), string(id), "")
			if err != nil || m.Status != Dead || m.State != mesh.StateRejected || m.LastError != string(mesh.Revoked) {
				t.Errorf("%s: got %s, %s, %q, %v; want dead, rejected, revoked", id, m.Status, m.State, m.LastError, err)
			}
		}
		s.set(func() { s.barred, s.closed[""] = nil, false })
		again := acceptMany(t, o, "again", "other", 1)
		pass(time.Second)
		if m, err := o.Status(context.Background(), string(again[0]), ""); err != nil || m.Status != Done {
			t.Errorf("after it: got %+v, %v", m, err)
		}
		stop()
	})
}

func TestDrainStops(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.delay = time.Second
		s.script = func(_ int, r protocol.SendRequest) answer { return answer{lost: r.ID == "lost"} }
		accept(t, o, draft("answered", bob, "hello"))
		accept(t, o, draft("lost", carol, "hello"))
		stop := start(t, o, s)
		pass(10 * time.Millisecond)
		if diff := cmp.Diff([]Status{Inflight, Inflight}, statuses(t, o, "answered", "lost")); diff != "" {
			t.Errorf("under way (-want +got):\n%s", diff)
		}
		begin := time.Now()
		stop()
		if took := time.Since(begin); took != stopWait {
			t.Errorf("the stop took %s, want %s", took, stopWait)
		}
		if diff := cmp.Diff([]Status{Done, Pending}, statuses(t, o, "answered", "lost")); diff != "" {
			t.Errorf("after the stop (-want +got):\n%s", diff)
		}
		s.set(func() { s.script = nil })
		defer start(t, o, s)()
		pass(time.Minute)
		if r := row(t, o, "lost"); r.Status != Done || len(s.order("lost")) != 1 {
			t.Errorf("the row whose ack was lost is %s, accepted %d times; want done, once", r.Status, len(s.order("lost")))
		}
	})
}

func TestDrainRunsOncePerMesh(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		stop := start(t, o, s)
		synctest.Wait()
		if err := o.Drain(context.Background(), meshA, "a", s); !mesh.IsCode(err, mesh.Internal) {
			t.Errorf("a second drain: got %v, want %s", err, mesh.Internal)
		}
		stop()
		start(t, o, s)()
	})
}

// What the drain had claimed and could not answer for is not lost when the broker's side fails for long.
func TestDrainSurvivesADeadConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		down := true
		s.script = func(int, protocol.SendRequest) answer {
			if down {
				return answer{err: mesh.Errorf(mesh.BrokerDown, "closed")}
			}
			return answer{}
		}
		ids := acceptMany(t, o, "m", bob, 100)
		defer start(t, o, s)()
		pass(time.Hour)
		s.set(func() { down = false })
		pass(time.Minute)
		if diff := cmp.Diff(ids, s.order("m")); diff != "" {
			t.Errorf("order of acceptance (-want +got):\n%s", diff)
		}
		if r := row(t, o, ids[0]); r.Attempts != 0 {
			t.Errorf("%d attempts were charged for a dead connection, want none", r.Attempts)
		}
		if tries := s.tries[ids[0]]; tries > 200 {
			t.Errorf("%d tries in an hour, want them 30 s apart", tries)
		}
	})
}

// What was aborted behind the drain's back is neither sent nor changed by a late ack.
func TestDrainLeavesAbortedRowsAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.closed[""] = true
		s.delay = time.Second
		accept(t, o, draft("waiting", bob, "hello"))
		accept(t, o, draft("behind", bob, "hello"))
		accept(t, o, draft("flying", carol, "hello"))
		defer start(t, o, s)()
		pass(time.Second)
		force(t, o, "waiting", Row{Status: Aborted})
		s.set(func() { s.closed[""] = false })
		pass(time.Millisecond)
		force(t, o, "flying", Row{Status: Aborted})
		pass(time.Minute)
		if diff := cmp.Diff([]Status{Aborted, Done, Aborted}, statuses(t, o, "waiting", "behind", "flying")); diff != "" {
			t.Errorf("at the end (-want +got):\n%s", diff)
		}
		if s.tries["waiting"] != 0 {
			t.Errorf("the aborted row was sent %d times", s.tries["waiting"])
		}
	})
}

func TestDrainKeepsOrderWhenAFrameIsNotWritten(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.script = func(try int, r protocol.SendRequest) answer {
			if r.ID == "m-0005" && try == 1 {
				return answer{unsent: mesh.Errorf(mesh.BrokerDown, "gone")}
			}
			return answer{}
		}
		ids := acceptMany(t, o, "m", bob, 10)
		defer start(t, o, s)()
		pass(time.Minute)
		if diff := cmp.Diff(ids, s.order("m")); diff != "" {
			t.Errorf("order of acceptance (-want +got):\n%s", diff)
		}
	})
}
