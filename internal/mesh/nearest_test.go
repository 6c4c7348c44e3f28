package mesh

import (
	"testing"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	candidates := []string{"up", "send", "inbox", "peers", "list", "invite", "invites", "version", "Ben@vm"}
	for word, want := range map[string]string{
		"peeers": "peers", "sned": "send", "lst": "list", "inbx": "inbox", "Send": "send", "inv": "invite", "vesrion": "version",
		"u": "up", "q": "", "xyzzy": "", "": "", "daemonize-me": "", "ben": "Ben@vm", "BEN@mv": "Ben@vm",
	} {
		if got := Nearest(word, candidates); got != want {
			t.Errorf("got %q near %q, want %q", got, word, want)
		}
	}
}
