//go:build !windows

package paths

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// makeDir makes a folder of exactly this mode, whatever the umask.
func makeDir(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestEnsureDir(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	fresh := filepath.Join(root, "a", "b")
	wide := filepath.Join(root, "wide")
	makeDir(t, wide, 0o775)
	for _, dir := range []string{fresh, fresh, wide, wide + "/"} {
		if err := EnsureDir(dir, DirMode); err != nil {
			t.Errorf("%s: got %v, want a folder", dir, err)
		}
		if got := modeOf(t, dir); got != DirMode {
			t.Errorf("%s: got mode %o, want %o", dir, got, DirMode)
		}
	}
	if got := modeOf(t, filepath.Dir(fresh)); got != DirMode {
		t.Errorf("parent: got mode %o, want %o", got, DirMode)
	}
}

func TestThreat32EnsureDirRefuses(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	open := filepath.Join(root, "open")
	makeDir(t, open, 0o777)
	folder := filepath.Join(root, "real")
	makeDir(t, folder, 0o700)
	link := filepath.Join(root, "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(root, "dangling")
	if err := os.Symlink(filepath.Join(root, "nowhere"), dangling); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, FileMode); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ path, want string }{
		{open, "written by everyone"},
		{link, "symbolic link"},
		{link + "/", "symbolic link"},
		{dangling, "make folder"},
		{file, "not a directory"},
	}
	for _, tc := range tests {
		err := EnsureDir(tc.path, DirMode)
		if !mesh.IsCode(err, mesh.IOError) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want io_error that says %q", tc.path, err, tc.want)
		}
	}
	if got := modeOf(t, open); got != 0o777 {
		t.Errorf("got mode %o, want the refused folder untouched", got)
	}
	if _, err := os.Stat(filepath.Join(root, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want nothing made through a dangling link", err)
	}
}

func TestForeignOwner(t *testing.T) {
	t.Parallel()
	info, err := os.Stat(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if foreign(info) {
		t.Error("got foreign for a folder of ours, want not")
	}
	if !ownedByOther(7, 8) || ownedByOther(1<<32-2, 1<<32-2) {
		t.Error("got ids compared wrongly, want 7 foreign to 8 and the highest id equal to itself")
	}
	if os.Geteuid() != 0 {
		return // only root can give a folder away
	}
	theirs := filepath.Join(t.TempDir(), "theirs")
	makeDir(t, theirs, 0o700)
	if err := os.Chown(theirs, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if err := EnsureDir(theirs, DirMode); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("got %v, want another user's folder refused", err)
	}
}

func TestWriteSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two, longer", ""} {
		if err := WriteSecret(path, []byte(text)); err != nil {
			t.Fatalf("got %v, want %q written", err, text)
		}
		got, warning, err := ReadSecret(path)
		if string(got) != text || warning != "" || err != nil {
			t.Errorf("got %q, %q, %v, want %q", got, warning, err, text)
		}
	}
	if got := modeOf(t, path); got != FileMode {
		t.Errorf("got mode %o, want %o", got, FileMode)
	}
	noLeftovers(t, dir, "token")
}

// TestWriteSecretReplacesTheLink shows that a planted link is replaced, not followed.
func TestWriteSecretReplacesTheLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("theirs"), FileMode); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := WriteSecret(link, []byte("ours")); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(target); string(got) != "theirs" {
		t.Errorf("got %q behind the link, want it untouched", got)
	}
	if got, _ := os.ReadFile(link); string(got) != "ours" {
		t.Errorf("got %q at the path, want what was written", got)
	}
}

func TestWriteSecretFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := WriteSecret(filepath.Join(dir, "gone", "token"), nil); !mesh.IsCode(err, mesh.IOError) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: got %v, want io_error for a missing file", err)
	}
	full := filepath.Join(dir, "full")
	makeDir(t, full, 0o700)
	if err := os.WriteFile(filepath.Join(full, "x"), nil, FileMode); err != nil {
		t.Fatal(err)
	}
	if err := WriteSecret(full, []byte("x")); !mesh.IsCode(err, mesh.IOError) {
		t.Errorf("folder in the way: got %v, want io_error", err)
	}
	noLeftovers(t, dir, "full")
}

func noLeftovers(t *testing.T, dir string, want string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != want {
		t.Errorf("got %v, want %s alone", entries, want)
	}
}

func TestThreat36ReadSecretWarns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte("{}\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []fs.FileMode{0o600, 0o400, 0o640, 0o644, 0o606} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		data, warning, err := ReadSecret(path)
		if string(data) != "{}\r\n" || err != nil {
			t.Errorf("%o: got %q, %v, want the bytes as they are", mode, data, err)
		}
		if wide := mode&0o077 != 0; wide != strings.Contains(string(warning), "chmod 600 "+path) {
			t.Errorf("%o: got warning %q, want one with the remedy: %t", mode, warning, wide)
		}
	}
}

func TestReadSecretRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, FileMode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ path, want string }{
		{write("big", make([]byte, MaxSecretBytes+1)), "larger than 1048576 bytes"},
		{write("utf8", []byte("\xef\xbb\xbf{}")), "byte order mark"},
		{write("utf16", []byte("\xff\xfe{\x00")), "byte order mark"},
		{dir, "not a regular file"},
		{pipe, "not a regular file"},
		{filepath.Join(dir, "gone"), "no such file"},
	}
	for _, tc := range tests {
		data, _, err := ReadSecret(tc.path)
		if !mesh.IsCode(err, mesh.ConfigUnreadable) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), tc.path) {
			t.Errorf("%s: got %d bytes and %v, want config_unreadable that says %q", tc.path, len(data), err, tc.want)
		}
	}
	if _, _, err := ReadSecret(filepath.Join(dir, "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want a missing file to be told apart", err)
	}
	if data, _, err := ReadSecret(write("limit", bytes.Repeat([]byte("x"), MaxSecretBytes))); len(data) != MaxSecretBytes || err != nil {
		t.Errorf("got %d bytes and %v, want a file of the limit's size read", len(data), err)
	}
}
