package broker

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/rig/script"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

var update = flag.Bool("update", false, "write what the broker answers into testdata; read the difference before you keep it")

// A conversation is an archive of steps. Its clock stands still but for the steps that wait. Steps are named:
//
//	<client> enters   a client of the generation says hello as its kind does; see entrance. The text is what its hello has besides
//	<client> sends    frames of a client, which connects with its first one; see fill for what stands for a value
//	<client> sends in binary
//	<client> leaves   the client says bye, as ours do
//	<client> closes   the client closes as others do, with 1000
//	<client> drops    the client is cut off
//	wait <duration>   time passes
//	then              what all clients got since the last of these: `<client> < frame` or `<client> closed code reason`
//
// It is held with clients of both generations, or those that its line `generations:` names; a step whose name ends in
// "(seed)" or "(later)" is of one. `burst: n` lets a member send so many at once, and one a second. Its lines `covers:` name the rows of the protocol that it proves (package tidy).
func TestConversations(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d conversations, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a := script.Read(t, file)
			for _, g := range a.Generations(t) {
				t.Run(g, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { converse(t, &a, g) })
				})
			}
			if *update {
				a.Write(t, file)
			}
		})
	}
}

func converse(t *testing.T, a *script.Archive, generation string) {
	v := newConversation(t, *a)
	v.generation = generation
	for i := range a.Steps {
		s := &a.Steps[i]
		if s.Only != "" && s.Only != generation {
			continue
		}
		if s.Name != "then" {
			v.take(t, *s)
			synctest.Wait() // frames of two clients come in the order of their steps
			continue
		}
		got := v.heard()
		if diff := cmp.Diff(s.Text, got); diff != "" && !*update {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
		s.Heard(generation, got)
	}
}

// take makes one step but `then`.
func (v *conversation) take(t *testing.T, s script.Step) {
	t.Helper()
	who, verb, _ := strings.Cut(s.Name, " ")
	switch verb {
	case "enters":
		v.client(t, who).send(t, v.entrance(t, who, strings.TrimSpace(s.Text)))
	case "sends":
		for line := range strings.Lines(s.Text) {
			v.client(t, who).send(t, v.fill(strings.TrimSpace(line)))
		}
	case "sends in binary":
		for line := range strings.Lines(s.Text) {
			if err := v.client(t, who).ws.Write(t.Context(), websocket.MessageBinary, v.fill(strings.TrimSpace(line))); err != nil {
				t.Fatal(err)
			}
		}
	case "leaves":
		v.client(t, who).send(t, []byte(`{"type":"bye"}`))
	case "closes":
		_ = v.client(t, who).ws.Close(websocket.StatusNormalClosure, "") // the broker may be closing it, too
		v.forget(who)
	case "drops":
		_ = v.client(t, who).ws.CloseNow() // as a machine that is switched off
		v.forget(who)
	default:
		d, err := time.ParseDuration(verb)
		if who != "wait" || err != nil {
			t.Fatalf("%q is no step", s.Name)
		}
		<-time.After(d)
	}
}

// conversation is a broker with the mesh of alice, bob and carol, whose keys are always the same. Alice made it.
type conversation struct {
	generation string
	entered    int64 // hellos that were made here: each has a time of its own

	site    *site
	team    *team
	people  map[string]person
	clients map[string]*client
	order   []string          // clients, by when they came
	ids     map[string]string // what stands for a random id
	names   *strings.Replacer
}

// ownKeys are the keys that each has besides its own: of two sessions, and that of a daemon of the first generation.
var ownKeys = []string{"s1", "s2", "d"}

// keyOf makes a key of a name.
func keyOf(name string) seal.SecretKey {
	seed := sha256.Sum256([]byte(name))
	return must(seal.ParseSecretKey(hexOf(ed25519.NewKeyFromSeed(seed[:]))))
}

func newConversation(t *testing.T, a script.Archive) *conversation {
	slow := func(o *Options) {
		if burst, ok := a.Header("burst"); ok {
			o.Settings.SendPerSecond, o.Settings.SendBurst = 1, must(strconv.Atoi(burst))
		}
	}
	v := &conversation{site: bubbleSite(t, slow), clients: map[string]*client{}, ids: map[string]string{}}
	v.team = v.site.foundAs(t, keyOf("owner"), person{name: "alice", key: keyOf("alice")})
	v.people = map[string]person{"alice": v.team.first}
	code := v.team.invite(t, 2)
	for _, name := range []string{"bob", "carol"} {
		v.people[name] = v.team.joinAs(t, code, person{name: name, key: keyOf(name)})
	}
	<-time.After(time.Second) // a hello of the same time as those above would be a replay
	pairs := []string{string(v.team.id), "$mesh", keyOf("owner").Public().String(), "$owner"}
	for name, p := range v.people {
		pairs = append(pairs, p.pub(), "$"+name, string(p.id), "$"+name+".id")
		for _, s := range ownKeys {
			pairs = append(pairs, keyOf(name+"."+s).Public().String(), "$"+name+"."+s)
		}
	}
	v.names = strings.NewReplacer(pairs...)
	return v
}

func (v *conversation) client(t *testing.T, name string) *client {
	c, ok := v.clients[name]
	if !ok {
		c = v.site.connect(t)
		v.clients[name] = c
		v.order = append(v.order, name)
	}
	return c
}

// forget ends a client, whose name another may have then.
func (v *conversation) forget(name string) {
	<-v.clients[name].closed
	delete(v.clients, name)
	v.order = v.present()
}

var reference = regexp.MustCompile(`\$[a-z]+[0-9]*(\.[a-z0-9]+)?([+-][0-9]+)?`)

// fill puts values in the place of their names: $mesh, $owner, $alice, $bob and $carol (member keys), $alice.id,
// $alice.s1, s2 and d (session keys), $id1 and $id1.begin (what the broker named), $now, $now-1000 (milliseconds), and then the signatures.
func (v *conversation) fill(frame string) []byte {
	now := v.site.now().UnixMilli()
	frame = reference.ReplaceAllStringFunc(frame, func(ref string) string {
		base, attribute, _ := strings.Cut(ref[1:], ".")
		switch p, isPerson := v.people[base]; {
		case ref == "$mesh":
			return string(v.team.id)
		case ref == "$owner":
			return keyOf("owner").Public().String()
		case strings.HasPrefix(ref, "$now"):
			offset, _ := strconv.ParseInt(ref[len("$now"):], 10, 64) // 0 without one
			return strconv.FormatInt(now+offset, 10)
		case isPerson && attribute == "id":
			return string(p.id)
		case isPerson && attribute != "":
			return keyOf(ref[1:]).Public().String()
		case isPerson:
			return p.pub()
		}
		for id, name := range v.ids {
			if name == "$"+base && attribute == "begin" {
				return id[:protocol.MinStatusID]
			}
			if name == ref {
				return id
			}
		}
		return ref
	})
	return []byte(v.sign(frame))
}

// sign replaces "$sign" and "$attest" by what the keys in the frame sign. The frame may be wrong in any other way.
func (v *conversation) sign(frame string) string {
	var f struct {
		protocol.SessionHelloRequest
		MemberID string `json:"memberId"`
		Pubkey   string `json:"pubkey"`
	}
	if strings.Contains(frame, `"$operation"`) {
		return v.operate(frame)
	}
	if !strings.Contains(frame, `"$sign"`) {
		return frame
	}
	if err := json.Unmarshal([]byte(frame), &f); err != nil {
		panic(fmt.Sprintf("%s: %v", frame, err))
	}
	at := time.UnixMilli(f.Timestamp)
	if f.Pubkey != "" {
		text := seal.Hello{MeshID: f.MeshID, MemberID: f.MemberID, Member: v.key(f.Pubkey).Public(), At: at}
		return strings.Replace(frame, "$sign", must(text.Sign(v.key(f.Pubkey))).String(), 1)
	}
	parent, session := v.key(f.ParentMemberPubkey), v.key(f.SessionPubkey)
	attested := seal.Attestation{Parent: parent.Public(), Session: session.Public(), ExpiresAt: time.UnixMilli(f.ParentAttestation.ExpiresAt)}
	frame = strings.Replace(frame, "$attest", must(attested.Sign(parent)).String(), 1)
	text := seal.SessionHello{MeshID: f.MeshID, Parent: parent.Public(), Session: session.Public(), At: at}
	return strings.Replace(frame, "$sign", must(text.Sign(session)).String(), 1)
}

// operate replaces "$operation" by the owner's signature over what is asked.
func (v *conversation) operate(frame string) string {
	rest := strings.Replace(frame, `"operation":"$operation"`, `"operation":{}`, 1)
	var args any
	head := must(wire.ReadHead([]byte(rest)))
	switch head.Type {
	case protocol.Kick.Type, protocol.Disconnect.Type:
		args = asked(rest, protocol.KickRequest.Signed)
	case protocol.BanMember.Type:
		args = asked(rest, protocol.BanRequest.Signed)
	case protocol.Unban.Type:
		args = asked(rest, protocol.UnbanRequest.Signed)
	case protocol.MemberUpdate.Type:
		args = asked(rest, protocol.MemberUpdateRequest.Signed)
	default:
		panic("nobody signs " + head.Type)
	}
	op := seal.Operation{
		Host: v.site.host(), MeshID: string(v.team.id), Name: head.Type, Args: must(seal.ArgsHash(encode(args))), Nonce: mesh.NewToken()[:32], At: v.site.now(),
	}
	signed := protocol.SignedOperation{
		Nonce: op.Nonce, AtMs: op.At.UnixMilli(), Key: mesh.Key(v.team.owner.Public().String()), Signature: must(op.Sign(v.team.owner)).String(),
	}
	return strings.Replace(frame, `"$operation"`, string(encode(signed)), 1)
}

// asked gives of a request what its signature covers.
func asked[Req any](frame string, signed func(Req) Req) Req {
	var req Req
	if err := wire.Decode([]byte(frame), &req); err != nil {
		panic(fmt.Sprintf("%s: %v", frame, err))
	}
	return signed(req)
}

// key finds the secret of a public key that a conversation knows; "mallory" is in no mesh.
func (v *conversation) key(pub string) seal.SecretKey {
	names := []string{"owner", "alice", "bob", "carol"}
	for _, name := range names[1:] {
		for _, own := range ownKeys {
			names = append(names, name+"."+own)
		}
	}
	for _, name := range names {
		if k := keyOf(name); k.Public().String() == strings.ToLower(pub) {
			return k
		}
	}
	return keyOf("mallory")
}

var randomID = regexp.MustCompile(`\b[0-9A-Za-z]{32}\b`)

// heard lets everything come to rest and tells what each client got, with names in the place of values.
func (v *conversation) heard() string {
	synctest.Wait()
	var b strings.Builder
	for _, name := range v.order {
		c := v.clients[name]
		for _, frame := range c.answersFirst() {
			fmt.Fprintf(&b, "%s < %s\n", name, v.named(frame))
		}
		select {
		case <-c.closed:
			fmt.Fprintf(&b, "%s closed %d %s\n", name, c.code, c.reason)
			delete(v.clients, name)
		default:
		}
	}
	v.order = v.present()
	return b.String()
}

// answersFirst takes what a client got. A request may set off pushes to the client that made it, and nothing says which of
// them and the answer comes first: here the answer does.
func (c *client) answersFirst() (all []string) {
	for len(c.frames) > 0 {
		frame, at := <-c.frames, len(all)
		for strings.Contains(frame, `,"_reqId":"`) && at > 0 && strings.HasPrefix(all[at-1], `{"type":"push"`) {
			at--
		}
		all = slices.Insert(all, at, frame)
	}
	return all
}

func (v *conversation) present() (order []string) {
	for _, name := range v.order {
		if v.clients[name] != nil {
			order = append(order, name)
		}
	}
	return order
}

// named puts names in the place of values. Events are not referred to.
func (v *conversation) named(frame string) string {
	frame = v.names.Replace(frame)
	if strings.Contains(frame, `"subtype":"system"`) {
		return randomID.ReplaceAllString(frame, "$$event")
	}
	return randomID.ReplaceAllStringFunc(frame, func(id string) string {
		if _, ok := v.ids[id]; !ok {
			v.ids[id] = "$id" + strconv.Itoa(len(v.ids)+1)
		}
		return v.ids[id]
	})
}
