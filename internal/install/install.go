// Package install tells the programs that sessions run in of claudemesh, and takes out again what it told them. It changes
// nothing else in their files, keeps what they were, and does the whole or nothing.
package install

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Action is what was done, or would be done, with one part.
type Action string

// The actions. Unchanged is said of what stood there already, Absent of what there was nothing of, and Kept of what stands
// in our place and is somebody else's.
const (
	Added     Action = "added"
	Updated   Action = "updated"
	Unchanged Action = "unchanged"
	Removed   Action = "removed"
	Absent    Action = "absent"
	Kept      Action = "kept"
)

// Step is one part of one program.
type Step struct {
	Client string // its ID
	What   string // "mcp server"
	Path   string // of the file that is written, behind symbolic links
	Link   string // the path that leads there, if it is another one
	Action Action
}

// Installer changes the files of programs.
type Installer struct {
	Places  Places
	Program string            // absolute path of ours
	State   paths.Install     // what is remembered
	Skip    []string          // parts that are not put in, by their What; those that are in stay
	Skill   map[string]string // files of the bundled skill, by name; those that uninstall takes out need no text
}

// lockTime is how long another run is waited for, and rereads how often a file may change under the hands of this one.
const (
	lockTime  = 10 * time.Second
	lockRetry = 20 * time.Millisecond
	rereads   = 3
)

// Install tells clients of the program. Nothing is written when one of them cannot be told, or when dry.
func (in *Installer) Install(ctx context.Context, clients []Client, dry bool) ([]Step, error) {
	return in.change(ctx, clients, dry, (*file).install)
}

// Look says what Install would do, and touches nothing, not even a lock: a file that changes meanwhile is seen as it was.
func (in *Installer) Look(clients []Client) ([]Step, error) {
	mem, err := remember(in.State)
	if err != nil {
		return nil, err
	}
	files, err := in.plan(clients, mem, mem.within(in.Places.skillFolder()), (*file).install)
	if err != nil {
		return nil, err
	}
	return steps(files), nil
}

// Uninstall takes out what Install put in. A file that nobody else has changed since is what it was before, byte for byte.
func (in *Installer) Uninstall(ctx context.Context, clients []Client, dry bool) ([]Step, error) {
	return in.change(ctx, clients, dry, (*file).uninstall)
}

func (in *Installer) change(ctx context.Context, clients []Client, dry bool, plan func(*file, memory) error) ([]Step, error) {
	if err := paths.EnsureDir(in.State.Dir, paths.DirMode); err != nil {
		return nil, err
	}
	lock := flock.New(in.State.Lock(), flock.SetPermissions(paths.FileMode))
	waiting, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	if ok, err := lock.TryLockContext(waiting, lockRetry); !ok {
		return nil, mesh.Errorf(mesh.IOError, "lock %s, which another claudemesh holds: %w", in.State.Lock(), err)
	}
	defer func() { _ = lock.Unlock() }() // it ends with the process otherwise
	mem, err := remember(in.State)
	if err != nil {
		return nil, err
	}
	outdated := mem.within(in.Places.skillFolder())
	for range rereads {
		files, err := in.plan(clients, mem, outdated, plan)
		if err != nil {
			return nil, err
		}
		again, err := in.write(files, mem, dry)
		if err != nil {
			return nil, err
		}
		if !again {
			return steps(files), nil
		}
	}
	return nil, mesh.Errorf(mesh.IOError, "a program changes its file all the time: close it and try again")
}

