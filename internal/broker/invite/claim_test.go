package invite

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

var visit = Visit{Hosts: []string{"localhost:7900", host}, BrokerURL: "ws://" + host + "/ws"}

// request is a claim with its proof, and the key that the root key comes sealed to.
func request(t *testing.T, code string, peer seal.SecretKey) (protocol.ClaimRequest, seal.X25519Secret) {
	t.Helper()
	exchange := seal.NewX25519Secret()
	proof, err := seal.Claim{Host: host, CodeHash: seal.CodeHash(code), Recipient: exchange.Public(), Peer: peer.Public()}.Sign(peer)
	if err != nil {
		t.Fatal(err)
	}
	return protocol.ClaimRequest{
		RecipientX25519: exchange.Public().String(), PeerPubkey: peer.Public().String(), DisplayName: "bob", Proof: proof.String(),
	}, exchange
}

func (w *world) claim(t *testing.T, code string, peer seal.SecretKey) (protocol.ClaimAnswer, error) {
	t.Helper()
	req, _ := request(t, code, peer)
	return w.Claim(t.Context(), visit, code, req)
}

func (w *world) uses(t *testing.T, code string) (used int) {
	t.Helper()
	err := w.DB.Read(t.Context(), func(tx *sqlite.Tx) error {
		i, err := store.FindInvite(tx, codeHash(code))
		used = i.Used
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}

func TestClaimMakesAMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const code = "freshfresh22"
	made := w.invite(t, code, func(r *protocol.InviteCreateRequest) { r.Role = store.RoleAdmin })
	peer := seal.NewSecretKey()
	req, exchange := request(t, code, peer)
	got, err := w.Claim(t.Context(), visit, code, req)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := seal.ParseBase64URL(got.SealedRootKey)
	if err != nil {
		t.Fatal(err)
	}
	if root, err := seal.OpenAnonymous(exchange, sealed); err != nil || !bytes.Equal(root, w.root) {
		t.Errorf("got root key %x, %v", root, err)
	}
	signature, err := seal.ParseSignature(got.CapabilitySignature)
	if err != nil {
		t.Fatal(err)
	}
	signed := seal.Capability{
		MeshID: string(got.MeshID), InviteID: string(got.InviteID), ExpiresAt: time.Unix(got.ExpiresAt, 0), Role: got.Role, Owner: w.owner.Public(),
	}
	if canonical, err := signed.Canonical(); err != nil || canonical != got.CanonicalV2 || signed.Verify(signature) != nil {
		t.Errorf("the capability does not verify: %s, %v", canonical, err)
	}
	if got.MeshID != w.mesh.ID || got.OwnerPubkey != string(w.mesh.OwnerKey) || got.InviteID != made.InviteID || got.MeshSlug != "ours" ||
		got.MeshName != "Ours" || got.BrokerURL != visit.BrokerURL || got.Role != "admin" {
		t.Errorf("got %+v", got)
	}
	var member store.Member
	w.write(t, func(tx *sqlite.Tx) (err error) {
		member, err = store.FindMember(tx, got.MemberID)
		return err
	})
	if string(member.Key) != peer.Public().String() || member.Name != "bob" || member.Role != store.RoleAdmin || !member.Active() {
		t.Errorf("got member %+v", member)
	}
}

func TestSameKeyAgainUsesNothingUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const code = "freshfresh22"
	w.invite(t, code, nil)
	peer := seal.NewSecretKey()
	first, err := w.claim(t, code, peer)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.claim(t, code, peer)
	if err != nil || again.MemberID != first.MemberID {
		t.Errorf("got member %s and %v, want %s", again.MemberID, err, first.MemberID)
	}
	if n := w.uses(t, code); n != 1 {
		t.Errorf("got %d uses, want 1", n)
	}
	if _, err := w.claim(t, code, seal.NewSecretKey()); !mesh.IsCode(err, mesh.InviteRefused) {
		t.Errorf("another key: got %v, want invite_refused", err)
	}
}

// An invite that cannot be used answers one and the same thing and stores nothing.
func TestThreat38EveryRefusalLooksTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const code = "freshfresh22"
	w.invite(t, code, nil)
	w.invite(t, "shortshort22", func(r *protocol.InviteCreateRequest) { r.ExpiresAt = w.now.Add(time.Minute).Unix() })
	if _, err := w.claim(t, code, seal.NewSecretKey()); err != nil {
		t.Fatal(err)
	}
	texts := map[string]bool{}
	refused := func(name, code string, peer seal.SecretKey) {
		t.Helper()
		_, err := w.claim(t, code, peer)
		if !mesh.IsCode(err, mesh.InviteRefused) {
			t.Errorf("%s: got %v, want invite_refused", name, err)
			return
		}
		texts[mesh.PublicText(err)] = true
	}
	refused("used up", code, seal.NewSecretKey())
	refused("unknown", "unknwnunknwn", seal.NewSecretKey())
	refused("one character changed", "freshfresh23", seal.NewSecretKey())
	refused("no code at all", "O0O0O0", seal.NewSecretKey())
	refused("a megabyte", strings.Repeat("a", 1<<20), seal.NewSecretKey())
	w.now = w.now.Add(2 * time.Minute)
	refused("expired", "shortshort22", seal.NewSecretKey())
	banned := seal.NewSecretKey()
	w.invite(t, "manymanymany", func(r *protocol.InviteCreateRequest) { r.MaxUses = 9 })
	answer, err := w.claim(t, "manymanymany", banned)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, func(tx *sqlite.Tx) error { _, err := store.RevokeMember(tx, answer.MemberID, w.now); return err })
	refused("a membership that ended", "manymanymany", banned)
	if n := w.uses(t, "manymanymany"); n != 1 {
		t.Errorf("got %d uses after a refused claim, want 1", n)
	}
	w.write(t, func(tx *sqlite.Tx) error { return store.ArchiveMesh(tx, w.mesh.ID, w.now) })
	refused("a mesh that ended", "manymanymany", seal.NewSecretKey())
	if len(texts) != 1 {
		t.Errorf("got %d texts, want one: %v", len(texts), texts)
	}
}

