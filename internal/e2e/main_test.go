//go:build unix

// Package e2e tests the program as its users and their host programs run it: the built binary, real processes, real
// files, real sockets.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is the binary under test, and builtIn the folder that it lies in.
var program, builtIn string

// asideVariable has the test binary test in a network of its own: it holds the path of the program under test.
const asideVariable = "CLAUDEMESH_E2E_ASIDE"

// TestMain builds the program once, with the race detector where the tests have it. The test binary is also the host
// program that the tests start sessions in (host_test.go).
func TestMain(m *testing.M) {
	if os.Getenv(hostVariable) != "" {
		playHost()
		return
	}
	if path := os.Getenv(asideVariable); path != "" {
		program, builtIn = path, filepath.Dir(path)
		m.Run()
		return
	}
	dir, err := os.MkdirTemp("", "cme")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // in the temporary folder anyway
	if err := build(dir); err != nil {
		panic(err)
	}
	m.Run()
}

func build(dir string) error {
	program, builtIn = filepath.Join(dir, "claudemesh"), dir
	args := []string{"build", "-o", program}
	if raceDetector {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/claudemesh")...)
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return nil
}
