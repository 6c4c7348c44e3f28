//go:build unix

package paths

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Somebody swaps a file of ours for a link to another file and back, all the time: what is written lands in our folder
// or nowhere, and the other file keeps its content and mode.
func TestThreat24SwappedLink(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "theirs")
	if err := os.WriteFile(outside, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	path, link := filepath.Join(dir, "secret"), filepath.Join(dir, "link")
	done := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := errors.Join(os.Symlink(outside, link), os.Rename(link, path)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 500 {
		if err := WriteSecret(path, []byte("ours")); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	swapper.Wait()
	info, err := os.Lstat(outside)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(outside)
	if err != nil || string(data) != "theirs" || info.Mode() != 0o644 {
		t.Errorf("the file outside is %s %q (%v), want it as it was", info.Mode(), data, err)
	}
	if err := WriteSecret(path, []byte("ours")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != fs.FileMode(FileMode) {
		t.Errorf("our file is %v (%v), want a private file in the place of the link", info, err)
	}
}
