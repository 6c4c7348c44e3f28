package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// note is what is remembered of a file that was written.
type note struct {
	Path    string   `json:"path"`
	Existed bool     `json:"existed"` // before
	After   string   `json:"after"`   // SHA-256 of what was written, hex
	Made    []string `json:"made"`    // containers that were not there, by their paths
	Folder  string   `json:"folder"`  // the outermost folder that was made for it, or empty
}

// memory is what is remembered of all files.
type memory struct {
	state paths.Install
	notes *[]note
}

type memoryFile struct {
	Version int    `json:"version"`
	Files   []note `json:"files"`
}

const memoryVersion = 1

func remember(state paths.Install) (memory, error) {
	m := memory{state: state, notes: new([]note)}
	data, _, err := paths.ReadSecret(state.File())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, nil
	case err != nil:
		return m, err
	}
	var f memoryFile
	if err := wire.Decode(data, &f); err != nil || f.Version != memoryVersion {
		return m, mesh.Errorf(mesh.ConfigUnreadable, "%s is not readable by this version: %w", state.File(), err)
	}
	*m.notes = f.Files
	return m, nil
}

// within are the files in a folder that were written.
func (m memory) within(folder string) (paths []string) {
	for _, n := range *m.notes {
		if filepath.Dir(n.Path) == folder {
			paths = append(paths, n.Path)
		}
	}
	return paths
}

// recall returns the note of a file and what it was before; nil for none.
func (m memory) recall(path string) (*note, []byte, error) {
	i := slices.IndexFunc(*m.notes, func(n note) bool { return n.Path == path })
	if i < 0 {
		return nil, nil, nil
	}
	n := (*m.notes)[i]
	if !n.Existed {
		return &n, nil, nil
	}
	text, err := os.ReadFile(m.state.Backup(path))
	if err != nil {
		return nil, nil, mesh.Errorf(mesh.IOError, "read what %s was before: %w", path, err)
	}
	return &n, text, nil
}

// keep remembers what a file will be and what it was, or forgets it where its note is nil.
func (m memory) keep(f *file) error {
	notes := slices.DeleteFunc(slices.Clone(*m.notes), func(n note) bool { return n.Path == f.path })
	backup := m.state.Backup(f.path)
	switch {
	case f.note == nil:
	case f.note.Existed:
		if err := paths.WriteSecret(backup, f.before); err != nil {
			return err
		}
		fallthrough
	default:
		notes = append(notes, *f.note)
	}
	data, err := wire.Encode(memoryFile{memoryVersion, notes})
	if err != nil {
		return err
	}
	if err := paths.WriteSecret(m.state.File(), data); err != nil {
		return err
	}
	*m.notes = notes
	if f.note == nil {
		if err := os.Remove(backup); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return mesh.Errorf(mesh.IOError, "remove what %s was before: %w", f.path, err)
		}
	}
	return nil
}
