package pathway

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func open(t *testing.T, records ...Record) (*Book, *clock) {
	t.Helper()
	c := &clock{time.Unix(1_800_000_000, 0)}
	b := New(Options{Now: c.now, Records: func(context.Context, string) ([]Record, error) { return records, nil }})
	if err := b.Load(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	return b, c
}

func wantPath(t *testing.T, b *Book, when, want string) {
	t.Helper()
	if got := b.Choose("s"); got != want {
		t.Errorf("%s: got the path %s, want %s", when, got, want)
	}
}

// The first path that is there and was not found to show nothing is taken.
func TestChoose(t *testing.T) {
	t.Parallel()
	b, c := open(t)
	wantPath(t, b, "nothing is there", localapi.PathPoll)
	b.Open("s", []string{localapi.PathTool, localapi.PathPoll})
	wantPath(t, b, "tools", localapi.PathTool)
	b.Heard("s", "SessionStart")
	wantPath(t, b, "hooks", localapi.PathHook)
	b.Open("s", []string{localapi.PathSocket, localapi.PathChannel})
	wantPath(t, b, "an inbox", localapi.PathSocket)
	b.Failed("s", localapi.PathSocket, "it is closed")
	wantPath(t, b, "the inbox failed", localapi.PathChannel)
	b.Doubt("s", localapi.PathChannel)
	wantPath(t, b, "the channel showed nothing", localapi.PathHook)
	c.at = c.at.Add(failTime)
	wantPath(t, b, "the inbox is tried again", localapi.PathSocket)
	b.Failed("s", localapi.PathSocket, "it is closed")
	b.Offered("s", localapi.PathSocket, 1)
	wantPath(t, b, "the inbox took something", localapi.PathSocket)
	b.Close("s")
	wantPath(t, b, "our server has gone", localapi.PathHook)
	b.Doubt("s", localapi.PathHook)
	wantPath(t, b, "what is doubtful is better than nothing", localapi.PathHook)
	b.Open("s", []string{localapi.PathChannel})
	b.Proved("s", []string{localapi.PathChannel})
	wantPath(t, b, "a late proof takes the doubt away", localapi.PathChannel)
	b.Doubt("s", localapi.PathChannel)
	wantPath(t, b, "what is proved is not doubted", localapi.PathChannel)
	if got := b.Choose("nobody"); got != localapi.PathPoll {
		t.Errorf("an unknown session: got %s, want %s", got, localapi.PathPoll)
	}
}

// A turn that ended is told with its beginning, once: what was offered before that and not seen is not going to be.
func TestTurns(t *testing.T) {
	t.Parallel()
	b, c := open(t)
	heard := func(event string, want time.Time) {
		t.Helper()
		if got := b.Heard("s", event); !got.Equal(want) {
			t.Errorf("%s: got the turn of %v, want %v", event, got, want)
		}
		c.at = c.at.Add(time.Second)
	}
	if b.Provable("s") {
		t.Error("without hooks something is provable")
	}
	began := c.at
	heard("UserPromptSubmit", time.Time{})
	if !b.Provable("s") || b.Rests("s") {
		t.Errorf("provable %v, rests %v, want a session that works and has hooks", b.Provable("s"), b.Rests("s"))
	}
	heard("PostToolUse", time.Time{})
	heard("Stop", began)
	if !b.Rests("s") {
		t.Error("it does not rest after its turn")
	}
	heard("Stop", time.Time{})
	b.GoesOn("s")
	again := c.at
	if b.Rests("s") {
		t.Error("it rests though its hook made it go on")
	}
	heard("Stop", again)
}

// What is shown is what was recorded before, and what happened since.
func TestView(t *testing.T) {
	t.Parallel()
	first := time.Unix(1_700_000_000, 0)
	b, c := open(t, Record{Path: localapi.PathSocket, Offered: 3, Surfaced: 2, First: first, Last: first.Add(time.Hour)})
	b.Open("s", []string{localapi.PathSocket, localapi.PathPoll})
	b.Heard("s", "Stop")
	b.Doubt("s", localapi.PathHook)
	b.Offered("s", localapi.PathSocket, 1)
	b.Proved("s", []string{localapi.PathSocket})
	now := mesh.FormatTime(c.at)
	want := localapi.SessionPaths{Chosen: localapi.PathSocket, Wakes: true, LastHook: now, Paths: []localapi.Path{
		{Path: "socket", State: "proved", Since: mesh.FormatTime(first), Offered: 4, Surfaced: 3, LastSeen: now},
		{Path: "channel", State: "unusable", Reason: missing["channel"]},
		{Path: "hook", State: "doubtful", Since: now, Reason: "a message that was offered by it was not seen within a whole turn"},
		{Path: "tool", State: "unusable", Reason: missing["tool"]},
		{Path: "poll", State: "usable", Since: now},
	}}
	if diff := cmp.Diff(want, b.View("s")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if diff := cmp.Diff([]string{"channel", "hook", "tool", "poll"}, b.Untried("s")); diff != "" {
		t.Errorf("untried, -want +got\n%s", diff)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	fail := true
	b := New(Options{Now: time.Now, Records: func(context.Context, string) ([]Record, error) {
		if fail {
			return nil, broken
		}
		return nil, nil
	}})
	if err := b.Load(t.Context(), "s"); !errors.Is(err, broken) {
		t.Errorf("got %v, want what failed", err)
	}
	b.Heard("s", "Stop")
	fail = false
	if err := b.Load(t.Context(), "s"); err != nil || b.Provable("s") {
		t.Errorf("got %v, provable %v, want a session of which nothing is known", err, b.Provable("s"))
	}
	changed := b.Changed()
	b.Open("s", []string{localapi.PathSocket})
	select {
	case <-changed:
	default:
		t.Error("who waits for another path is not told")
	}
	if !b.Says("s") {
		t.Error("the process in the session said which paths it has")
	}
	b.Retain(func(string) bool { return false })
	if b.Says("s") {
		t.Error("a session that is not kept is known")
	}
}