// plan works out what becomes of each file, and writes nothing.
// Outdated are files that an earlier version wrote; those that are no part any more go.
func (in *Installer) plan(clients []Client, mem memory, outdated []string, plan func(*file, memory) error) ([]*file, error) {
	var files []*file
	for _, c := range clients {
		for _, p := range c.all(in, outdated) {
			i := slices.IndexFunc(files, func(f *file) bool { return f.path == p.path && f.client == c.ID })
			if i < 0 {
				f, err := readFile(c.ID, p.path)
				if err != nil {
					return nil, err
				}
				files, i = append(files, f), len(files)
			}
			p.skip = slices.Contains(in.Skip, p.what)
			files[i].parts = append(files[i].parts, p)
		}
	}
	for _, f := range files {
		plan := plan
		if f.parts[0].gone {
			plan = (*file).uninstall
		}
		if err := plan(f, mem); err != nil {
			return nil, mesh.Errorf(mesh.ConfigUnreadable, "%s is left as it is: %w", f.path, err)
		}
	}
	return files, nil
}

// write makes the changes. It reports whether a file was changed meanwhile, in which case all must be planned again: what
// was written until then stands, and the next plan finds it.
func (in *Installer) write(files []*file, mem memory, dry bool) (again bool, err error) {
	for _, f := range files {
		if dry {
			continue
		}
		if !f.same() {
			if f.note != nil { // before the file: what is remembered too much does no harm
				err = mem.keep(f)
			}
			if err == nil {
				again, err = f.replace()
			}
		}
		if err == nil && !again && f.note == nil {
			err = mem.keep(f)
		}
		if err != nil || again {
			return again, err
		}
	}
	for _, f := range files { // when all of them are gone
		for folder := filepath.Dir(f.target); !dry && f.next == nil && f.folder != "" && len(folder) >= len(f.folder); folder = filepath.Dir(folder) {
			_ = os.Remove(folder) // one that is not empty stays
		}
	}
	return false, nil
}

func steps(files []*file) (all []Step) {
	for _, f := range files {
		for i, p := range f.parts {
			if f.actions[i] == "" {
				continue
			}
			s := Step{Client: f.client, What: p.what, Path: f.target, Action: f.actions[i]}
			if f.target != f.path {
				s.Link = f.path
			}
			all = append(all, s)
		}
	}
	return all
}

// file is one file of a program.
type file struct {
	client       string
	path, target string // as it is known, and behind symbolic links
	exists       bool
	mode         fs.FileMode
	text         []byte // as it is
	parts        []part

	actions []Action // of the parts
	next    []byte   // what it becomes; nil for no file
	note    *note    // what is remembered of it then; nil for nothing
	before  []byte   // what it was without our parts, to be kept with the note
	folder  string   // the outermost folder that was made for it
}

const maxFileBytes = 64 << 20

func readFile(client, path string) (*file, error) {
	f := &file{client: client, path: path, target: path, mode: 0o600}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		f.target = target
	} else if _, lstat := os.Lstat(path); lstat == nil {
		return nil, mesh.Errorf(mesh.IOError, "follow the link %s: %w", path, err)
	}
	info, err := os.Stat(f.target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, nil
	case err != nil:
		return nil, mesh.Errorf(mesh.IOError, "look at %s: %w", f.target, err)
	case !info.Mode().IsRegular() || info.Size() > maxFileBytes:
		return nil, mesh.Errorf(mesh.ConfigUnreadable, "%s is no file of settings", f.target)
	}
	if f.text, err = os.ReadFile(f.target); err != nil {
		return nil, mesh.Errorf(mesh.IOError, "read the settings of %s: %w", client, err)
	}
	f.exists, f.mode = true, info.Mode().Perm()
	return f, nil
}

// same reports whether nothing is to be written.
func (f *file) same() bool { return f.exists == (f.next != nil) && bytes.Equal(f.text, f.next) }

