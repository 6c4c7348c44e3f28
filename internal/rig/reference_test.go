package rig

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/script"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

var update = flag.Bool("update", false, "write what the daemon does into testdata; read the difference before you keep it")

// A script holds our daemon against a broker of the other system. Ada joined a mesh with the other CLI; bob is a member. Its
// steps are:
//
//	broker answers <type>   what the broker answers frames of a type from now on; nothing is silence. A line is a frame with
//	                        $_reqId and $id of the request, or "closes <code> <reason>", or "drops"
//	broker tells <who>      the same lines unasked, on the connection of "member" or of a session. "box":"bob.s1>ada: text"
//	                        stands for the nonce and ciphertext of a text sealed by one to the other, "plain":"text" for
//	                        those of a text in clear
//	<who> sends <to>        ada, or one of her sessions, sends each line
//	ada registers <name>    a session begins
//	ada tells               each line is what she tells others of herself, as a request for her profile
//	ada asks for <what>     what only brokers of ours know, and how long it took; see owns
//	ada <verb> ...          leaves, peers, restarts, joins, quits, groups, info; see do
//	wait <duration>         time passes
//	then                    what the broker was told since the last of these, what became of ada's doings, and how she
//	                        stands: her meshes, her outbox but what was accepted before, and what is new in her inbox
//
// A script runs in a bubble, unless it has sessions: then its line `clock: real` says so. See package script for the rest.
func TestReference(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d scripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a := script.Read(t, file)
			for _, g := range a.Generations(t) {
				t.Run(g, func(t *testing.T) {
					if _, isReal := a.Header("clock"); isReal {
						play(t, &a, g, true)
						return
					}
					synctest.Test(t, func(t *testing.T) { play(t, &a, g, false) })
				})
			}
			if *update {
				a.Write(t, file)
			}
		})
	}
}

// stage is one script under way.
type stage struct {
	*Rig
	relay    *relay
	ada      *Home
	sessions map[string]*Session
	boxes    *seal.Boxes
	real     bool

	done  []string          // what became of ada's doings
	names map[string]string // names of values, by value
	reqs  map[string]string // names of _reqIds
	sent  int
	seen  int64           // of the inbox
	over  map[string]bool // of the outbox: accepted, and shown as that
}

const (
	relayMesh   = "vutsrqponmlkjihgfedcba9876543210"
	relayMember = "0123456789abcdefghijklmnopqrstuv"
)

// secretOf makes a key of a name.
func secretOf(name string) seal.SecretKey {
	sum := sha256.Sum256([]byte(name))
	key, err := seal.ParseSecretKey(hex.EncodeToString(ed25519.NewKeyFromSeed(sum[:])))
	if err != nil {
		panic(err)
	}
	return key
}

// people are those whose keys a script can name.
var people = []string{"ada", "bob", "bob.s1", "bob.s2", "carol", "carol.s1"}

func newStage(t *testing.T, generation string, isReal bool) *stage {
	t.Helper()
	s := &stage{
		Rig: New(t), sessions: map[string]*Session{}, boxes: seal.NewBoxes(16), real: isReal,
		names: map[string]string{relayMesh: "$mesh", relayMember: "$ada.id"}, reqs: map[string]string{}, over: map[string]bool{},
	}
	for _, name := range people {
		s.names[secretOf(name).Public().String()] = "$" + name
	}
	s.relay = newRelay(s.Rig, here, generation, s.filler())
	s.relay.ignored["list_peers"] = isReal // asked for anew where a roster is more than a moment old
	s.ada = s.Home("ada", func(d *config.Daemon) {
		if isReal {
			quick.daemon(d)
		}
	})
	s.ada.Stop()
	doc := fmt.Sprintf(`{"version":1,"meshes":[{"meshId":%q,"memberId":%q,"slug":"team","name":"Team","pubkey":%q,"secretKey":%q,"brokerUrl":"ws://%s/ws","joinedAt":"2025-06-04T10:30:00.000Z"}]}`,
		relayMesh, relayMember, secretOf("ada").Public(), secretOf("ada").Reveal(), here)
	file := s.ada.Paths().Config.File()
	s.must(os.MkdirAll(filepath.Dir(file), 0o700))
	s.must(os.WriteFile(file, []byte(doc), 0o600))
	s.ada.Start()
	return s
}

