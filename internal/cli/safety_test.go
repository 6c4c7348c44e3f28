package cli

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/claudemesh/claudemesh/internal/cli/clitest"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// poison is a name that moves the cursor, paints, deletes the line, turns the direction of the text and hides.
const poison = "a\x1b[2K\x1b]0;title\x07\rroot\u202egnp\u2066\u200b\u0085\u009b31m\U000e0041\u2028\x7f$(reboot)\x00-"

// fill puts poison into every text of a value, one element into every slice and a value behind every pointer.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(poison)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value)
		v.SetMapIndex(reflect.ValueOf(poison).Convert(v.Type().Key()), value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}

// dirt is the first character of a text that a terminal does not print as one.
func dirt(text string) rune {
	for _, r := range text {
		if r != '\n' && !unicode.IsGraphic(r) {
			return r
		}
	}
	return 0
}

// TestTerminalSafety gives every answer a poisoned text in every field: nothing of it reaches a terminal, as text or JSON
// (performance 4, row 14).
func TestTerminalSafety(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	for _, e := range localapi.Catalogue() {
		answer := reflect.New(e.Answer).Elem()
		fill(answer)
		if peers, ok := answer.Interface().(localapi.PeersAnswer); ok {
			peers.Peers[0].Online, peers.Meshes[0].OK = nil, true
			answer.Set(reflect.ValueOf(peers))
		}
		if inbox, ok := answer.Interface().(localapi.InboxAnswer); ok {
			inbox.Items[1].SeenAt, inbox.Items[1].Held = nil, true
			answer.Set(reflect.ValueOf(inbox))
		}
		w.Daemon.Answers[e.Route] = answer.Interface()
	}
	for _, line := range []string{
		"send x hi", "inbox", "inbox list", "inbox delete x", "message status 01234567", "message dead", "message redeliver x", "peers", "list", "whoami", "create x", "join x", "leave x", "share --mesh x",
		"invites list --mesh x", "daemon status", "daemon version", "daemon outbox", "daemon outbox inspect x", "daemon outbox requeue x", "daemon outbox cancel x", "share",
		"kick x --yes", "disconnect x", "ban x --yes", "unban x", "bans", "grant x dm", "block x", "grants", "status-line", "doctor",
	} {
		for _, args := range [][]string{strings.Fields(line), append(strings.Fields(line), "--json")} {
			r := w.Run(args...)
			if r := dirt(r.Out + r.Err); r != 0 {
				t.Errorf("got %U from %q, want no such character on a terminal", r, args)
			}
			if !strings.Contains(r.Out+r.Err, "root") {
				t.Errorf("got %q and %q from %q, want the rest of the text", r.Out, r.Err, args)
			}
		}
	}
	if r := w.Run("peers", "--json=name"); !strings.Contains(r.Out, `a\u001b[2K`) {
		t.Errorf("got %q, want the name whole for programs", r.Out)
	} else if names := decodeNames(t, r.Out); names[0] != poison {
		t.Errorf("got %q, want %q after decoding", names[0], poison)
	}
}

func decodeNames(t *testing.T, text string) []string {
	t.Helper()
	var rosters []struct {
		Peers []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(text), &rosters); err != nil || len(rosters) == 0 {
		var peers []struct{ Name string }
		if err := json.Unmarshal([]byte(text), &peers); err != nil || len(peers) == 0 {
			t.Fatalf("got %q, want names", text)
		}
		return []string{peers[0].Name}
	}
	var names []string
	for _, r := range rosters {
		for _, p := range r.Peers {
			names = append(names, p.Name)
		}
	}
	return names
}

// TestPoisonedErrors gives errors of the daemon and words of the command line the same text.
func TestPoisonedErrors(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	w.Daemon.Answers[localapi.Send.Route] = mesh.Errorf(mesh.AmbiguousTarget, "two are called %s", poison).With(mesh.Details{
		Candidates: []mesh.Candidate{{Name: poison, Key: poison, Mesh: poison}}, Attached: []string{poison}, State: poison,
	})
	for _, args := range [][]string{{"send", poison, "hi"}, {poison}, {"list", "--" + poison}, {"list", poison}, {"message", poison}, {"send", "a", "b", "--wait=" + poison}} {
		r := w.Run(args...)
		if r := dirt(r.Out + r.Err); r != 0 {
			t.Errorf("got %U from %q, want no such character on a terminal", r, args)
		}
		if r.Exit == mesh.ExitOK {
			t.Errorf("got success from %q", args)
		}
		r = w.Run(append([]string{"--json"}, args...)...)
		if d := dirt(r.Out + r.Err); d != 0 || !json.Valid([]byte(r.Out)) {
			t.Errorf("got %U in %q from --json %q, want no such character, and JSON", d, r.Out, args)
		}
	}
}

