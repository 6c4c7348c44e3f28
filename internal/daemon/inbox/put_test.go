package inbox

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestPutKeepsEveryField(t *testing.T) {
	t.Parallel()
	b := open(t)
	d := draft("one")
	d.Topic, d.ReplyTo, d.Priority, d.Subtype, d.TraceID, d.From.Verified = "#ops", "r-1", mesh.Low, "reminder", "trace", true
	d.NonceHash = []byte("hash")
	d.CreatedAt = time.UnixMilli(1_700_000_000_123)
	kept := put(t, b, d)
	read, err := b.Find(context.Background(), Only(first), kept.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kept, read); diff != "" {
		t.Errorf("read back (-put +read):\n%s", diff)
	}
	want := Row{
		Seq: 1, ClientID: "one", BrokerID: "broker-one", MeshID: "meshA", Mesh: "a", Topic: "#ops", Sender: alice, SenderMember: alice,
		SenderName: "alice", Recipient: first, RecipientKind: Session, Body: d.Body, ReplyTo: "r-1", Priority: mesh.Low, Subtype: "reminder",
		Encrypted: true, Verified: true, CreatedAt: d.CreatedAt, TraceID: "trace", BodyBytes: len(*d.Body),
	}
	if diff := cmp.Diff(want, read, cmpopts.IgnoreFields(Row{}, "ID", "ReceivedAt")); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if since := time.Since(read.ReceivedAt); since < 0 || since > time.Minute {
		t.Errorf("received %s ago", since)
	}
}

func TestPutOfWhatDidNotOpen(t *testing.T) {
	t.Parallel()
	b := open(t)
	d := draft("one")
	d.Body = nil
	if r := put(t, b, d); !r.Undecryptable || r.Body != nil {
		t.Errorf("got %+v, want it undecryptable without a body", r)
	}
	read, err := b.Find(context.Background(), All(), "one")
	if err != nil || !read.Undecryptable || read.Body != nil {
		t.Errorf("read %+v, %v; want it undecryptable without a body", read, err)
	}
}

func TestPutVerdicts(t *testing.T) {
	t.Parallel()
	hash := func(s string) []byte { sum := sha256.Sum256([]byte(s)); return sum[:] }
	for name, c := range map[string]struct {
		change func(*Draft)
		want   Verdict
	}{
		"the same again":                     {func(*Draft) {}, Duplicate},
		"the same under another session key": {func(d *Draft) { d.From.Key = second }, Duplicate},
		"another session":                    {func(d *Draft) { d.To, d.NonceHash = second, hash("other") }, New},
		"its member, as another message": {func(d *Draft) {
			d.To, d.Kind, d.BrokerID, d.NonceHash = second, Member, "broker-other", hash("other")
		}, New},
		"its member, which it was left to":     {func(d *Draft) { d.To, d.Kind, d.NonceHash = second, Member, nil }, Duplicate},
		"another id":                           {func(d *Draft) { d.ClientID, d.NonceHash = "two", hash("other") }, New},
		"another sender":                       {func(d *Draft) { d.From.Key, d.From.Member, d.NonceHash = second, second, hash("other") }, New},
		"another mesh":                         {func(d *Draft) { d.MeshID, d.NonceHash = "meshB", hash("other") }, New},
		"the box again under another id":       {func(d *Draft) { d.ClientID = "two" }, Replayed},
		"plain text again under another id":    {func(d *Draft) { d.ClientID, d.NonceHash = "two", nil }, New},
		"the id again in another sender's box": {func(d *Draft) { d.NonceHash = hash("other") }, Duplicate},
	} {
		b := open(t)
		d := draft("one")
		d.NonceHash = hash("nonce")
		put(t, b, d)
		c.change(&d)
		changed := b.Changed()
		r, v, err := b.Put(context.Background(), d)
		if err != nil || v != c.want || (r.Seq != 0) != (c.want == New) {
			t.Errorf("%s: verdict %d, row %d, %v; want %d", name, v, r.Seq, err, c.want)
		}
		select {
		case <-changed:
			if c.want != New {
				t.Errorf("%s was announced", name)
			}
		default:
			if c.want == New {
				t.Errorf("%s was not announced", name)
			}
		}
	}
}

