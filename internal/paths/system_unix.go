//go:build !windows

package paths

import (
	"io/fs"
	"os"
	"syscall"
)

// foreign reports whether a file belongs to another user.
func foreign(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && ownedByOther(stat.Uid, os.Geteuid())
}

func ownedByOther(owner uint32, euid int) bool { return int64(owner) != int64(euid) }

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close() // nothing was written through it
	return file.Sync()
}
