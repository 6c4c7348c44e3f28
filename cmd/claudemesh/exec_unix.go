//go:build unix

package main

import (
	"syscall"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// execute makes this process the program: its exit status, its signals and its terminal are its own.
func execute(path string, argv, environ []string) error {
	return mesh.Errorf(mesh.IOError, "start %s: %w", path, syscall.Exec(path, argv, environ))
}
