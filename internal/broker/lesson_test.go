package broker

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/protocol"
)

// What the other broker answered without asking who is there does not exist here: it made sessions of any user, named
// members, changed their roles and permissions, and downloaded root keys.
func TestLesson225OpenRoutesAreNotServed(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	for _, route := range []string{
		"POST /cli/device-code", "POST /cli/device-code/x/approve", "POST /cli/token", "POST /cli/mesh/create", "POST /cli-sync", "POST /tg/token",
		"GET /cli/meshes", "GET /cli/mesh/team/permissions", "POST /cli/mesh/team/permissions", "POST /cli/mesh/team/grants", "DELETE /cli/mesh/team",
		"GET /mesh/" + string(m.id) + "/members", "PATCH /mesh/" + string(m.id) + "/member/" + string(bob.id), "PATCH /mesh/" + string(m.id) + "/settings",
		"POST /hook/set-status", "POST /upload", "GET /download/x", "GET /invite-code/abcdef",
	} {
		method, path, _ := strings.Cut(route, " ")
		var body any
		if method != http.MethodGet && method != http.MethodDelete {
			body = map[string]any{"permission": "admin", "roleTag": "x"}
		}
		req := s.request(t, method, path, body)
		req.Header.Set("X-Member-Id", string(m.first.id))
		if status, text := s.do(t, req); status != http.StatusNotFound {
			t.Errorf("%s: got %d %s, want %d", route, status, text, http.StatusNotFound)
		}
	}
}

// Nothing lets anybody in but a signature of the key of a member: no token of this broker, no header and no name.
func TestLesson221OnlyKeysLetIn(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	stranger := person{name: "alice", id: m.first.id, key: keyOf("mallory")}
	c := s.connect(t)
	c.send(t, m.hello(stranger, nil))
	c.wantError(t, "unauthorized")
	c = s.connect(t)
	c.send(t, m.hello(stranger, func(r *protocol.HelloRequest) { r.Pubkey = m.first.pub() }))
	c.wantError(t, "bad_signature")
	for _, header := range []string{"Bearer " + s.token, "Bearer " + string(m.first.id)} {
		req := s.request(t, http.MethodPost, "/invites/abcdef/claim", map[string]any{"peer_pubkey": m.first.pub()})
		req.Header.Set("Authorization", header)
		if status, text := s.do(t, req); status < 400 {
			t.Errorf("got %d %s, want a refusal", status, text)
		}
	}
}

// The broker has no secret of anybody: neither the owner's key nor a member's is in any of its files, in letters or in
// bytes.
func TestLesson226TheBrokerHasNoSecretKeys(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	bob := m.join(t, m.invite(t, 1), "bob")
	session := keyOf("bob.s1")
	m.enter(t, bob, nil)
	m.enterSession(t, bob, session)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{"owner": m.owner.Reveal(), "alice": m.first.key.Reveal(), "bob": bob.key.Reveal(), "bob's session": session.Reveal()}
	isThere := false // what is looked for would be found
	err := filepath.WalkDir(s.data.Dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		isThere = isThere || bytes.Contains(data, []byte(bob.pub()))
		for who, secret := range secrets {
			seed := secret[:64] // the rest is the public key
			if bytes.Contains(bytes.ToLower(data), []byte(seed)) || bytes.Contains(data, must(hex.DecodeString(seed))) {
				t.Errorf("%s has the secret key of %s", filepath.Base(path), who)
			}
		}
		return err
	})
	if err != nil || !isThere {
		t.Errorf("got %v, and bob's public key found is %t; want it among what the broker left", err, isThere)
	}
}
