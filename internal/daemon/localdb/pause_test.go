package localdb

import (
	"io/fs"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// What was paused before anything could be muted is paused still, and a mute of the same peer is another thing.
func TestPausesAndMutes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "local.db")
	older := fstest.MapFS{}
	names, err := fs.Glob(migrations, "migrations/00[01][0-9]_*.sql")
	check(t, err)
	for _, name := range names {
		data, err := migrations.ReadFile(name)
		check(t, err)
		if base := filepath.Base(name); base < "0012" {
			older[base] = &fstest.MapFile{Data: data}
		}
	}
	old, err := sqlite.Open(t.Context(), path, sqlite.Options{Migrations: older, Now: func() time.Time { return noon }, Small: true})
	check(t, err)
	check(t, old.Write(t.Context(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec("INSERT INTO pause (mesh_id, member, name, since) VALUES ('m', 'k', 'ben', $1)", noon.UnixMilli())
		return err
	}))
	check(t, old.Close())
	d := openDB(t, path)
	paused := Pause{MeshID: "m", Member: "k", Name: "ben", Since: noon}
	muted, group := paused, Pause{Mute: true, Group: "@ops", Name: "@ops", Since: noon.Add(time.Hour)}
	muted.Mute, muted.Since = true, noon.Add(time.Minute)
	check(t, SavePauses(t.Context(), d, []Pause{group, muted}))
	for _, want := range [][]Pause{{paused, muted, group}, {paused, group}, {group}} {
		got, err := ListPauses(t.Context(), d)
		check(t, err)
		if diff := cmp.Diff(want, got, cmp.Comparer(time.Time.Equal)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		check(t, EndPauses(t.Context(), d, map[int][]Pause{3: {muted}, 2: {paused}}[len(want)]))
	}
}