func TestCompletionOffersPlainNamesOnly(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	answer := clitest.Peers()
	answer.Peers[1].DisplayName, answer.Peers[2].DisplayName = poison, "-rf"
	w.Daemon.Answers[localapi.Peers.Route] = answer
	groups := clitest.Groups()
	groups.Groups[1].Name = "ledger"
	groups.Groups = append(groups.Groups, localapi.Group{Name: poison, Mesh: "team"})
	w.Daemon.Answers[localapi.Groups.Route] = groups
	bans := clitest.Bans()
	bans.Bans = append(bans.Bans, protocol.Ban{Name: poison}, protocol.Ban{Name: "-rf"}, protocol.Ban{Name: "bob@laptop", Pubkey: clitest.Key("bob")})
	w.Daemon.Answers[localapi.Bans.Route] = bans
	const peers = "backend-migration-and-more-words\tonline · team · 5e55102301234567\ncarol@desk\tonline · team · ca2010123456789a\n:4\n"
	for _, line := range []struct{ args, want string }{
		{"send|", "backend-migration-and-more-words\tonline · team · 5e55102301234567\ncarol@desk\tonline · team · ca2010123456789a\n@backend\tgroup · team · 3 members\n@ledger\tgroup · team · 1 member\n:4\n"},
		{"send|x|", ":4\n"},
		{"message|send|", "backend-migration-and-more-words\tonline · team · 5e55102301234567\ncarol@desk\tonline · team · ca2010123456789a\n@backend\tgroup · team · 3 members\n@ledger\tgroup · team · 1 member\n:4\n"},
		{"group|leave|", "@backend\n:4\n"},
		{"group|join|", "@backend\n@ledger\n:4\n"},
		{"leave|", "team\nresearch\n:4\n"},
		{"peers|--mesh|", "team\nresearch\n:4\n"},
		{"send|--priority|", "now\nnext\nlow\n:4\n"},
		{"kick|", peers},
		{"peer|ban|--mesh|team|", peers},
		{"block|", peers},
		{"block|bob|", ":4\n"},
		{"grant|", peers},
		{"grant|bob|", "read\ndm\nbroadcast\nstate-read\nstate-write\nfile-read\nall\n:4\n"},
		{"grant|bob|dm|", "read\nbroadcast\nstate-read\nstate-write\nfile-read\n:4\n"},
		{"unban|", "mallory\t3a11024012345678\nbob@laptop\tb0b0123456789abc\n:4\n"},
		{"unban|bob|", ":4\n"},
		{"peers|", ":4\n"},
		{"peers|--approval-mode|", "plan\nread-only\nwrite\nyolo\n:4\n"},
		{"man|audit|", "list\nverify\n:4\n"},
		{"completions|", "bash\nzsh\nfish\npowershell\n:4\n"},
	} {
		args := append([]string{"__complete"}, strings.Split(line.args, "|")...)
		if r := w.Run(args...); r.Out != line.want || r.Exit != mesh.ExitOK {
			t.Errorf("got exit %d and %q for %q, want %q", r.Exit, r.Out, line.args, line.want)
		}
	}
	if r := w.Run("__complete", "man", ""); strings.Contains(r.Out, "__complete") || strings.Contains(r.Out, "docs\n") {
		t.Errorf("got %q, want no word that is for nobody", r.Out)
	}
	if r := w.Run("__complete", "dae"); !strings.Contains(r.Out, "daemon\t") {
		t.Errorf("got %q, want the verb", r.Out)
	}
}

// TestCompletionOffersANameOnce: what bash has of two descriptions of one word it takes for part of the word.
func TestCompletionOffersANameOnce(t *testing.T) {
	t.Parallel()
	w := withDaemon(t)
	peers, groups := clitest.Peers(), clitest.Groups()
	for _, p := range peers.Peers {
		p.Mesh, p.Online = "research", new(bool)
		peers.Peers = append(peers.Peers, p)
	}
	peers.Peers, groups.Groups = peers.Peers[1:], append(groups.Groups, groups.Groups[0])
	w.Daemon.Answers[localapi.Peers.Route], w.Daemon.Answers[localapi.Groups.Route] = peers, groups
	r := w.Run("__complete", "send", "")
	for _, name := range []string{"carol@desk\tonline · several meshes\n", "@backend\tgroup · team\n"} {
		word, _, _ := strings.Cut(name, "\t")
		if strings.Count(r.Out, word+"\t") != 1 || !strings.Contains(r.Out, name) {
			t.Errorf("got %q, want %q once", r.Out, name)
		}
	}
}

// TestCompletionIsSoonOver: who presses Tab does not wait for a daemon that hangs, however often it is asked.
func TestCompletionIsSoonOver(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"send", "leave", "unban", "group leave"} {
		w := withDaemon(t)
		w.Patience = 0
		ended := make(chan struct{})
		hang := func() any { <-ended; return nil }
		for _, route := range []string{localapi.Peers.Route, localapi.Groups.Route, localapi.Meshes.Route, localapi.Bans.Route} {
			w.Daemon.Answers[route] = hang
		}
		r := w.Run(append([]string{"__complete"}, append(strings.Fields(args), "")...)...)
		close(ended)
		if r.Exit != mesh.ExitOK || r.Out != ":4\n" {
			t.Errorf("%s: got exit %d and %q, want no words, and an end", args, r.Exit, r.Out)
		}
	}
}

// TestCompletionStartsNothing: pressing Tab has no effect.
func TestCompletionStartsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, args := range [][]string{{"__complete", "send", ""}, {"__complete", "leave", ""}, {"__complete", "unban", ""}, {"__complete", "block", ""}} {
		if r := w.Run(args...); r.Exit != mesh.ExitOK || r.Out != ":4\n" {
			t.Errorf("got exit %d and %q, want no words", r.Exit, r.Out)
		}
	}
	if w.DaemonLog() != "" {
		t.Errorf("got a daemon started:\n%s", w.DaemonLog())
	}
}
