package outbox

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

var (
	noon   = time.UnixMilli(1_700_000_000_000)
	always = func(mesh.Key) bool { return true }
)

// planOf makes a schedule with n rows for each target, and the window given.
func planOf(window, n int, targets ...string) *schedule {
	s := newSchedule()
	s.limit(protocol.Limits{SendPerSecond: 1e6, SendBurst: 1e6, SendWindow: window})
	seq := int64(0)
	for range n {
		for _, to := range targets {
			seq++
			s.add(laneKey{target: to}, ref{seq: seq, id: mesh.ClientID(to), enqueuedMs: noon.UnixMilli()})
		}
	}
	return s
}

// seqs lists the rows of attempts.
func seqs(all []attempt) []int64 {
	var out []int64
	for _, a := range all {
		out = append(out, a.seq)
	}
	return out
}

// end lands attempts with a verdict and returns what goes back to pending.
func end(s *schedule, v verdict, all ...attempt) []attempt {
	var back []attempt
	for _, a := range all {
		a.verdict = v
		back = append(back, s.landed(noon, a)...)
	}
	return back
}

func TestBrokenLaneWaitsForAll(t *testing.T) {
	t.Parallel()
	s := planOf(3, 5, "a")
	picked := s.pick(noon, always)
	if diff := cmp.Diff([]int64{1, 2, 3}, seqs(picked)); diff != "" {
		t.Fatalf("first pick (-want +got):\n%s", diff)
	}
	if back := end(s, refused, picked[1]); back != nil {
		t.Errorf("rows %v go back while others are under way", seqs(back))
	}
	if more := s.pick(noon, always); more != nil {
		t.Errorf("rows %v follow a refusal", seqs(more))
	}
	end(s, accepted, picked[0])
	back := end(s, refused, picked[2])
	if diff := cmp.Diff([]int64{2, 3}, seqs(back)); diff != "" {
		t.Fatalf("rows that go back (-want +got):\n%s", diff)
	}
	if back[0].attempts != 1 || back[1].attempts != 0 {
		t.Errorf("charged %d and %d attempts, want one for the first only", back[0].attempts, back[1].attempts)
	}
	if wait := time.Duration(back[0].nextMs-noon.UnixMilli()) * time.Millisecond; wait != backoff(1) {
		t.Errorf("the first waits %s, want %s", wait, backoff(1))
	}
	if more := s.pick(noon, always); more != nil {
		t.Errorf("rows %v go before the wait is over", seqs(more))
	}
	if d, ok := s.wait(noon, always); !ok || d != backoff(1) {
		t.Errorf("wait is %s %t, want %s", d, ok, backoff(1))
	}
	// The row that failed goes alone; once it is through, the rest follows in a window again.
	noon := noon.Add(backoff(1))
	again := s.pick(noon, always)
	if diff := cmp.Diff([]int64{2}, seqs(again)); diff != "" {
		t.Fatalf("second try (-want +got):\n%s", diff)
	}
	end(s, accepted, again[0])
	if diff := cmp.Diff([]int64{3, 4, 5}, seqs(s.pick(noon, always))); diff != "" {
		t.Errorf("after it (-want +got):\n%s", diff)
	}
}

func TestLossesGoAloneUntilAnswered(t *testing.T) {
	t.Parallel()
	s := planOf(3, 3, "a")
	back := end(s, unanswered, s.pick(noon, always)...)
	if diff := cmp.Diff([]int64{1, 2, 3}, seqs(back)); diff != "" || back[0].attempts != 0 {
		t.Fatalf("rows that go back, %d attempts charged (-want +got):\n%s", back[0].attempts, diff)
	}
	for n := 2; n < 4; n++ {
		at := time.UnixMilli(back[0].nextMs)
		probe := s.pick(at, always)
		if diff := cmp.Diff([]int64{1}, seqs(probe)); diff != "" {
			t.Fatalf("probe (-want +got):\n%s", diff)
		}
		back = end(s, unanswered, probe[0])
		if wait := time.Duration(back[0].nextMs-noon.UnixMilli()) * time.Millisecond; wait != backoff(n) {
			t.Errorf("after %d losses the row waits %s, want %s", n, wait, backoff(n))
		}
	}
}

