package membership

import (
	"os"
	"strings"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// TestRename: the rest of the file stays as it is, and no name is taken from another entry.
func TestRename(t *testing.T) {
	t.Parallel()
	b, _ := openBook(t)
	one, two := newMesh("mesh1", "one"), newMesh("mesh2", "two")
	writeConfig(t, b, `{"version":1,"theme":"dark","meshes":[`+strings.Replace(entryText(one), "{", `{"unknown":[1,2],`, 1)+`,`+entryText(two)+`]}`, 0o600)
	for _, tc := range []struct {
		slug, name string
		changed    bool
		want       string
	}{
		{"one", "one", false, "one"}, {"crew", "The Crew", true, "crew"}, {"crew", "The Crew", false, "crew"}, {"crew", "Crew", true, "crew"},
		{"two", "Two", true, "two-2"}, {"two", "Two", false, "two-2"},
	} {
		changed, err := b.Rename("mesh1", tc.slug, tc.name)
		if err != nil || changed != tc.changed {
			t.Errorf("%s, %s: got changed %t, %v, want %t", tc.slug, tc.name, changed, err, tc.changed)
		}
		list, err := b.List()
		if err != nil || len(list) != 2 || list[0].Slug != tc.want || list[0].Name != tc.name || list[1].Slug != "two" || list[0].Secret.Reveal() != one.Secret.Reveal() {
			t.Errorf("%s, %s: got %v and %d meshes, want %s beside two", tc.slug, tc.name, err, len(list), tc.want)
		}
	}
	data, err := os.ReadFile(b.Path())
	if err != nil || !strings.Contains(string(data), `"theme": "dark"`) || !strings.Contains(string(data), `"unknown": [`) {
		t.Errorf("got %s, %v, want what is not ours kept", data, err)
	}
	if _, err := b.Rename("mesh9", "x1", "x"); !mesh.IsCode(err, mesh.MeshNotAttached) {
		t.Errorf("got %v, want mesh_not_attached for a mesh that is not there", err)
	}
}
