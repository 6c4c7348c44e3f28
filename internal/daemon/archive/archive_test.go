package archive

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestWhatIsWrittenIsExtracted(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	names := []string{"config.json", "keys/m1.owner.json", "keys/m1/3f0c.json", "daemon/outbox.db"}
	var entries []Entry
	for i, name := range names {
		path := filepath.Join(from, string(rune('a'+i)))
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, Entry{name, path})
	}
	var b bytes.Buffer
	if err := Write(&b, entries, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	whole := bytes.Clone(b.Bytes())
	got, err := Extract(&b, to)
	if diff := cmp.Diff(names, got); diff != "" || err != nil {
		t.Fatalf("%v, names (-want +got):\n%s", err, diff)
	}
	for _, name := range names {
		path := filepath.Join(to, filepath.FromSlash(name))
		text, err := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil || string(text) != name || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %q, %v, %v, want its own name, for nobody else", name, text, err, statErr)
		}
	}
	for n := 0; n < len(whole)-2*512-512; n += 512 { // two empty blocks are its end
		if _, err := Extract(bytes.NewReader(whole[:n]), t.TempDir()); err == nil {
			t.Errorf("the first %d of %d bytes were taken for a whole archive", n, len(whole))
		}
	}
}

// Nothing gets out of its folder, and nothing is taken that no backup has.
func TestExtractRefuses(t *testing.T) {
	t.Parallel()
	good := `{"format":1,"made_at":"2026-01-01T00:00:00.000Z","version":"1.0.0","files":["config.json"]}`
	for name, c := range map[string]struct {
		note string
		h    tar.Header
		want mesh.Code
	}{
		"no note":          {``, tar.Header{Name: "config.json", Typeflag: tar.TypeReg}, mesh.BadRequest},
		"newer":            {`{"format":2,"made_at":"","version":"9","files":[]}`, tar.Header{Name: "config.json", Typeflag: tar.TypeReg}, mesh.StoreNewer},
		"another note":     {`{"format":"one"}`, tar.Header{Name: "config.json", Typeflag: tar.TypeReg}, mesh.BadRequest},
		"above":            {good, tar.Header{Name: "../config.json", Typeflag: tar.TypeReg}, mesh.BadRequest},
		"above in keys":    {good, tar.Header{Name: "keys/../../x.json", Typeflag: tar.TypeReg}, mesh.BadRequest},
		"absolute":         {good, tar.Header{Name: "/etc/passwd", Typeflag: tar.TypeReg}, mesh.BadRequest},
		"a link":           {good, tar.Header{Name: "config.json", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, mesh.BadRequest},
		"a folder":         {good, tar.Header{Name: "keys", Typeflag: tar.TypeDir}, mesh.BadRequest},
		"something else":   {good, tar.Header{Name: "daemon/local-token", Typeflag: tar.TypeReg}, mesh.BadRequest},
		"too large a text": {good, tar.Header{Name: "config.json", Typeflag: tar.TypeReg, Size: maxFile + 1}, mesh.BadRequest},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if c.note != "" {
			_ = w.WriteHeader(header(noteName, int64(len(c.note)), time.Unix(1, 0))) // a buffer takes everything
			_, _ = w.Write([]byte(c.note))
		}
		_ = w.WriteHeader(&c.h)
		dir := t.TempDir()
		if _, err := Extract(&b, dir); !mesh.IsCode(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		if left, err := fs.Glob(os.DirFS(dir), "*"); err != nil || left != nil {
			t.Errorf("%s: got %q, %v, want nothing written", name, left, err)
		}
	}
	if _, err := Extract(bytes.NewReader([]byte("text")), t.TempDir()); !mesh.IsCode(err, mesh.BadRequest) {
		t.Errorf("a text: got %v, want %s", err, mesh.BadRequest)
	}
}
