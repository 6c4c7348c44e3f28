//go:build unix

package local

import (
	"io/fs"
	"os"
	"syscall"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// checkOwner refuses a socket that is not the user's own: a name in a folder that others can write proves nothing.
func checkOwner(socket string) error {
	info, err := os.Lstat(socket)
	if err != nil {
		return nil // dialling says what is wrong
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if info.Mode().Type() != fs.ModeSocket || !ok || int(st.Uid) != os.Getuid() {
		return mesh.Errorf(mesh.Forbidden, "%s is not a socket of this user", socket)
	}
	return nil
}
