package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// execute runs the program on this terminal and ends as it does. Ctrl-C reaches every process of the console: it is the
// program's to act on.
func execute(path string, argv, environ []string) error {
	signal.Ignore(os.Interrupt)
	cmd := exec.Command(path, argv[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environ, os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var ended *exec.ExitError
	if err == nil || errors.As(err, &ended) {
		os.Exit(cmd.ProcessState.ExitCode())
	}
	return mesh.Errorf(mesh.IOError, "start %s: %w", path, err)
}
