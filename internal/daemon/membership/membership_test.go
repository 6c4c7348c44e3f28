package membership

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/seal"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// openBook opens a book in a folder of its own; its log goes to the buffer.
func openBook(t *testing.T) (*Book, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	b, err := Open(paths.At(filepath.Join(t.TempDir(), "home")), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b, &log
}

func newMesh(id, slug string) Mesh {
	return Mesh{
		ID: mesh.ID(id), MemberID: "member" + mesh.ID(id), Slug: slug, Name: slug, Secret: seal.NewSecretKey(),
		BrokerURL: "ws://127.0.0.1:7900/ws", JoinedAt: noon, RootKey: seal.NewSymmetricKey(), InviteVersion: 2,
	}
}

// entryText is an entry as TypeScript clients write it.
func entryText(m Mesh) string {
	return fmt.Sprintf(`{"meshId":%q,"memberId":%q,"slug":%q,"name":%q,"pubkey":%q,"secretKey":%q,"brokerUrl":%q,"joinedAt":"2026-03-01T12:00:00.000Z"}`,
		m.ID, m.MemberID, m.Slug, m.Name, m.Pubkey(), m.Secret.Reveal(), m.BrokerURL)
}

// writeConfig replaces the file in one step, as the other system does.
func writeConfig(t *testing.T, b *Book, text string, mode os.FileMode) {
	t.Helper()
	aside := b.Path() + ".aside"
	if err := os.WriteFile(aside, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(aside, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, b.Path()); err != nil {
		t.Fatal(err)
	}
}

func slugs(t *testing.T, b *Book) []string {
	t.Helper()
	list, err := b.List()
	if err != nil {
		t.Fatalf("got %v, want a list", err)
	}
	out := []string{}
	for _, m := range list {
		out = append(out, m.Slug)
	}
	return out
}

func TestAddListRemove(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	if got := slugs(t, b); len(got) != 0 {
		t.Errorf("got %v, want no meshes without a file", got)
	}
	one, two := newMesh("m1", "one"), newMesh("m2", "two")
	for _, m := range []Mesh{one, two} {
		if err := b.Add(m); err != nil {
			t.Fatal(err)
		}
	}
	got, err := b.Find("two")
	if err != nil {
		t.Fatal(err)
	}
	if got.Secret.Reveal() != two.Secret.Reveal() || got.RootKey.Reveal() != two.RootKey.Reveal() || got.ID != two.ID ||
		got.MemberID != two.MemberID || !got.JoinedAt.Equal(noon) || got.BrokerURL != two.BrokerURL || got.InviteVersion != 2 {
		t.Errorf("got %+v, want what was added", got)
	}
	removed, err := b.Remove("one")
	if err != nil || removed.ID != "m1" {
		t.Errorf("got %s, %v, want m1 removed", removed.ID, err)
	}
	if diff := cmp.Diff([]string{"two"}, slugs(t, b)); diff != "" {
		t.Error("what is left:", diff)
	}
	if _, err := b.Remove("one"); !mesh.IsCode(err, mesh.MeshNotAttached) {
		t.Errorf("got %v, want mesh_not_attached for a mesh that is gone", err)
	}
	info, err := os.Stat(b.Path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info.Mode(), err)
	}
}

// TestFileKeepsWhatIsNotOurs adds to a file with names we do not know, at both levels, and compares the whole file.
func TestFileKeepsWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	one := newMesh("m1", "one")
	text := strings.Replace(entryText(one), `"slug"`, `"pinned":1.50e1,"note":"caf\u00e9 \u003c","slug"`, 1)
	writeConfig(t, b, "{\r\n\"accountId\":\"a\\u0031\",\"version\":1,\"meshes\":["+text+",{\"strange\":true}],\"groups\":[{\"name\":\"x\"}]}\r\n", 0o644)
	two := newMesh("m2", "two")
	if err := b.Add(two); err != nil {
		t.Fatal(err)
	}
	one.BrokerURL, one.Slug = "wss://new.example/ws", "one-2"
	if err := b.Add(one); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(b.Path())
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "accountId": "a\u0031",
  "version": 1,
  "meshes": [
    {
      "meshId": "m1",
      "memberId": "memberm1",
      "pinned": 1.50e1,
      "note": "caf\u00e9 \u003c",
      "slug": "one",
      "name": "one",
      "pubkey": "` + string(one.Pubkey()) + `",
      "secretKey": "` + one.Secret.Reveal() + `",
      "brokerUrl": "wss://new.example/ws",
      "joinedAt": "2026-03-01T12:00:00.000Z",
      "rootKey": "` + one.RootKey.Reveal() + `",
      "inviteVersion": 2
    },
    {
      "strange": true
    },
    {
      "meshId": "m2",
      "memberId": "memberm2",
      "slug": "two",
      "name": "two",
      "pubkey": "` + string(two.Pubkey()) + `",
      "secretKey": "` + two.Secret.Reveal() + `",
      "brokerUrl": "ws://127.0.0.1:7900/ws",
      "joinedAt": "2026-03-01T12:00:00.000Z",
      "rootKey": "` + two.RootKey.Reveal() + `",
      "inviteVersion": 2
    }
  ],
  "groups": [
    {
      "name": "x"
    }
  ]
}
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("config.json (-want +got):\n%s", diff)
	}
}