func play(t *testing.T, a *script.Archive, generation string, isReal bool) {
	s := newStage(t, generation, isReal)
	s.rest()
	for i := range a.Steps {
		step := &a.Steps[i]
		if step.Only != "" && step.Only != generation {
			continue
		}
		if step.Name != "then" {
			s.take(*step)
			s.rest()
			continue
		}
		got := s.heard(step.Text)
		if diff := cmp.Diff(step.Text, got); diff != "" && !*update {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
		step.Heard(generation, got)
	}
}

// rest lets everything come to rest, in a bubble.
func (s *stage) rest() {
	if !s.real {
		synctest.Wait()
	}
}

// take makes one step but `then`.
func (s *stage) take(step script.Step) {
	s.T.Helper()
	words := strings.Fields(s.fill(step.Name))
	lines := strings.Split(strings.TrimSuffix(s.fill(step.Text), "\n"), "\n")
	if lines[0] == "" {
		lines = nil
	}
	switch {
	case words[0] == "wait":
		d, err := time.ParseDuration(words[1])
		s.must(err)
		<-time.After(d)
	case len(words) == 3 && words[0] == "broker" && words[1] == "answers":
		s.relay.on(words[2], lines)
	case len(words) == 3 && words[0] == "broker" && words[1] == "tells":
		s.Until(words[2]+" is connected", func() bool { return s.relay.line(words[2]) != nil })
		for _, line := range lines {
			s.relay.say(s.relay.line(words[2]), line)
		}
	case len(words) == 2 && words[1] == "tells":
		for _, line := range lines {
			var req localapi.ProfileRequest
			s.must(wire.Decode([]byte(line), &req))
			answer, err := localapi.ProfileSet.Do(s.T.Context(), s.ada, req)
			s.note(fmt.Sprintf("ada told %v to %v, later %v%s", answer.Applied, answer.Meshes, answer.Waiting, mesh.CodeOf(err)))
		}
	case len(words) == 3 && words[1] == "sends":
		for _, text := range lines {
			s.send(words[0], words[2], text)
		}
	default:
		s.do(words)
	}
}

// do is what ada does besides sending.
func (s *stage) do(words []string) {
	s.T.Helper()
	ctx := s.T.Context()
	switch words[1] {
	case "registers":
		s.sessions[words[2]] = s.ada.Register(words[2], s.sessions[words[2]])
		s.names[string(s.sessions[words[2]].Key)] = "$" + words[2]
	case "leaves":
		_, err := localapi.MeshLeave.Do(ctx, s.ada, localapi.MeshLeaveRequest{Slug: "team"})
		s.note("ada leaves: " + string(mesh.CodeOf(err)))
	case "restarts":
		s.ada.Stop()
		s.ada.Start()
	case "peers":
		answer, err := localapi.Peers.Do(ctx, s.ada, localapi.PeersRequest{})
		s.must(err)
		for _, p := range answer.Peers {
			s.note(fmt.Sprintf("ada sees %s %s %s", p.DisplayName, p.PeerRole, s.named(string(p.Pubkey))))
		}
	default:
		s.ask(words)
	}
}

// ask is what ada does in groups, and asks of her mesh.
func (s *stage) ask(words []string) {
	s.T.Helper()
	ctx := s.T.Context()
	switch words[1] {
	case "joins", "quits":
		change := localapi.GroupJoin
		if words[1] == "quits" {
			change = localapi.GroupLeave
		}
		answer, err := change.Do(ctx, s.ada, localapi.GroupRequest{Name: words[2]})
		s.must(err)
		s.note(fmt.Sprintf("ada %s %s in %v, later %v", words[1], answer.Group, answer.Meshes, answer.Pending))
	case "groups":
		answer, err := localapi.Groups.Do(ctx, s.ada, localapi.GroupsRequest{})
		s.must(err)
		for _, g := range answer.Groups {
			s.note(fmt.Sprintf("ada knows of %s, joined %t", g.Name, g.Joined))
		}
	case "asks":
		began := time.Now()
		err := s.owns(words[3])
		s.note(fmt.Sprintf("ada asks for %s: %s after %v", words[3], outcomeOf(err), time.Since(began)))
	case "info":
		answer, err := localapi.Info.Do(ctx, s.ada, localapi.InfoRequest{})
		s.must(err)
		for _, m := range answer.Meshes {
			if m.Info == nil {
				s.note("ada has no overview: " + m.Error)
				continue
			}
			s.note(fmt.Sprintf("ada is %s, one of %d in %v", m.Info.YourName, m.Info.Peers, m.Info.Groups))
		}
	default:
		s.T.Fatalf("%q is no step", words)
	}
}

func outcomeOf(err error) string {
	if err == nil {
		return "done"
	}
	return string(mesh.CodeOf(err))
}

// owns is what only brokers of ours know.
func (s *stage) owns(what string) error {
	var err error
	switch ctx := s.T.Context(); what {
	case "invites":
		_, err = localapi.Invites.Do(ctx, s.ada, localapi.InvitesRequest{Slug: "team"})
	case "members":
		_, err = localapi.Members.Do(ctx, s.ada, localapi.MembersRequest{})
	case "block":
		_, err = localapi.Grant.Do(ctx, s.ada, localapi.GrantRequest{Verb: "block", Peer: string(secretOf("bob").Public().String())})
	case "grants":
		_, err = localapi.Grants.Do(ctx, s.ada, localapi.GrantsRequest{})
	default:
		s.T.Fatalf("nobody asks for %q", what)
	}
	return err
}

func (s *stage) note(text string) { s.done = append(s.done, text) }

// send sends a text as ada or one of her sessions, with an id of its own.
func (s *stage) send(who, to, text string) {
	s.T.Helper()
	var d localapi.Doer = s.ada
	if session, ok := s.sessions[who]; ok {
		d = session
	}
	s.sent++
	_, err := localapi.Send.Do(s.T.Context(), d, localapi.SendRequest{To: to, Message: text, ClientMessageID: "m" + strconv.Itoa(s.sent)})
	if err != nil {
		s.note(fmt.Sprintf("%s sends m%d: %s", who, s.sent, mesh.CodeOf(err)))
	}
}

// filler puts keys in the place of their names, of two names that begin alike the longer one first.
func (s *stage) filler() *strings.Replacer {
	values := slices.SortedFunc(maps.Keys(s.names), func(x, y string) int { return len(s.names[y]) - len(s.names[x]) })
	var pairs []string
	for _, v := range values {
		pairs = append(pairs, s.names[v], v)
	}
	return strings.NewReplacer(pairs...)
}

var (
	boxed = regexp.MustCompile(`"box":"([a-z0-9.]+)>([a-z0-9.]+): ([^"]*)"`)
	plain = regexp.MustCompile(`"plain":"([^"]*)"`)
)

// fill puts values in the place of their names, and seals.
func (s *stage) fill(text string) string {
	s.T.Helper()
	text = boxed.ReplaceAllStringFunc(text, func(m string) string {
		parts := boxed.FindStringSubmatch(m)
		box, err := s.boxes.Seal(secretOf(parts[1]), secretOf(parts[2]).Public(), []byte(parts[3]))
		s.must(err)
		return fmt.Sprintf(`"nonce":%q,"ciphertext":%q`, box.Nonce, box.Ciphertext)
	})
	text = plain.ReplaceAllStringFunc(text, func(m string) string {
		return fmt.Sprintf(`"nonce":%q,"ciphertext":%q`, seal.NewNonce(), base64.StdEncoding.EncodeToString([]byte(plain.FindStringSubmatch(m)[1])))
	})
	return s.filler().Replace(text)
}

// heard tells what happened since the last time, with names in the place of values. By the real clock it waits until that
// is what is wanted, or all there is.
func (s *stage) heard(want string) string {
	s.T.Helper()
	got := s.tell(true)
	for end := time.Now().Add(20 * time.Second); s.real && (*update || got != want) && time.Now().Before(end); got = s.tell(true) {
		<-time.After(20 * time.Millisecond)
		if *update && time.Until(end) < 15*time.Second {
			break
		}
	}
	return s.tell(false)
}

// tell is heard at this moment; keep leaves it to be told again.
func (s *stage) tell(keep bool) string {
	s.T.Helper()
	var b strings.Builder
	for _, line := range s.relay.take(keep) {
		b.WriteString(s.plainly(line) + "\n")
	}
	for _, line := range s.done {
		b.WriteString(line + "\n")
	}
	answer, err := localapi.Meshes.Do(s.T.Context(), s.ada, localapi.None{})
	s.must(err)
	for _, m := range answer.Meshes {
		fmt.Fprintf(&b, "ada is %s\n", m.Status)
	}
	over, seen := s.tellOutbox(&b), s.tellInbox(&b)
	if !keep {
		s.done, s.over, s.seen = nil, over, seen
	}
	return b.String()
}

// tellOutbox lists what was not accepted when the outbox was told last.
func (s *stage) tellOutbox(b *strings.Builder) (over map[string]bool) {
	outbox, err := localapi.Outbox.Do(s.T.Context(), s.ada, localapi.OutboxRequest{Limit: 500})
	s.must(err)
	slices.SortFunc(outbox.Items, func(x, y localapi.OutboxItem) int {
		return cmpID(x.ClientMessageID) - cmpID(y.ClientMessageID)
	})
	over = map[string]bool{}
	for _, i := range outbox.Items {
		id := string(i.ClientMessageID)
		over[id] = i.Status == "done" || i.Status == "dead"
		if s.over[id] {
			continue
		}
		fmt.Fprintf(b, "%s is %s", id, i.Status)
		if i.Attempts > 0 {
			fmt.Fprintf(b, " after %d refusals", i.Attempts)
		}
		if i.LastError != nil && *i.LastError != "" {
			fmt.Fprintf(b, ": %s", *i.LastError)
		}
		b.WriteString("\n")
	}
	return over
}

func cmpID(id mesh.ClientID) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(string(id), "m")) // 0 for ids that are not of send
	return n
}

