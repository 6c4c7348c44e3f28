package outbox

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// apply notes a page of receipts.
func apply(t testing.TB, o *Outbox, receipts ...Receipt) {
	t.Helper()
	if _, _, err := o.ApplyReceipts(context.Background(), meshA, receipts, true); err != nil {
		t.Fatalf("apply receipts: %v", err)
	}
}

func receipt(seq int64, id mesh.ClientID, to mesh.Key, s mesh.State) Receipt {
	r := protocol.Receipt{Seq: seq, MessageID: "bm-" + mesh.ID(id), ClientMessageID: id, Recipient: to, State: s, At: "2026-01-02T03:04:05.678Z"}
	read := s == mesh.StateSurfaced || s == mesh.StateAcknowledged
	return Receipt{Receipt: r, Proved: read, Known: read, Signed: time.UnixMilli(1_767_323_045_678)}
}

func message1(t testing.TB, o *Outbox, id string) Message {
	t.Helper()
	m, err := o.Status(context.Background(), id, "")
	if err != nil {
		t.Fatalf("status of %s: %v", id, err)
	}
	return m
}

func TestStateOfOneRecipient(t *testing.T) {
	t.Parallel()
	o := open(t)
	accept(t, o, draft("one", bob, "hello"))
	steps := []struct {
		do   func()
		want mesh.State
	}{
		{func() {}, mesh.StateQueued},
		{func() { force(t, o, "one", Row{Status: Inflight}) }, mesh.StateQueued},
		{func() { force(t, o, "one", Row{Status: Done, BrokerID: "bm-one"}) }, mesh.StateAccepted},
		{func() { apply(t, o, receipt(1, "one", bob, mesh.StateDelivered)) }, mesh.StateDelivered},
		{func() { apply(t, o, receipt(2, "one", bob, mesh.StateAccepted)) }, mesh.StateDelivered},
		{func() { apply(t, o, receipt(3, "one", bob, mesh.StateAcknowledged)) }, mesh.StateAcknowledged},
		{func() { apply(t, o, receipt(4, "one", bob, mesh.StateSurfaced)) }, mesh.StateAcknowledged},
	}
	for i, step := range steps {
		step.do()
		m := message1(t, o, "one")
		if m.State != step.want || len(m.Recipients) != 1 || m.Recipients[0].State != step.want || m.Recipients[0].Key != bob || m.Recipients[0].Name != "bob" {
			t.Errorf("step %d: got %s of %+v, want %s", i, m.State, m.Recipients, step.want)
		}
	}
	if at := message1(t, o, "one").Recipients[0].At; at.UTC().Format(mesh.TimeFormat) != "2026-01-02T03:04:05.678Z" {
		t.Errorf("time of the receipt is %s", at)
	}
}

func TestStatusNamesWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	o := open(t)
	accept(t, o, draft("first", bob, "hello"))
	accept(t, o, draft("second", bob, "hello again"))
	accept(t, o, draft("elsewhere", carol, "hello"))
	other := draft("another-sender", bob, "hello")
	other.Sender = carol
	accept(t, o, other)
	if got := message1(t, o, "second").Behind; got != nil {
		t.Errorf("before anything was tried the second waits behind %+v, want nothing", got)
	}
	force(t, o, "first", Row{Status: Pending, LastError: "storage_full"})
	want := &localapi.Obstacle{ClientMessageID: "first", Reason: "storage_full"}
	if diff := cmp.Diff(want, message1(t, o, "second").Behind); diff != "" {
		t.Errorf("what the second waits behind (-want +got):\n%s", diff)
	}
	for _, id := range []string{"first", "elsewhere", "another-sender"} {
		if got := message1(t, o, id).Behind; got != nil {
			t.Errorf("%s waits behind %+v, want nothing", id, got)
		}
	}
	force(t, o, "first", Row{Status: Dead, LastError: "payload_too_large"})
	if got := message1(t, o, "second").Behind; got != nil {
		t.Errorf("after the first was given up the second waits behind %+v, want nothing", got)
	}
}

