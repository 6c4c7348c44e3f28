package membership

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

const sessionID = "0198f000-0000-7000-8000-000000000001"

// joiner is who has joined every mesh of meshOf.
var joiner = seal.NewSecretKey()

func meshOf(id mesh.ID, slug string) Mesh { return Mesh{ID: id, Slug: slug, Secret: joiner} }

func sessionKey(t *testing.T, b *Book, id mesh.ID, session string, now time.Time) seal.SecretKey {
	t.Helper()
	key, err := b.SessionSecret(meshOf(id, "one"), session, now)
	if err != nil {
		t.Fatalf("got %v, want a key", err)
	}
	return key
}

func TestOwnerKey(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	owner, err := b.NewOwner(noon)
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(b.config.Keys(), "*.owner.json"))
	if len(files) != 1 {
		t.Fatalf("got %v, want the key on disk before the mesh has an id", files)
	}
	if _, found, err := b.OwnerSecret("m1"); found || err != nil {
		t.Errorf("got %t, %v, want no owner yet", found, err)
	}
	for range 2 { // again is no fault
		if err := b.SaveOwner("m1", owner, noon); err != nil {
			t.Fatal(err)
		}
	}
	if got, found, err := b.OwnerSecret("m1"); !found || err != nil || got.Reveal() != owner.Reveal() {
		t.Errorf("got %v, %t, %v, want the owner's key", got, found, err)
	}
	if err := b.SaveOwner("m1", seal.NewSecretKey(), noon); !mesh.IsCode(err, mesh.IOError) {
		t.Errorf("got %v, want another owner refused", err)
	}
	files, _ = filepath.Glob(filepath.Join(b.config.Keys(), "*"))
	if len(files) != 1 || files[0] != b.OwnerPath("m1") {
		t.Errorf("got %v, want the mesh's file alone", files)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info, err)
	}
}