// A sender that is told only by its session key is one author with itself.
func TestPutWithoutMemberKey(t *testing.T) {
	t.Parallel()
	b := open(t)
	d := draft("one")
	d.From.Member = ""
	put(t, b, d)
	if _, v, err := b.Put(context.Background(), d); v != Duplicate || err != nil {
		t.Errorf("verdict %d, %v; want a duplicate", v, err)
	}
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	b := open(t)
	for name, spoil := range map[string]func(*Draft){
		"no mesh":      func(d *Draft) { d.MeshID = "" },
		"no id":        func(d *Draft) { d.ClientID = "" },
		"no sender":    func(d *Draft) { d.From.Key = "" },
		"no recipient": func(d *Draft) { d.To = "" },
		"no kind":      func(d *Draft) { d.Kind = "" },
		"bad priority": func(d *Draft) { d.Priority = "soon" },
	} {
		d := draft("one")
		spoil(&d)
		if _, _, err := b.Put(context.Background(), d); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("%s: got %v, want %s", name, err, mesh.BadRequest)
		}
	}
}

func TestPutSurvivesReopening(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "inbox.db")
	b, err := Open(context.Background(), optionsAt(path, time.Now))
	if err != nil {
		t.Fatal(err)
	}
	d := draft("one")
	d.NonceHash = []byte("hash")
	put(t, b, d)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = openAt(t, path, time.Now)
	if _, v, err := b.Put(context.Background(), d); v != Duplicate || err != nil {
		t.Errorf("after reopening: verdict %d, %v; want a duplicate", v, err)
	}
	if r := put(t, b, draft("two")); r.Seq != 2 {
		t.Errorf("the next row has seq %d, want 2", r.Seq)
	}
}

func TestPutOfOneByMany(t *testing.T) {
	t.Parallel()
	b := open(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[Verdict]int{}
	for range 20 {
		wg.Go(func() {
			_, v, err := b.Put(context.Background(), draft("one"))
			if err != nil {
				t.Errorf("put: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			count[v]++
		})
	}
	wg.Wait()
	if diff := cmp.Diff(map[Verdict]int{New: 1, Duplicate: 19}, count); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

func TestPruneKeepsNonces(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	b := openAt(t, filepath.Join(t.TempDir(), "inbox.db"), func() time.Time { return now })
	ctx := context.Background()
	for i := range pruneBatch + 5 {
		d := draft(mesh.ClientID(fmt.Sprintf("old-%d", i)))
		if i == 0 {
			d.NonceHash = []byte("hash")
		}
		if _, _, err := b.Put(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Claim(ctx, Surface{ID: "s", Scope: Only(first)}, 10, nil); err != nil {
		t.Fatal(err)
	}
	now = now.Add(keepRows)
	put(t, b, draft("young"))
	if n, err := b.prune(ctx); n != 0 || err != nil {
		t.Errorf("at exactly 30 days %d rows went, %v; want none", n, err)
	}
	now = now.Add(time.Millisecond)
	if n, err := b.prune(ctx); n != pruneBatch+5 || err != nil {
		t.Errorf("%d rows went, %v; want %d", n, err, pruneBatch+5)
	}
	rows, err := b.After(ctx, All(), 0, 1000)
	if err != nil || len(rows) != 1 || rows[0].ClientID != "young" {
		t.Errorf("%d rows are left, %v; want the young one", len(rows), err)
	}
	replay := draft("again")
	replay.NonceHash = []byte("hash")
	if _, v, err := b.Put(ctx, replay); v != Replayed || err != nil {
		t.Errorf("a pruned box again: verdict %d, %v; want replayed", v, err)
	}
	if n, err := b.Unconfirmed(ctx, "s"); n != 0 || err != nil {
		t.Errorf("%d offers of pruned rows are left, %v; want none", n, err)
	}
}

func TestLesson135RunPrunesEveryHour(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "inbox.db")
	synctest.Test(t, func(t *testing.T) {
		b, err := Open(context.Background(), optionsAt(path, time.Now))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}()
		put(t, b, draft("one"))
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		<-time.After(keepRows + pruneEvery + time.Minute)
		rows, err := b.After(context.Background(), All(), 0, 10)
		if err != nil || len(rows) != 0 {
			t.Errorf("%d rows after 30 days, %v; want none", len(rows), err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// BenchmarkPut is the durable part of a delivery.
func BenchmarkPut(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			in := open(b)
			body := string(make([]byte, 1024))
			work := make(chan int, b.N)
			for i := range b.N {
				work <- i
			}
			close(work)
			done := make(chan error, writers)
			b.ResetTimer()
			for range writers {
				go func() {
					for i := range work {
						d := draft(mesh.ClientID(fmt.Sprint(i)))
						sum := sha256.Sum256([]byte(d.ClientID))
						d.Body, d.NonceHash = &body, sum[:]
						if _, _, err := in.Put(context.Background(), d); err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
			}
			for range writers {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