func TestStateOfFailedRows(t *testing.T) {
	t.Parallel()
	o := open(t)
	for id, c := range map[mesh.ClientID]struct {
		status Status
		reason string
		want   mesh.State
	}{
		"refused": {Dead, "target_not_found: no", mesh.StateRejected},
		"late":    {Dead, string(mesh.MaxAge), mesh.StateExpired},
		"aborted": {Aborted, "", mesh.StateRejected},
	} {
		accept(t, o, draft(id, bob, "hello"))
		force(t, o, id, Row{Status: c.status, LastError: c.reason})
		if c.status == Aborted {
			c.reason = "cancelled"
		}
		if m := message1(t, o, string(id)); m.State != c.want || m.Recipients[0].Reason != c.reason {
			t.Errorf("%s: got %s because of %q, want %s", id, m.State, m.Recipients[0].Reason, c.want)
		}
	}
	// The broker's word that it arrived is worth more than that no ack came.
	apply(t, o, receipt(1, "late", bob, mesh.StateDelivered))
	if m := message1(t, o, "late"); m.State != mesh.StateDelivered {
		t.Errorf("given up, yet delivered: got %s, want %s", m.State, mesh.StateDelivered)
	}
}

func TestStateOfManyRecipients(t *testing.T) {
	t.Parallel()
	o := open(t)
	d := draft("all", "*", "hello")
	d.Recipient = ""
	accept(t, o, d)
	force(t, o, "all", Row{Status: Done, BrokerID: "bm-all"})
	setMailboxes(t, o, "all", 2)
	check := func(want mesh.State, copies int) {
		t.Helper()
		if m := message1(t, o, "all"); m.State != want || len(m.Recipients) != copies {
			t.Errorf("got %s of %d recipients, want %s of %d", m.State, len(m.Recipients), want, copies)
		}
	}
	check(mesh.StateAccepted, 0)
	apply(t, o, receipt(1, "all", bob, mesh.StateDelivered))
	check(mesh.StateAccepted, 1) // of the other nobody has told
	apply(t, o, receipt(2, "all", carol, mesh.StateAcknowledged))
	check(mesh.StateDelivered, 2)
	apply(t, o, receipt(3, "all", bob, mesh.StateExpired))
	check(mesh.StateExpired, 2)
}

func TestReceiptsOfOthers(t *testing.T) {
	t.Parallel()
	o := open(t)
	accept(t, o, draft("one", bob, "hello"))
	force(t, o, "one", Row{Status: Done, BrokerID: "bm-one"})
	ctx := context.Background()
	if _, _, err := o.ApplyReceipts(ctx, "meshB", []Receipt{receipt(9, "one", bob, mesh.StateDelivered)}, true); err != nil {
		t.Fatal(err)
	}
	apply(t, o, receipt(5, "unknown", bob, mesh.StateDelivered), receipt(6, "one", bob, "nonsense"), receipt(7, "one", "", mesh.StateDelivered))
	if m := message1(t, o, "one"); m.State != mesh.StateAccepted {
		t.Errorf("receipts of other messages moved this one to %s", m.State)
	}
	byID := receipt(8, "", bob, mesh.StateDelivered)
	byID.MessageID, byID.At = "bm-one", "yesterday"
	apply(t, o, byID)
	if m := message1(t, o, "one"); m.State != mesh.StateDelivered || m.Recipients[0].At.IsZero() {
		t.Errorf("a receipt by the broker's id: got %+v, want it delivered now", m.Recipients)
	}
	for meshID, want := range map[mesh.ID]int64{meshA: 8, "meshB": 9, "meshC": 0} {
		if got, err := o.LastReceipt(ctx, meshID); got != want || err != nil {
			t.Errorf("last receipt of %s is %d, %v; want %d", meshID, got, err, want)
		}
	}
	apply(t, o, receipt(3, "one", bob, mesh.StateDelivered))
	if got, _ := o.LastReceipt(ctx, meshA); got != 8 {
		t.Errorf("last receipt went back to %d", got)
	}
}