func TestOwnerKeyRefusals(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	if _, _, err := b.OwnerSecret("../m1"); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("got %v, want an id that leaves the folder refused", err)
	}
	if err := b.SaveOwner("../m1", seal.NewSecretKey(), noon); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("got %v, want an id that leaves the folder refused", err)
	}
	owner := seal.NewSecretKey()
	if err := b.SaveOwner("m1", owner, noon); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(b.OwnerPath("m1"), b.OwnerPath("m2")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.OwnerSecret("m2"); !mesh.IsCode(err, mesh.ConfigUnreadable) {
		t.Errorf("got %v, want the key of another mesh refused", err)
	}
	if err := os.WriteFile(b.OwnerPath("m3"), []byte(`{"version":1`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.OwnerSecret("m3"); !mesh.IsCode(err, mesh.ConfigUnreadable) || !strings.Contains(err.Error(), "m3.owner.json") {
		t.Errorf("got %v, want the half-written file named", err)
	}
}

func TestSessionKeyIsStable(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	first := sessionKey(t, b, "m1", sessionID, noon)
	if got := sessionKey(t, b, "m1", sessionID, noon.Add(time.Hour)); got.Public() != first.Public() {
		t.Error("got another key, want that of the first call")
	}
	if got := sessionKey(t, b, "m2", sessionID, noon); got.Public() == first.Public() {
		t.Error("got one key for two meshes, want one each")
	}
	path := filepath.Join(b.config.Keys(), "m1", sessionID+".json")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || !info.ModTime().Equal(noon.Add(time.Hour)) {
		t.Errorf("got %v, %v, want a private file that remembers its last use", info, err)
	}
}

func TestThreat23SessionIDsThatAreNoFileNames(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	keys := map[seal.PublicKey]string{}
	for _, id := range []string{"", "..", "../../x", "con", "a/b", "A0000000", "a0000000", strings.Repeat("x", 300), "nul\x00", "söhne-und-töchter"} {
		key := sessionKey(t, b, "m1", id, noon).Public()
		if other, twice := keys[key]; twice {
			t.Errorf("got one key for %q and %q, want one each", id, other)
		}
		keys[key] = id
		if again := sessionKey(t, b, "m1", id, noon).Public(); again != key {
			t.Errorf("%q: got another key, want the same", id)
		}
	}
	files, err := os.ReadDir(filepath.Join(b.config.Keys(), "m1"))
	if err != nil || len(files) != len(keys) {
		t.Errorf("got %d files, %v, want %d, all in the mesh's folder", len(files), err, len(keys))
	}
	if _, err := b.SessionSecret(meshOf("../m1", "one"), sessionID, noon); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("got %v, want a mesh id that leaves the folder refused", err)
	}
}

func TestDamagedSessionKeyIsReplaced(t *testing.T) {
	t.Parallel()
	b, log := openBook(t)
	first := sessionKey(t, b, "m1", sessionID, noon)
	path := filepath.Join(b.config.Keys(), "m1", sessionID+".json")
	if err := os.WriteFile(path, []byte(`{"version":1,"sess`), 0o600); err != nil {
		t.Fatal(err)
	}
	second := sessionKey(t, b, "m1", sessionID, noon)
	if second.Public() == first.Public() || sessionKey(t, b, "m1", sessionID, noon).Public() != second.Public() {
		t.Error("got no new lasting key, want one")
	}
	if !strings.Contains(log.String(), "session key is not usable") {
		t.Errorf("got log %q, want the loss named", log)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := b.SessionSecret(meshOf("m1", "one"), sessionID, noon); err == nil {
		t.Error("got a key, want an error while the file cannot be read")
	}
}

func TestSessionKeyOfTypeScriptIsTakenOver(t *testing.T) {
	t.Parallel()
	key := seal.NewSecretKey()
	text := fmt.Sprintf(`{"version":1,"meshSlug":"one","sessionId":%q,"publicKey":%q,"secretKey":%q,"createdAt":"2026-01-01T00:00:00.000Z"}`,
		sessionID, key.Public(), key.Reveal())
	tests := map[string]struct {
		text  string
		taken bool
	}{
		"good":          {text, true},
		"other session": {strings.Replace(text, sessionID, "another-session", 1), false},
		"other key":     {strings.Replace(text, key.Public().String(), seal.NewSecretKey().Public().String(), 1), false},
		"half":          {text[:100], false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := openBook(t)
			old := filepath.Join(b.config.Dir, "sessions", "one", sessionID+".json")
			if err := os.MkdirAll(filepath.Dir(old), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(old, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got := sessionKey(t, b, "m1", sessionID, noon)
			if taken := got.Public() == key.Public(); taken != tc.taken {
				t.Errorf("got the key taken over: %t, want %t", taken, tc.taken)
			}
			if err := os.Remove(old); err != nil {
				t.Fatal(err)
			}
			if sessionKey(t, b, "m1", sessionID, noon).Public() != got.Public() {
				t.Error("got another key without the old file, want our own file to hold it")
			}
		})
	}
}

func TestPruneSessions(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	passing, live := mesh.NewToken(), mesh.NewToken()
	registered := func(id string) bool { return id == live }
	if n, err := b.PruneSessions(noon, registered); n != 0 || err != nil {
		t.Errorf("got %d, %v, want nothing to prune in an empty home", n, err)
	}
	if err := b.SaveOwner("m1", seal.NewSecretKey(), noon); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(b.OwnerPath("m1"), noon, noon); err != nil {
		t.Fatal(err)
	}
	idle := sessionKey(t, b, "m1", sessionID, noon)
	later := noon.Add(29 * 24 * time.Hour)
	sessionKey(t, b, "m1", "used-later", later)
	sessionKey(t, b, "m2", sessionID, noon)
	sessionKey(t, b, "m1", passing, noon)
	kept := sessionKey(t, b, "m1", live, noon)
	for _, tc := range []struct {
		after time.Duration
		want  int
		what  string
	}{{sessionGrace - 1, 0, "none"}, {sessionGrace, 1, "that of the session without an id of a host"}, {sessionIdle, 2, "the two idle ones"}} {
		if n, err := b.PruneSessions(noon.Add(tc.after), registered); n != tc.want || err != nil {
			t.Errorf("after %s: got %d, %v, want pruned %s", tc.after, n, err, tc.what)
		}
	}
	if sessionKey(t, b, "m1", live, later).Public() != kept.Public() {
		t.Error("got another key for a session that is registered")
	}
	if _, found, _ := b.OwnerSecret("m1"); !found {
		t.Error("got the owner's key pruned, want it kept for ever")
	}
	if _, err := os.Stat(filepath.Join(b.config.Keys(), "m2")); !os.IsNotExist(err) {
		t.Errorf("got %v, want the empty folder gone", err)
	}
	if sessionKey(t, b, "m1", sessionID, later).Public() == idle.Public() {
		t.Error("got the pruned key, want a new one")
	}
}

// The session of a key is found by the key alone, among files that are none.
func TestFindSession(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	if _, _, err := b.FindSession("m1", mesh.Key(seal.NewSecretKey().Public().String())); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("got %v without any key, want not_found", err)
	}
	sessionKey(t, b, "m1", "another", noon)
	key := sessionKey(t, b, "m1", sessionID, noon)
	dir, err := b.config.SessionKeys("m1")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "0000.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	pub := mesh.Key(key.Public().String())
	ids, secret, err := b.FindSession("m1", pub)
	if !slices.Equal(ids, []string{sessionID}) || secret.Public() != key.Public() || err != nil {
		t.Errorf("got %q, %v, want %s with its key", ids, err, sessionID)
	}
	m := meshOf("m1", "one")
	for range 2 {
		if err := CopySession(b, m, sessionID, "after-clear", noon); err != nil {
			t.Fatal(err)
		}
	}
	if err := CopySession(b, m, sessionID, "another", noon); err != nil {
		t.Fatal(err)
	}
	ids, _, err = b.FindSession("m1", pub)
	if slices.Sort(ids); err != nil || !slices.Equal(ids, slices.Sorted(slices.Values([]string{sessionID, "after-clear"}))) {
		t.Errorf("got %q, %v, want the session by both its ids, and nothing of one that has a key", ids, err)
	}
	if _, _, err := b.FindSession("m2", pub); !mesh.IsCode(err, mesh.NotFound) {
		t.Errorf("got %v in another mesh, want not_found", err)
	}
}

func TestSessionSecretsOfOneMesh(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	if all, err := SessionSecrets(b, "none"); err != nil || len(all) != 0 {
		t.Errorf("a mesh without sessions: %d keys, %v; want none", len(all), err)
	}
	now := time.UnixMilli(1_700_000_000_000)
	want := map[string]bool{}
	for _, id := range []string{"session-one", "Session Two"} {
		key, err := b.SessionSecret(meshOf("mesh", "team"), id, now)
		if err != nil {
			t.Fatal(err)
		}
		want[key.Public().String()] = true
	}
	if _, err := b.SessionSecret(meshOf("other", "other"), "session-one", now); err != nil {
		t.Fatal(err)
	}
	dir, err := b.config.SessionKeys("mesh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	all, err := SessionSecrets(b, "mesh")
	for _, key := range all {
		got[key.Public().String()] = true
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

// Who has left a mesh and joined it again is another member, and its sessions have other keys: those of before are the old
// member's, and a broker would let nobody in with them.
func TestSessionKeysAreOneMembers(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	before := sessionKey(t, b, "m1", sessionID, noon)
	again := meshOf("m1", "one")
	again.Secret = seal.NewSecretKey()
	after, err := b.SessionSecret(again, sessionID, noon)
	if err != nil || after.Public() == before.Public() {
		t.Fatalf("got %v, %v, want another key for another member", after.Public(), err)
	}
	if kept, err := b.SessionSecret(again, sessionID, noon); err != nil || kept.Public() != after.Public() {
		t.Errorf("got %v, %v, want the same key from now on", kept.Public(), err)
	}
}

// A file of a version that did not note the member is its present one's.
func TestSessionKeyWithoutItsMember(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	path, err := b.config.SessionKey("m1", sessionID)
	if err != nil {
		t.Fatal(err)
	}
	key := seal.NewSecretKey()
	if err := writeKey(path, keyFile{MeshID: "m1", MeshSlug: "one", SessionID: sessionID}, key, noon); err != nil {
		t.Fatal(err)
	}
	if got := sessionKey(t, b, "m1", sessionID, noon); got.Public() != key.Public() {
		t.Error("got another key, want the one of before")
	}
	if f, _, err := b.readKey(path); err != nil || f.Member != string(meshOf("m1", "one").Pubkey()) {
		t.Errorf("got %+v, %v, want the member noted", f, err)
	}
}
