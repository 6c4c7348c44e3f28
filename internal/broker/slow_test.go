package broker

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/claudemesh/claudemesh/internal/protocol"
)

// A client that asks and does not read is cut with a code that says so; others do not notice, and what waits for it
// comes to its next connection, once and in order.
func TestSlowConsumerIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer // read after the broker wrote its last line
		s := bubbleSite(t, func(o *Options) {
			o.Log = slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelWarn}))
		})
		m := s.found(t)
		bob := m.join(t, m.invite(t, 1), "bob")
		slow := s.upgradeRaw(t)
		write := func(frame []byte) {
			t.Helper()
			if _, err := slow.Write(append(clientFrame(0x81, uint64(len(frame)), 0), frame...)); err != nil {
				t.Fatal(err)
			}
		}
		write(m.hello(bob, nil))
		pass(time.Second)
		alice := m.enter(t, m.first, nil)
		const messages = 100
		for i := range messages {
			if ack := alice.sendTo(t, bob.pub(), fmt.Sprint(i), 1000); !ack.Queued {
				t.Fatalf("message %d: got %+v", i, ack)
			}
		}
		long := strings.Repeat("x", 60_000) // comes back with each answer
		for i := range maxWaitingBytes/len(long) + 3 {
			write(fmt.Appendf(nil, `{"type":"list_peers","_reqId":"%d%s"}`, i, long))
		}
		synctest.Wait()
		alice.send(t, []byte(`{"type":"list_peers","_reqId":"1"}`))
		alice.nextOf(t, "peers_list")
		if code := slow.closeCode(t); code != 4100 {
			t.Errorf("closed with %d, want 4100", code)
		}
		_ = slow.Close()
		synctest.Wait()

		pass(time.Minute)
		again := m.enter(t, bob, nil)
		for i := range messages {
			want := fmt.Sprintf(`"client_message_id":"%d"`, i)
			if got := again.nextOf(t, "push"); !strings.Contains(got, want) {
				t.Fatalf("push %d: got %s, want %s", i, got, want)
			}
			again.send(t, fmt.Appendf(nil, `{"type":"client_ack","clientMessageId":"%d"}`, i))
		}
		pass(time.Minute)
		for len(again.frames) > 0 {
			if got := again.next(t); strings.Contains(got, `"type":"push"`) {
				t.Errorf("got %s a second time", got)
			}
		}
		req := s.request(t, http.MethodGet, protocol.PathMetrics, nil)
		req.Header.Set("Authorization", "Bearer "+s.token)
		if _, body := s.do(t, req); !strings.Contains(body, "\n"+protocol.MetricSlow.Name+" 1\n") {
			t.Errorf("the slow consumer was not counted:\n%s", body)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if got := lines.String(); strings.Count(got, "slow consumer was cut") != 1 || !strings.Contains(got, string(bob.id)) {
			t.Errorf("got the log\n%s\nwant one line about bob", got)
		}
	})
}
