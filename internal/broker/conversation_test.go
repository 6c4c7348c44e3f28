package broker

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

var update = flag.Bool("update", false, "write what the broker answers into testdata; read the difference before you keep it")

// A conversation is an archive of steps. Its clock stands still but for the steps that wait. Steps are named:
//
//	<client> sends    a frame of a client, which connects with its first one; see fill for what stands for a value
//	<client> leaves   the client says bye
//	wait <duration>   time passes
//	then              what all clients got since the last of these: `<client> < frame` or `<client> closed code reason`
func TestConversations(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d conversations, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { converse(t, file) })
		})
	}
}

func converse(t *testing.T, file string) {
	a := readArchive(t, file)
	v := newConversation(t)
	for i, step := range a.steps {
		verb := strings.Fields(step.name)
		switch verb[len(verb)-1] {
		case "sends":
			for line := range strings.Lines(step.text) {
				v.client(t, verb[0]).send(t, v.fill(strings.TrimSpace(line)))
			}
		case "leaves":
			v.client(t, verb[0]).send(t, []byte(`{"type":"bye"}`))
		case "then":
			got := v.heard()
			if diff := cmp.Diff(step.text, got); diff != "" && !*update {
				t.Errorf("step %d (-want +got):\n%s", i, diff)
			}
			a.steps[i].text = got
		default:
			d, err := time.ParseDuration(verb[len(verb)-1])
			if err != nil {
				t.Fatalf("step %d: %q is no step", i, step.name)
			}
			<-time.After(d)
		}
	}
	if *update {
		a.write(t, file)
	}
}

// conversation is a broker with the mesh of alice and bob, whose keys are always the same.
type conversation struct {
	site    *site
	team    *team
	people  map[string]person
	clients map[string]*client
	order   []string          // clients, by when they came
	ids     map[string]string // what stands for a random id
	names   *strings.Replacer
}

// keyOf makes a key of a name.
func keyOf(name string) seal.SecretKey {
	seed := sha256.Sum256([]byte(name))
	return must(seal.ParseSecretKey(hexOf(ed25519.NewKeyFromSeed(seed[:]))))
}

func newConversation(t *testing.T) *conversation {
	v := &conversation{site: bubbleSite(t, nil), clients: map[string]*client{}, ids: map[string]string{}}
	alice, bob := person{name: "alice", key: keyOf("alice")}, person{name: "bob", key: keyOf("bob")}
	v.team = v.site.foundAs(t, keyOf("owner"), alice)
	alice = v.team.first
	bob = v.team.joinAs(t, v.team.invite(t, 1), bob)
	<-time.After(time.Second) // a hello of the same time as those above would be a replay
	v.people = map[string]person{"alice": alice, "bob": bob}
	pairs := []string{string(v.team.id), "$mesh", keyOf("owner").Public().String(), "$owner"}
	for name, p := range v.people {
		pairs = append(pairs, p.pub(), "$"+name, string(p.id), "$"+name+".id")
		for _, s := range []string{"s1", "s2"} {
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

var reference = regexp.MustCompile(`\$[a-z]+[0-9]*(\.[a-z0-9]+)?([+-][0-9]+)?`)

// fill puts values in the place of their names: $mesh, $owner, $alice and $bob (member keys), $alice.id, $alice.s1
// and s2 (session keys), $now, $now-1000 (milliseconds), and then the signatures.
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

// key finds the secret of a public key that a conversation knows; "mallory" is in no mesh.
func (v *conversation) key(pub string) seal.SecretKey {
	for _, name := range []string{"alice", "bob", "owner", "mallory", "alice.s1", "alice.s2", "bob.s1", "bob.s2"} {
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
		for len(c.frames) > 0 {
			fmt.Fprintf(&b, "%s < %s\n", name, v.named(<-c.frames))
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

func (v *conversation) present() (order []string) {
	for _, name := range v.order {
		if v.clients[name] != nil {
			order = append(order, name)
		}
	}
	return order
}

func (v *conversation) named(frame string) string {
	return randomID.ReplaceAllStringFunc(v.names.Replace(frame), func(id string) string {
		if _, ok := v.ids[id]; !ok {
			v.ids[id] = "$id" + strconv.Itoa(len(v.ids)+1)
		}
		return v.ids[id]
	})
}