// install plans to put the parts in.
func (f *file) install(mem memory) error {
	before, existed, made, err := f.without(mem)
	if err != nil {
		return err
	}
	next := f.text
	for _, p := range f.parts {
		if p.skip && !(p.follows && f.has(p)) {
			f.actions = append(f.actions, "")
			continue
		}
		if p.foreign != nil && p.foreign(next) {
			f.actions = append(f.actions, Kept)
			continue
		}
		for _, c := range p.around {
			if !slices.Contains(made, c) && !hasJSON(next, c) {
				made = append(made, c)
			}
		}
		set, err := p.set(next)
		if err != nil {
			return err
		}
		out, err := p.unset(next, nil)
		if err != nil {
			return err
		}
		switch {
		case f.exists && bytes.Equal(set, next):
			f.actions = append(f.actions, Unchanged)
		case bytes.Equal(out, next):
			f.actions = append(f.actions, Added)
		default:
			f.actions = append(f.actions, Updated)
		}
		next = set
	}
	f.next, f.before = next, before
	if !f.exists && len(next) == 0 {
		f.next = nil // all was skipped
	}
	f.note = &note{Path: f.path, Existed: existed, After: sum(next), Made: made, Folder: missing(filepath.Dir(f.target))}
	if n, _, err := mem.recall(f.path); err == nil && n != nil && n.Folder != "" {
		f.note.Folder = n.Folder
	}
	return nil
}

// missing is the outermost of the folders around a file that are not there; empty when all are.
func missing(folder string) (outermost string) {
	for !exists(folder) && folder != filepath.Dir(folder) {
		outermost, folder = folder, filepath.Dir(folder)
	}
	return outermost
}

// uninstall plans to take the parts out.
func (f *file) uninstall(mem memory) error {
	before, existed, _, err := f.without(mem)
	if err != nil {
		return err
	}
	changed := !bytes.Equal(before, f.text) || existed != f.exists
	for _, p := range f.parts {
		action := Absent
		if changed && (p.whole || f.has(p)) {
			action = Removed
		}
		f.actions = append(f.actions, action)
	}
	f.next = nil
	if existed {
		f.next = append([]byte{}, before...)
	}
	return nil
}

// has reports whether a part of a file of settings is in it; what cannot be read has none.
func (f *file) has(p part) bool {
	without, err := p.unset(f.text, nil)
	return err == nil && !bytes.Equal(without, f.text)
}

// without is what the file would be without our parts, and whether it would be there; made are the containers in it that
// are ours. A file that is as we left it was before what we kept.
func (f *file) without(mem memory) (text []byte, existed bool, made []string, err error) {
	n, kept, err := mem.recall(f.path)
	if err != nil {
		return nil, false, nil, err
	}
	if n != nil {
		made, f.folder = n.Made, n.Folder
		if f.parts[0].whole || f.exists && sum(f.text) == n.After {
			return kept, n.Existed, made, nil
		}
	}
	if f.parts[0].whole {
		return f.text, f.exists, nil, nil // somebody else's
	}
	text = f.text
	for _, p := range slices.Backward(f.parts) {
		if text, err = p.unset(text, made); err != nil {
			return nil, false, nil, err
		}
	}
	existed = f.exists
	if n != nil && !n.Existed && empty(text) {
		existed, text = false, nil
	}
	return text, existed, made, nil
}

// empty reports whether nothing stands in a file of settings.
func empty(text []byte) bool {
	text = bytes.TrimSpace(text)
	return len(text) == 0 || string(text) == "{}"
}

// replace writes the file, or removes it, unless it was changed since it was read.
func (f *file) replace() (changed bool, err error) {
	now, err := readFile(f.client, f.path)
	if err != nil {
		return false, err
	}
	if !bytes.Equal(now.text, f.text) || now.exists != f.exists {
		return true, nil
	}
	if f.next == nil {
		if err := os.Remove(f.target); err != nil {
			return false, mesh.Errorf(mesh.IOError, "remove %s: %w", f.target, err)
		}
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(f.target), 0o700); err != nil {
		return false, mesh.Errorf(mesh.IOError, "make the folder of %s: %w", f.target, err)
	}
	return false, paths.WriteFile(f.target, f.next, f.mode)
}

func sum(text []byte) string {
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:])
}