func TestStatusFinds(t *testing.T) {
	t.Parallel()
	o := open(t)
	accept(t, o, draft("0190aaaa-first", bob, "hello"))
	accept(t, o, draft("0190aaaa-second", bob, "hello"))
	accept(t, o, draft("short", bob, "hello"))
	force(t, o, "0190aaaa-first", Row{Status: Done, BrokerID: "brokerXYZ123"})
	for id, want := range map[string]mesh.ClientID{
		"0190aaaa-first": "0190aaaa-first", "0190aaaa-s": "0190aaaa-second", "short": "short",
		"brokerXYZ123": "0190aaaa-first", "brokerXY": "0190aaaa-first",
	} {
		if m := message1(t, o, id); m.ClientID != want {
			t.Errorf("%s found %s, want %s", id, m.ClientID, want)
		}
	}
	for id, want := range map[string]mesh.Code{
		"0190aaaa": mesh.BadRequest, "": mesh.BadRequest, "0190aa": mesh.NotFound, "brokerX": mesh.NotFound,
		"brokerXYZ1234": mesh.NotFound, "0190aaa%": mesh.NotFound,
	} {
		if m, err := o.Status(context.Background(), id, ""); !mesh.IsCode(err, want) {
			t.Errorf("%q found %s, %v; want %s", id, m.ClientID, err, want)
		}
	}
	want := "0190aaaa means several messages, such as 0190aaaa-first and 0190aaaa-second: give more of the id"
	if _, err := o.Status(context.Background(), "0190aaaa", ""); err == nil || err.Error() != want {
		t.Errorf("a prefix of two: got %v, want %q", err, want)
	}
	if _, err := o.Status(context.Background(), "short", "b"); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("in another mesh: %v, want %s", err, mesh.NotFound)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	o := open(t)
	for _, id := range []mesh.ClientID{"one", "two", "three"} {
		accept(t, o, draft(id, bob, "hello"))
	}
	force(t, o, "two", Row{Status: Dead, LastError: "refused"})
	ids := func(f Filter) []mesh.ClientID {
		rows, err := o.List(context.Background(), f)
		if err != nil {
			t.Fatalf("list %+v: %v", f, err)
		}
		var all []mesh.ClientID
		for _, r := range rows {
			all = append(all, r.ClientID)
		}
		return all
	}
	for _, c := range []struct {
		filter Filter
		want   []mesh.ClientID
	}{
		{Filter{}, []mesh.ClientID{"three", "two", "one"}},
		{Filter{Limit: 1}, []mesh.ClientID{"three"}},
		{Filter{Status: Dead}, []mesh.ClientID{"two"}},
		{Filter{Mesh: "b"}, nil},
	} {
		if diff := cmp.Diff(c.want, ids(c.filter)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.filter, diff)
		}
	}
	for _, req := range []localapi.OutboxRequest{{Status: "lost"}, {Limit: -1}, {Limit: 501}} {
		if _, err := ParseFilter(req); !mesh.IsCode(err, mesh.BadRequest) {
			t.Errorf("%+v: got %v, want %s", req, err, mesh.BadRequest)
		}
	}
}

func TestReflected(t *testing.T) {
	t.Parallel()
	o := open(t)
	accept(t, o, draft("one", bob, "hello"))
	d := draft("all", "*", "hello")
	d.Recipient = ""
	accept(t, o, d)
	for _, c := range []struct {
		nonce string
		at    mesh.Key
		want  bool
	}{{"n-one", carol, true}, {"n-one", bob, false}, {"n-other", carol, false}, {"n-all", carol, false}} {
		if got, err := o.Reflected(context.Background(), c.nonce, c.at); got != c.want || err != nil {
			t.Errorf("%s at %.4s: reflected %t, %v; want %t", c.nonce, c.at, got, err, c.want)
		}
	}
}

// What goes to many comes to everyone but the key that sent it.
func TestBounced(t *testing.T) {
	t.Parallel()
	o := open(t)
	for id, sender := range map[mesh.ClientID]mesh.Key{"member": "", "session": sess} {
		d := draft(id, "*", "hello")
		d.Recipient, d.Sender = "", sender
		accept(t, o, d)
	}
	box := draft("box", bob, "hello")
	box.Sender = sess
	accept(t, o, box)
	for _, c := range []struct {
		id    mesh.ClientID
		nonce string
		at    mesh.Key
		want  bool
	}{
		{"member", "n-member", "", true}, {"member", "n-member", sess, false}, {"member", "n-other", "", false}, {"other", "n-member", "", false},
		{"session", "n-session", sess, true}, {"session", "n-session", "", false}, {"session", "n-session", carol, false}, {"box", "n-box", sess, false},
	} {
		if got, err := o.Bounced(context.Background(), c.id, c.nonce, c.at); got != c.want || err != nil {
			t.Errorf("%s with %s at %.4q: bounced %t, %v; want %t", c.id, c.nonce, c.at, got, err, c.want)
		}
	}
}

