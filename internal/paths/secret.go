package paths

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Modes of what this package makes, and the size above which a file of ours is not one.
const (
	DirMode        fs.FileMode = 0o700
	FileMode       fs.FileMode = 0o600
	MaxSecretBytes             = 1 << 20
)

// EnsureDir makes the folder path with its parents, all with mode perm. A folder that is there loses the
// permissions that perm does not have; one that is a symlink, another user's or writable by everyone is
// refused, because what lies in it may be another's.
func EnsureDir(path string, perm fs.FileMode) error {
	path = filepath.Clean(path) // with a trailing slash, Lstat would follow a symlink
	if err := os.MkdirAll(path, perm); err != nil {
		return mesh.Errorf(mesh.IOError, "make folder: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return mesh.Errorf(mesh.IOError, "make folder: %w", err)
	}
	if fault := dirFault(info); fault != "" {
		return mesh.Errorf(mesh.IOError, "folder %s %s", path, fault)
	}
	if wide := info.Mode().Perm() &^ perm; wide != 0 && runtime.GOOS != "windows" {
		if err := os.Chmod(path, info.Mode().Perm()&perm); err != nil {
			return mesh.Errorf(mesh.IOError, "close folder to others: %w", err)
		}
	}
	return nil
}

// dirFault says why a folder cannot be trusted; empty means that it can.
func dirFault(info fs.FileInfo) string {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return "is a symbolic link: put a real folder in its place"
	case foreign(info):
		return "belongs to another user: move it away"
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0:
		return "can be written by everyone: check what lies in it, then run chmod 700 on it"
	}
	return ""
}

// WriteSecret replaces the file path by data so that a crash leaves either the old file or the new one, on
// disk. Nobody but the user can read it at any time. The folder must be there.
func WriteSecret(path string, data []byte) error {
	if err := replace(path, data); err != nil {
		return mesh.Errorf(mesh.IOError, "write %s: %w", path, err)
	}
	return nil
}

// WriteFile is WriteSecret for a file of another program, which may be readable by more than the user.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	if err := replaceMode(path, data, mode); err != nil {
		return mesh.Errorf(mesh.IOError, "write %s: %w", path, err)
	}
	return nil
}

func replace(path string, data []byte) error { return replaceMode(path, data, FileMode) }

func replaceMode(path string, data []byte, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.tmp") // 0600 from the start
	if err != nil {
		return err
	}
	err = fill(file, data)
	if err == nil && mode != FileMode {
		err = os.Chmod(file.Name(), mode)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // the first error is the one to report
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		_ = os.Remove(file.Name()) // the first error is the one to report
		return err
	}
	return syncDir(dir)
}

// fill writes, syncs and closes file.
func fill(file *os.File, data []byte) error {
	_, err := file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// ReadSecret reads a file of ours that holds keys, tokens or the meshes. It refuses what is no regular file,
// is larger than MaxSecretBytes or begins with a byte order mark, with config_unreadable and the path. The
// warning says that others can read the file. A missing file is fs.ErrNotExist.
func ReadSecret(path string) ([]byte, Warning, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", mesh.Errorf(mesh.ConfigUnreadable, "read file: %w", err)
	}
	if !info.Mode().IsRegular() { // before opening: opening a pipe would wait for its other end
		return nil, "", mesh.Errorf(mesh.ConfigUnreadable, "read file: %s is not a regular file", path)
	}
	data, err := readBounded(path)
	if err != nil {
		return nil, "", err
	}
	return data, modeWarning(path, info), nil
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, mesh.Errorf(mesh.ConfigUnreadable, "read file: %w", err)
	}
	defer file.Close() // nothing was written
	data, err := io.ReadAll(io.LimitReader(file, MaxSecretBytes+1))
	switch {
	case err != nil:
		return nil, mesh.Errorf(mesh.ConfigUnreadable, "read file: %w", err)
	case len(data) > MaxSecretBytes:
		return nil, mesh.Errorf(mesh.ConfigUnreadable, "%s is larger than %d bytes", path, MaxSecretBytes)
	case hasMark(data):
		return nil, mesh.Errorf(mesh.ConfigUnreadable, "%s begins with a byte order mark: save it as UTF-8 without one", path)
	}
	return data, nil
}

// hasMark reports whether data begins with a byte order mark of UTF-8 or UTF-16.
func hasMark(data []byte) bool {
	for _, mark := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(data, []byte(mark)) {
			return true
		}
	}
	return false
}

func modeWarning(path string, info fs.FileInfo) Warning {
	if runtime.GOOS == "windows" || info.Mode().Perm()&^FileMode == 0 {
		return ""
	}
	return Warning(fmt.Sprintf("%s has mode %04o, others may read it: run chmod 600 %s", path, info.Mode().Perm(), path))
}
