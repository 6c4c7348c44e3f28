package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/broker/queue"
	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// design B4
func TestRoles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		presence protocol.Presence
		session  mesh.Key
		want     mesh.PeerRole
	}{
		{protocol.Presence{Channel: "claudemesh-daemon"}, "", mesh.ControlPlane},
		{protocol.Presence{Channel: "claudemesh-daemon"}, "k", mesh.SessionRole},
		{protocol.Presence{Channel: "claude-code"}, "", mesh.SessionRole},
		{protocol.Presence{Channel: "claudemesh-session"}, "k", mesh.SessionRole},
		{protocol.Presence{Channel: "telegram", PeerType: "bridge"}, "", mesh.ServiceRole},
		{protocol.Presence{Channel: "bridge"}, "", mesh.ServiceRole},
		{protocol.Presence{}, "", mesh.SessionRole},
		{protocol.Presence{PeerRole: "control-plane", Channel: "claude-code"}, "k", mesh.ControlPlane},
		{protocol.Presence{PeerRole: "session", Channel: "claudemesh-daemon"}, "", mesh.SessionRole},
		{protocol.Presence{PeerRole: "king", Channel: "bridge"}, "", mesh.ServiceRole},
	} {
		if got := roleOf(proof{presence: c.presence, session: c.session}); got != c.want {
			t.Errorf("%+v: got %s, want %s", c, got, c.want)
		}
	}
}

func TestDisplayNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		said string
		ours bool
		want string // empty: refused
	}{
		{"", true, "member"}, {"bob", true, "bob"}, {"bob", false, "bob"},
		{"admin", true, ""}, {"admin", false, "member"},
		{" bob ", true, ""}, {" bob ", false, "bob"},
		{strings.Repeat("x", 65), true, ""}, {strings.Repeat("x", 65), false, strings.Repeat("x", 64)},
		{"a\x1b[0m", true, ""}, {"a\x1b[0m", false, ""}, {"a\u202eb", false, ""}, {"a\nb", false, ""},
		{"\u200b", false, "member"}, // invisible, but no command
	} {
		got, err := displayName(c.said, "member", c.ours)
		if err != nil {
			got = ""
		}
		if got != c.want || err != nil && !mesh.IsCode(err, mesh.BadName) {
			t.Errorf("%q (ours %v): got %q and %v, want %q", c.said, c.ours, got, err, c.want)
		}
	}
}

func TestPresenceIsCut(t *testing.T) {
	t.Parallel()
	p := protocol.Presence{CWD: strings.Repeat("ä", 300), Model: "a\x00\u202eb", Role: "ok"}
	for i := range 100 {
		p.Groups = append(p.Groups, protocol.Group{Name: "@g", Role: "r\x1b"}, protocol.Group{Name: "no group"}, protocol.Group{Name: fmt.Sprint("g", i)})
	}
	got := tidy(p)
	if got.CWD != strings.Repeat("ä", maxTextRunes) || got.Model != "ab" || got.Role != "ok" {
		t.Errorf("got %+v", got)
	}
	if len(got.Groups) != 1+queue.MaxGroups/3 || got.Groups[0] != (protocol.Group{Name: "g", Role: "r"}) {
		t.Errorf("got %d groups, first %+v", len(got.Groups), got.Groups[0])
	}
}

// A direct message of the advertised size fits into a frame of the advertised size.
func TestLesson2110LimitsFitTogether(t *testing.T) {
	t.Parallel()
	for _, frameBytes := range []int64{4096, 65536, 1 << 20} {
		set := config.DefaultBroker()
		set.FrameBytes = frameBytes
		l := limits(set)
		frame := must(protocol.Send.Encode("", protocol.SendRequest{
			ID: strings.Repeat("i", 200), TargetSpec: strings.Repeat("0", 64), Priority: "next", Nonce: strings.Repeat("n", 32),
			Ciphertext: strings.Repeat("c", int(l.BodyBytes+16+2)/3*4), ReplyToID: strings.Repeat("r", 32), ClientMessageID: mesh.ClientID(strings.Repeat("i", 200)),
			RequestFingerprint: strings.Repeat("f", 64), TraceID: strings.Repeat("t", 64), After: mesh.ClientID(strings.Repeat("a", 200)),
		}))
		if int64(len(frame)) > frameBytes || int64(len(frame)) < frameBytes-envelopeBytes {
			t.Errorf("a body of %d bytes makes a frame of %d, the limit is %d", l.BodyBytes, len(frame), frameBytes)
		}
	}
}
