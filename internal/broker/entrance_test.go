package broker

import (
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/rig/script"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// entrance is the hello of a client of others: "bob" and "bob2" are sessions of bob, "bobd" is his daemon. In the first
// generation all say a plain hello, each with a session key; in the later one sessions prove theirs, and the daemon has
// none (wire 2.1, 2.2). More is an object of what the hello has besides.
func (v *conversation) entrance(t *testing.T, client, more string) []byte {
	t.Helper()
	name := strings.TrimRight(client, "2d")
	p := v.people[name]
	key := map[string]string{"": "s1", "2": "s2", "d": "d"}[client[len(name):]]
	presence := protocol.Presence{
		DisplayName: client, SessionID: "session-" + client, PID: 4711, CWD: "/home/" + name, Hostname: "box", PeerType: "ai", Channel: "claude-code",
	}
	if key == "d" {
		presence.Channel = "claudemesh-daemon"
	}
	v.entered++
	now := v.site.now().UnixMilli() + v.entered
	if v.generation == script.Later && key != "d" {
		presence.Channel = "claudemesh-session"
		return v.team.sessionHello(p, keyOf(name+"."+key), func(r *protocol.SessionHelloRequest) {
			r.Capabilities, r.Presence, r.Timestamp = nil, presence, now
			v.adds(t, more, r)
		})
	}
	return v.team.hello(p, func(r *protocol.HelloRequest) {
		r.Capabilities, r.Presence, r.Timestamp = nil, presence, now
		if v.generation == script.Seed {
			r.SessionPubkey = keyOf(name + "." + key).Public().String()
		}
		v.adds(t, more, r)
	})
}

// adds puts the members of an object into a hello.
func (v *conversation) adds(t *testing.T, more string, hello any) {
	t.Helper()
	if more == "" {
		return
	}
	if err := wire.Decode([]byte(more), hello); err != nil {
		t.Fatalf("%s: %v", more, err)
	}
}