func TestThreat38OneUseHasOneWinner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.invite(t, "freshfresh22", nil)
	var won, lost atomic.Int64
	var racers sync.WaitGroup
	for range 5 {
		racers.Go(func() {
			switch _, err := w.claim(t, "freshfresh22", seal.NewSecretKey()); {
			case err == nil:
				won.Add(1)
			case mesh.IsCode(err, mesh.InviteRefused):
				lost.Add(1)
			}
		})
	}
	racers.Wait()
	if won.Load() != 1 || lost.Load() != 4 {
		t.Errorf("got %d winners and %d refusals, want 1 and 4", won.Load(), lost.Load())
	}
}

func TestClaimMustBeProved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const code = "freshfresh22"
	w.invite(t, code, nil)
	other := seal.NewSecretKey()
	for name, c := range map[string]struct {
		edit func(*protocol.ClaimRequest)
		want mesh.Code
	}{
		"no key":           {func(r *protocol.ClaimRequest) { r.PeerPubkey = "" }, mesh.BadRequest},
		"no proof":         {func(r *protocol.ClaimRequest) { r.Proof = "" }, mesh.BadRequest},
		"another key":      {func(r *protocol.ClaimRequest) { r.PeerPubkey = other.Public().String() }, mesh.BadSignature},
		"another box key":  {func(r *protocol.ClaimRequest) { r.RecipientX25519 = seal.NewX25519Secret().Public().String() }, mesh.BadSignature},
		"one bit":          {func(r *protocol.ClaimRequest) { r.Proof = flip(r.Proof) }, mesh.BadSignature},
		"upper case":       {func(r *protocol.ClaimRequest) { r.PeerPubkey = strings.ToUpper(r.PeerPubkey) }, mesh.Malformed},
		"short key":        {func(r *protocol.ClaimRequest) { r.PeerPubkey = r.PeerPubkey[:62] }, mesh.Malformed},
		"weak key":         {func(r *protocol.ClaimRequest) { r.PeerPubkey = "01" + strings.Repeat("0", 62) }, mesh.WeakKey},
		"weak box key":     {func(r *protocol.ClaimRequest) { r.RecipientX25519 = seal.Base64URL(make([]byte, 32)) }, mesh.WeakKey},
		"box key in hex":   {func(r *protocol.ClaimRequest) { r.RecipientX25519 = r.PeerPubkey }, mesh.Malformed},
		"short proof":      {func(r *protocol.ClaimRequest) { r.Proof = r.Proof[:126] }, mesh.Malformed},
		"name with escape": {func(r *protocol.ClaimRequest) { r.DisplayName = "\x1b[2Jbob" }, mesh.BadName},
		"reserved name":    {func(r *protocol.ClaimRequest) { r.DisplayName = "admin" }, mesh.BadName},
	} {
		req, _ := request(t, code, seal.NewSecretKey())
		c.edit(&req)
		if _, err := w.Claim(t.Context(), visit, code, req); !mesh.IsCode(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	req, _ := request(t, code, seal.NewSecretKey())
	if _, err := w.Claim(t.Context(), Visit{Hosts: []string{"other.example:443"}}, code, req); !mesh.IsCode(err, mesh.BadSignature) {
		t.Errorf("signed for another broker: got %v, want bad_signature", err)
	}
	if n := w.uses(t, code); n != 0 {
		t.Errorf("got %d uses, want none", n)
	}
	req, _ = request(t, code, seal.NewSecretKey())
	req.DisplayName = ""
	if _, err := w.Claim(t.Context(), visit, code, req); err != nil {
		t.Errorf("without a name: %v", err)
	}
}

// flip changes one bit of a hex text.
func flip(hex string) string {
	return hex[:len(hex)-1] + map[bool]string{true: "1", false: "0"}[strings.HasSuffix(hex, "0")]
}

func TestPageTellsNothing(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"claudemesh join", "<!doctype html>"} {
		if !bytes.Contains(Page, []byte(want)) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, never := range []string{"<script", "http://", "https://", "<img", "<link", "onload"} {
		if bytes.Contains(Page, []byte(never)) {
			t.Errorf("the page has %q", never)
		}
	}
}