func TestDropMesh(t *testing.T) {
	t.Parallel()
	o := open(t)
	accept(t, o, draft("one", bob, "hello"))
	other := draft("two", bob, "hello")
	other.MeshID = "meshB"
	accept(t, o, other)
	if n, err := o.DropMesh(context.Background(), meshA); n != 1 || err != nil {
		t.Errorf("dropped %d rows, %v; want 1", n, err)
	}
	if r := row(t, o, "one"); r.Status != Dead || r.LastError != string(mesh.NoBrokerForMesh) {
		t.Errorf("the row is %s %q, want dead %s", r.Status, r.LastError, mesh.NoBrokerForMesh)
	}
	if got := statuses(t, o, "two")[0]; got != Pending {
		t.Errorf("the other mesh's row is %s, want pending", got)
	}
	if n, err := o.Pending(context.Background(), "meshB"); n != 1 || err != nil {
		t.Errorf("%d rows wait for the other mesh, %v; want 1", n, err)
	}
}

func TestWait(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.delay = time.Second
		accept(t, o, draft("one", bob, "hello"))
		defer start(t, o, s)()
		begin := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		m, err := o.Wait(ctx, "one", mesh.StateAccepted)
		if err != nil || m.State != mesh.StateAccepted || time.Since(begin) != time.Second {
			t.Errorf("waited %s and got %s, %v; want %s after 1 s", time.Since(begin), m.State, err, mesh.StateAccepted)
		}
		go func() {
			<-time.After(5 * time.Second)
			apply(t, o, receipt(1, "one", bob, mesh.StateDelivered))
		}()
		m, err = o.Wait(ctx, "one", mesh.StateDelivered)
		if err != nil || m.State != mesh.StateDelivered || time.Since(begin) != 6*time.Second {
			t.Errorf("waited until %s and got %s, %v; want %s after 6 s", time.Since(begin), m.State, err, mesh.StateDelivered)
		}
		m, err = o.Wait(ctx, "one", mesh.StateSurfaced)
		if !mesh.IsCode(err, mesh.WaitTimeout) || m.State != mesh.StateDelivered || time.Since(begin) != time.Minute {
			t.Errorf("waited until %s and got %s, %v; want %s at the deadline", time.Since(begin), m.State, err, mesh.WaitTimeout)
		}
		if len(o.watch.waiting) != 0 {
			t.Errorf("%d messages are still watched", len(o.watch.waiting))
		}
	})
}

func TestWaitEndsWithAFailure(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, s *scripted) {
		s.script = func(int, protocol.SendRequest) answer { return answer{code: mesh.Forbidden} }
		accept(t, o, draft("one", bob, "hello"))
		defer start(t, o, s)()
		m, err := o.Wait(context.Background(), "one", mesh.StateDelivered)
		if err != nil || m.State != mesh.StateRejected {
			t.Errorf("got %s, %v; want %s", m.State, err, mesh.StateRejected)
		}
	})
}

func TestWaitRefuses(t *testing.T) {
	inBubble(t, func(t *testing.T, o *Outbox, _ *scripted) {
		accept(t, o, draft("one", bob, "hello"))
		ctx, cancel := context.WithCancel(context.Background())
		if _, err := o.Wait(ctx, "none", mesh.StateAccepted); !mesh.IsCode(err, mesh.NotFound) {
			t.Errorf("an unknown message: got %v, want %s", err, mesh.NotFound)
		}
		for _, want := range []mesh.State{"", "soon", mesh.StateExpired} {
			if _, err := o.Wait(ctx, "one", want); !mesh.IsCode(err, mesh.BadRequest) {
				t.Errorf("state %q: got %v, want %s", want, err, mesh.BadRequest)
			}
		}
		time.AfterFunc(time.Second, cancel)
		if m, err := o.Wait(ctx, "one", mesh.StateAccepted); !mesh.IsCode(err, mesh.Cancelled) || m.State != mesh.StateQueued {
			t.Errorf("a cancelled wait: got %s, %v; want %s", m.State, err, mesh.Cancelled)
		}
		synctest.Wait()
	})
}

// The receipt of a delivery may overtake the ack. Who waits for it is told the broker's id with it.
func TestReceiptBeforeTheAckBringsTheID(t *testing.T) {
	t.Parallel()
	o := open(t)
	accept(t, o, draft("early", bob, "x"))
	receipt := Receipt{Receipt: protocol.Receipt{Seq: 1, MessageID: "broker-id", ClientMessageID: "early", Recipient: bob, State: mesh.StateDelivered}}
	apply(t, o, receipt)
	m, err := o.Wait(context.Background(), "early", mesh.StateDelivered)
	if err != nil || m.BrokerID != "broker-id" || m.State != mesh.StateDelivered {
		t.Errorf("got %s %q, %v, want delivered with the broker's id", m.State, m.BrokerID, err)
	}
}
