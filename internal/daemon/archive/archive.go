// Package archive puts the files of a daemon into one stream, and takes them out again: a tar of plain files, which other
// programs read too, with a note of what it is in front.
package archive

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Entry is a file and its name in an archive, with slashes.
type Entry struct {
	Name string
	Path string
}

// note stands first, under noteName.
type note struct {
	Format  int      `json:"format"`
	MadeAt  string   `json:"made_at"`
	Version string   `json:"version"`
	Files   []string `json:"files"` // that follow
}

const (
	noteName = "backup.json"
	format   = 1
	maxFile  = 16 << 20 // of what is no database
)

// known are the names that an archive may hold. What begins with a name of a letter or digit cannot leave its folder.
var known = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(config|settings)\.json$|^keys/([0-9A-Za-z_-]+/)?[0-9A-Za-z_-]+(\.owner)?\.json$|^daemon/(outbox|inbox|daemon)\.db$`)
})

// Write writes the files.
func Write(w io.Writer, entries []Entry, now time.Time) error {
	out := tar.NewWriter(w)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name
	}
	text, err := wire.Encode(note{format, mesh.FormatTime(now), buildinfo.Version(), names})
	if err != nil {
		return err
	}
	if err := out.WriteHeader(header(noteName, int64(len(text)), now)); err != nil {
		return err
	}
	if _, err := out.Write(text); err != nil {
		return err
	}
	for _, e := range entries {
		if err := add(out, e, now); err != nil {
			return err
		}
	}
	return out.Close()
}

func header(name string, size int64, now time.Time) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: int64(paths.FileMode), ModTime: now.Truncate(time.Second)}
}

func add(out *tar.Writer, e Entry, now time.Time) error {
	in, err := os.Open(e.Path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // nothing was written
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := out.WriteHeader(header(e.Name, info.Size(), now)); err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return err
}

// Extract writes the files of an archive below dir, which is empty, for nobody else to read, and gives their names.
// bad_request: it is none of ours, or holds what none of ours does.
func Extract(r io.Reader, dir string) ([]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, mesh.Errorf(mesh.IOError, "%w", err)
	}
	defer func() { _ = root.Close() }() // its files are closed
	in := tar.NewReader(r)
	n, err := readNote(in)
	if err != nil {
		return nil, err
	}
	var names []string
	for {
		h, err := in.Next()
		if err == io.EOF {
			if !slices.Equal(names, n.Files) {
				return nil, mesh.Errorf(mesh.BadRequest, "the backup is not whole: %d of its %d files are there", len(names), len(n.Files))
			}
			return names, drain(r)
		}
		if err != nil {
			return nil, broken(err)
		}
		if h.Typeflag != tar.TypeReg || !known().MatchString(h.Name) || path.Ext(h.Name) == ".json" && h.Size > maxFile {
			return nil, mesh.Errorf(mesh.BadRequest, "the backup holds %q, which no backup of ours does", h.Name)
		}
		if err := take(root, in, h.Name); err != nil {
			return nil, err
		}
		names = append(names, h.Name)
	}
}

// drain reads to the end: what is sealed is whole only then.
func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return broken(err)
}

func readNote(in *tar.Reader) (note, error) {
	var n note
	h, err := in.Next()
	if err != nil {
		return n, broken(err)
	}
	text, err := io.ReadAll(io.LimitReader(in, maxFile))
	if err != nil {
		return n, broken(err)
	}
	switch err := wire.Decode(text, &n); {
	case h.Name != noteName, err != nil, n.Format <= 0:
		return n, mesh.Errorf(mesh.BadRequest, "it is no backup of a daemon")
	case n.Format > format:
		return n, mesh.Errorf(mesh.StoreNewer, "the backup was made by version %s", n.Version)
	}
	return n, nil
}

// broken is an error of reading an archive. Those with a code stay as they are.
func broken(err error) error {
	if err == nil || errors.As(err, new(*mesh.Error)) {
		return err
	}
	return mesh.Errorf(mesh.BadRequest, "it is no backup of a daemon: %w", err)
}

// take writes one file.
func take(root *os.Root, in io.Reader, name string) error {
	if err := root.MkdirAll(path.Dir(name), paths.DirMode); err != nil {
		return mesh.Errorf(mesh.IOError, "%w", err)
	}
	out, err := root.OpenFile(filepath.FromSlash(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, paths.FileMode)
	if err != nil {
		return mesh.Errorf(mesh.IOError, "%w", err)
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close() // the first error is the one to report
		return broken(err)
	}
	if err := errors.Join(out.Sync(), out.Close()); err != nil {
		return mesh.Errorf(mesh.IOError, "%w", err)
	}
	return nil
}