// tellInbox lists what came since the inbox was told last.
func (s *stage) tellInbox(b *strings.Builder) (seen int64) {
	seen = s.seen
	for _, i := range s.Inbox(s.ada) {
		if i.Seq <= s.seen {
			continue
		}
		seen = i.Seq
		body := "-"
		if i.Body != nil {
			body = *i.Body
		}
		fmt.Fprintf(b, "inbox: %s to %s from %s (%s), encrypted %t\n", body, s.named(string(i.RecipientPubkey)), i.SenderName, s.named(string(i.SenderPubkey)), i.Encrypted)
	}
	return seen
}

func (s *stage) named(key string) string {
	if name, ok := s.names[key]; ok {
		return name
	}
	return key
}

// random are values that no script can know.
var random = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`"(timestamp|expiresAt|notBefore)":\d+`), `"$1":$$time`},
	{regexp.MustCompile(`"([a-zA-Z]*[sS]ignature)":"[0-9a-f]{128}"`), `"$1":"$$signature"`},
	{regexp.MustCompile(`"sessionId":"[0-9a-f]{32}"`), `"sessionId":"$$hash"`},
	{regexp.MustCompile(`"traceId":"[0-9a-f]{16}"`), `"traceId":"$$trace"`},
	{regexp.MustCompile(`"request_fingerprint":"[0-9a-f]{64}"`), `"request_fingerprint":"$$fingerprint"`},
	{regexp.MustCompile(`"cwd":"[^"]*"`), `"cwd":"$$cwd"`},
}

