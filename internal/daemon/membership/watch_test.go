package membership

import (
	"context"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// watching runs a watch and returns the channel on which it reports; the test's end stops it.
func watching(t *testing.T, w watch) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	calls, done := make(chan struct{}, 16), make(chan error, 1)
	go func() { done <- w.run(ctx, func() { calls <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("got %v, want nil at the end", err)
		}
	})
	return calls
}

func want(t *testing.T, calls <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-calls:
	case <-time.After(10 * time.Second):
		t.Fatalf("got no call, want one: %s", why)
	}
}

func wantNone(t *testing.T, calls <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-calls:
		t.Fatalf("got a call, want none: %s", why)
	default:
	}
}

func TestWatchReports(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	calls := watching(t, watch{b, 20 * time.Millisecond, time.Hour})
	want(t, calls, "the start")
	if err := b.Add(newMesh("m1", "one")); err != nil {
		t.Fatal(err)
	}
	want(t, calls, "a mesh was added")
	writeConfig(t, b, `{"version":1,"meshes":[`, 0o600)
	want(t, calls, "the file became unreadable")
	writeConfig(t, b, `{"version":1,"meshes":[]}`, 0o600)
	want(t, calls, "the file was mended")
	if err := os.Remove(b.Path()); err != nil {
		t.Fatal(err)
	}
	want(t, calls, "the file is gone")
	wantNone(t, calls, "nothing more happened")
}

func TestWatchPolls(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	calls := watching(t, watch{b, time.Hour, 10 * time.Millisecond})
	want(t, calls, "the start")
	writeConfig(t, b, `{"version":1,"meshes":[]}`, 0o600)
	want(t, calls, "the poll sees what the system did not report")
}

func TestWatchIsQuietAboutTheSame(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	if err := b.Add(newMesh("m1", "one")); err != nil {
		t.Fatal(err)
	}
	calls := watching(t, watch{b, 5 * time.Millisecond, 5 * time.Millisecond})
	want(t, calls, "the start")
	data, err := os.ReadFile(b.Path())
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		writeConfig(t, b, string(data), 0o600)
	}
	if _, err := b.Remove("one"); err != nil {
		t.Fatal(err)
	}
	want(t, calls, "the mesh was removed")
	wantNone(t, calls, "the other writes changed nothing")
}

// A bubble's clock goes on only while nothing waits for the system.
func TestPollOnlyWaitsForTimeAlone(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	b.PollOnly()
	synctest.Test(t, func(t *testing.T) {
		calls := watching(t, watch{b, watchSettle, watchPoll})
		<-calls
		writeConfig(t, b, `{"version":1,"meshes":[]}`, 0o600)
		began := time.Now()
		<-calls
		if took := time.Since(began); took > watchPoll {
			t.Errorf("got the call after %v, want it within %v", took, watchPoll)
		}
	})
}