func TestPlacesGoRound(t *testing.T) {
	t.Parallel()
	var targets []string
	for n := range maxLanes + 4 {
		targets = append(targets, target(n))
	}
	s := planOf(4, 40, targets...)
	sent := map[string]int{}
	for range 10 * len(targets) { // 480 rows, in rounds of at most 8 lanes
		for _, a := range s.pick(noon, always) {
			sent[a.lane.key.target]++
			end(s, accepted, a)
		}
		least, most := 40, 0
		for _, to := range targets {
			least, most = min(least, sent[to]), max(most, sent[to])
		}
		if most-least > 8 {
			t.Fatalf("one target has sent %d rows, another %d", most, least)
		}
	}
	for _, to := range targets {
		if sent[to] != 40 {
			t.Errorf("%d rows were sent to %.4s, want 40", sent[to], to)
		}
	}
	if len(s.lanes)+len(s.queue)+len(s.active)+len(s.flying) != 0 {
		t.Errorf("the empty schedule keeps %d lanes, %d in the queue, %d active, %d connections", len(s.lanes), len(s.queue), len(s.active), len(s.flying))
	}
}

// A lane that never pauses gives its place away after one window where others wait, and keeps it where none does.
func TestBusyLaneYields(t *testing.T) {
	t.Parallel()
	var targets []string
	for n := range maxLanes {
		targets = append(targets, target(n))
	}
	s := planOf(2, 20, targets...)
	first := s.pick(noon, always)
	if len(first) != 2*maxLanes {
		t.Fatalf("%d rows under way, want %d", len(first), 2*maxLanes)
	}
	// One of the two is answered: the window has room, and nobody waits.
	end(s, accepted, first[0])
	if more := s.pick(noon, always); len(more) != 1 {
		t.Errorf("%d rows follow without a rival, want 1", len(more))
	}
	s.add(laneKey{target: "rival"}, ref{seq: 999, enqueuedMs: noon.UnixMilli()})
	end(s, accepted, first[2])
	if more := s.pick(noon, always); more != nil {
		t.Errorf("rows %v take the place of a rival", seqs(more))
	}
	end(s, accepted, first[3])
	if more := s.pick(noon, always); len(more) != 1 || more[0].lane.key.target != "rival" {
		t.Errorf("rows %v follow, want the rival's", seqs(more))
	}
}

func TestExpireTakesTheOldest(t *testing.T) {
	t.Parallel()
	s := newSchedule()
	for i, to := range []string{"a", "a", "b"} {
		s.add(laneKey{target: to}, ref{seq: int64(i), enqueuedMs: int64(i)})
	}
	if old := s.expire(time.UnixMilli(0)); len(old) != 1 || old[0].seq != 0 {
		t.Errorf("got %v, want row 0", seqs(old))
	}
	if old := s.expire(time.UnixMilli(5)); len(old) != 2 || len(s.lanes) != 0 || len(s.queue) != 0 {
		t.Errorf("got %v, %d lanes and %d in the queue left; want 2 rows and nothing", seqs(old), len(s.lanes), len(s.queue))
	}
	if old := s.expire(time.UnixMilli(5)); old != nil {
		t.Errorf("got %v of nothing", seqs(old))
	}
}

// A row that was put off does not wait for as long as the clock was set back since.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	earlier := noon.Add(-time.Hour)
	s := newSchedule()
	s.add(laneKey{target: "a"}, ref{seq: 1, nextMs: noon.UnixMilli()})
	if d, _ := s.wait(earlier, always); d > time.Millisecond {
		t.Errorf("the drain would sleep for %v", d)
	}
	soon := noon.Add(-maxBackoff)
	if picked := s.pick(soon, always); picked != nil {
		t.Errorf("got rows %v, want none before their time", seqs(picked))
	}
	if d, ok := s.wait(soon, always); !ok || d != maxBackoff {
		t.Errorf("the drain would sleep for %v, want %v", d, maxBackoff)
	}
	if picked := s.pick(earlier, always); len(picked) != 1 {
		t.Errorf("got rows %v after the clock was set back, want 1", seqs(picked))
	}
}