// plainly puts names in the place of what a line holds, and texts in that of boxes.
func (s *stage) plainly(line string) string {
	who, frame, _ := strings.Cut(line, " > ")
	if frame == "" {
		return line
	}
	var f struct {
		ReqID      string `json:"_reqId"`
		Target     string `json:"targetSpec"`
		Nonce      string `json:"nonce"`
		Ciphertext string `json:"ciphertext"`
	}
	s.must(json.Unmarshal([]byte(frame), &f))
	if f.Ciphertext != "" {
		frame = strings.Replace(frame, fmt.Sprintf(`"nonce":%q,"ciphertext":%q`, f.Nonce, f.Ciphertext), s.opened(f.Target, seal.Sealed{Nonce: f.Nonce, Ciphertext: f.Ciphertext}), 1)
	}
	if f.ReqID != "" {
		if s.reqs[f.ReqID] == "" {
			s.reqs[f.ReqID] = "$r" + strconv.Itoa(len(s.reqs)+1)
		}
		frame = strings.Replace(frame, f.ReqID, s.reqs[f.ReqID], 1)
	}
	for value, name := range s.names {
		frame = strings.ReplaceAll(frame, `"`+value+`"`, `"`+name+`"`)
	}
	for _, r := range random {
		frame = r.pattern.ReplaceAllString(frame, r.name)
	}
	return who + " > " + frame
}

// opened is what the recipient reads, by the key that it opens with.
func (s *stage) opened(target string, sealed seal.Sealed) string {
	senders := map[string]seal.PublicKey{"ada": secretOf("ada").Public()}
	for name, session := range s.sessions {
		key, err := seal.ParsePublicKey(string(session.Key))
		s.must(err)
		senders[name] = key
	}
	for _, name := range people {
		if secretOf(name).Public().String() != target {
			continue
		}
		for from, key := range senders {
			if text, err := s.boxes.Open(secretOf(name), key, sealed); err == nil {
				return fmt.Sprintf(`"box":"%s>%s: %s"`, from, name, text)
			}
		}
	}
	if text, err := base64.StdEncoding.DecodeString(sealed.Ciphertext); err == nil && !strings.HasPrefix(target, "$") && len(target) < 64 {
		return fmt.Sprintf(`"plain":%q`, text)
	}
	return `"box":"?"`
}