func TestThreat36UnreadableFileIsNeverWritten(t *testing.T) {
	t.Parallel()
	good := entryText(newMesh("m1", "one"))
	tests := map[string]string{
		"empty":            "",
		"half-written":     `{"version":1,"meshes":[` + good[:len(good)/2],
		"trailing":         `{"version":1,"meshes":[]} {}`,
		"list":             `[]`,
		"null":             `null`,
		"duplicate names":  `{"version":1,"meshes":[],"meshes":[]}`,
		"nested duplicate": `{"version":1,"meshes":[{"a":1,"a":2}]}`,
		"wrong case":       `{"version":1,"Meshes":[]}`,
		"meshes object":    `{"version":1,"meshes":{}}`,
		"newer":            `{"version":2,"meshes":[]}`,
		"mark":             "\xef\xbb\xbf{\"version\":1,\"meshes\":[]}",
		"bad UTF-8":        "{\"version\":1,\"x\":\"\xff\"}",
		"deep":             `{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
		"huge":             `{"version":1,"x":"` + strings.Repeat("x", 11<<20) + `"}`,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := openBook(t)
			writeConfig(t, b, text, 0o600)
			_, listErr := b.List()
			_, removeErr := b.Remove("one")
			for _, err := range []error{listErr, b.Add(newMesh("m2", "two")), removeErr} {
				if !mesh.IsCode(err, mesh.ConfigUnreadable) || !strings.Contains(err.Error(), b.Path()) {
					t.Errorf("got %v, want config_unreadable that names %s", err, b.Path())
				}
			}
			if got, _ := os.ReadFile(b.Path()); string(got) != text {
				t.Error("got another file, want it untouched")
			}
		})
	}
}

func TestEntriesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	good := newMesh("m1", "one")
	other := newMesh("m2", "two")
	tests := map[string]string{
		"no object":      `7`,
		"no id":          strings.Replace(entryText(other), `"m2"`, `""`, 1),
		"short key":      strings.Replace(entryText(other), other.Secret.Reveal(), "abcd", 1),
		"upper-case key": strings.Replace(entryText(other), other.Secret.Reveal(), strings.ToUpper(other.Secret.Reveal()), 1),
		"other pubkey":   strings.Replace(entryText(other), `"pubkey":"`+string(other.Pubkey()), `"pubkey":"`+string(good.Pubkey()), 1),
		"same id":        strings.Replace(entryText(other), `"m2"`, `"m1"`, 1),
		"wrong kind":     strings.Replace(entryText(other), `"two"`, `["two"]`, 1),
		"wrong case":     strings.Replace(entryText(other), `"slug"`, `"Slug"`, 1),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, log := openBook(t)
			writeConfig(t, b, `{"version":1,"meshes":[`+entryText(good)+`,`+text+`]}`, 0o600)
			if diff := cmp.Diff([]string{"one"}, slugs(t, b)); diff != "" {
				t.Error("listed:", diff)
			}
			if !strings.Contains(log.String(), "entry of config.json is not used") {
				t.Errorf("got log %q, want the entry named", log)
			}
			if strings.Contains(log.String(), other.Secret.Reveal()) {
				t.Error("got a secret in the log, want none")
			}
		})
	}
}

func TestSlugsAreMadeUnique(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	var entries []string
	for i, slug := range []string{"one", "one", "one-2", "one", "Über uns"} {
		entries = append(entries, entryText(newMesh(fmt.Sprint("m", i), slug)))
	}
	writeConfig(t, b, `{"meshes":[`+strings.Join(entries, ",")+`]}`, 0o600)
	if diff := cmp.Diff([]string{"one", "one-3", "one-2", "one-4", "ber-uns"}, slugs(t, b)); diff != "" {
		t.Error("slugs:", diff)
	}
	if _, err := b.Remove("one-3"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Remove("one-3"); err != nil {
		t.Fatal(err)
	}
	list, err := b.List()
	if err != nil || len(list) != 3 || list[0].ID != "m0" || list[1].ID != "m2" || list[2].ID != "m4" {
		t.Errorf("got %v, %v, want m0, m2 and m4 left: a slug means a mesh id", list, err)
	}
}

func TestModeIsWarnedAboutOnceAndMended(t *testing.T) {
	t.Parallel()
	b, log := openBook(t)
	writeConfig(t, b, `{"version":1,"meshes":null}`, 0o644)
	for range 3 {
		slugs(t, b)
	}
	if got := strings.Count(log.String(), "chmod 600"); got != 1 {
		t.Errorf("got %d warnings, want 1", got)
	}
	if err := b.Add(newMesh("m1", "one")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(b.Path()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want the file closed to others", info.Mode(), err)
	}
}

// TestTwoWriters adds meshes from two books of one home at once, as two processes would.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	home := paths.At(t.TempDir())
	var wg sync.WaitGroup
	for w := range 2 {
		book, err := Open(home, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			wg.Go(func() {
				if err := book.Add(newMesh(fmt.Sprintf("m%d-%d", w, i), fmt.Sprintf("s%d-%d", w, i))); err != nil {
					t.Errorf("got %v, want mesh %d of writer %d added", err, i, w)
				}
			})
		}
	}
	wg.Wait()
	b, err := Open(home, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := slugs(t, b); len(got) != 16 {
		t.Errorf("got %d meshes, want 16: %v", len(got), got)
	}
	if entries, _ := os.ReadDir(home.Config.Dir); len(entries) != 2 {
		t.Errorf("got %v, want config.json and its lock alone", entries)
	}
}

func TestListSeesForeignWrites(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	for _, slug := range []string{"one", "two"} { // same length, perhaps within one tick of the file's clock
		writeConfig(t, b, `{"meshes":[`+entryText(newMesh("m1", slug))+`]}`, 0o600)
		if diff := cmp.Diff([]string{slug}, slugs(t, b)); diff != "" {
			t.Error("slugs:", diff)
		}
	}
	if err := os.Remove(b.Path()); err != nil {
		t.Fatal(err)
	}
	if got := slugs(t, b); len(got) != 0 {
		t.Errorf("got %v, want nothing after the file is gone", got)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"version":1,"meshes":[` + entryText(newMesh("m1", "one")) + `],"x":{"y":[1,2]}}`))
	f.Add([]byte(`{"meshes":null}`))
	f.Add([]byte(`{"meshes":[7,{"meshId":"m9"}]}`))
	added := newMesh("m9", "nine")
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := parseDocument(data)
		if err != nil {
			return
		}
		before := doc.meshes(slog.New(slog.DiscardHandler))
		if err := doc.put(added); err != nil {
			return // the entry of that id is no object
		}
		out, err := doc.encode()
		if err != nil {
			t.Fatalf("got %v, want a file that was read to be written", err)
		}
		again, err := parseDocument(out)
		if err != nil {
			t.Fatalf("got %v, want what was written to be read:\n%s", err, out)
		}
		after := again.meshes(slog.New(slog.DiscardHandler))
		if len(after) < len(before) {
			t.Fatalf("got %d meshes, want at least %d", len(after), len(before))
		}
		compareOthers(t, data, out)
	})
}

// compareOthers compares the values of all names but `meshes` before and after.
func compareOthers(t *testing.T, before, after []byte) {
	t.Helper()
	var a, b map[string]any
	if json.Unmarshal(before, &a) != nil {
		return // a number beyond a double
	}
	if err := json.Unmarshal(after, &b); err != nil {
		t.Fatal(err)
	}
	delete(a, "meshes")
	delete(b, "meshes")
	if diff := cmp.Diff(a, b); diff != "" {
		t.Fatalf("other names changed: %s", diff)
	}
}
