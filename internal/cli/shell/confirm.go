package shell

import (
	"bufio"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// maxAnswerBytes bounds what is read of an answer.
const maxAnswerBytes = 1024

// Confirm asks on a terminal before something that others feel, or that nothing brings back. Where nobody can answer,
// --yes is wanted. cancelled: the answer was no.
func Confirm(cmd *cobra.Command, a *App, what string) error {
	if a.Flags.Yes || a.agreed {
		return nil
	}
	if !a.Err.TTY {
		return Usage(cmd, "%s: add --yes", what)
	}
	if !asked(a, what) {
		return mesh.Errorf(mesh.Cancelled, "nothing was done")
	}
	return nil
}

// asked asks on the terminal, and reports whether the answer was yes.
func asked(a *App, what string) bool {
	a.Err.Warn(what)
	_, _ = io.WriteString(a.Err, "  go on? [y/N] ") // the answer decides
	line, err := bufio.NewReader(io.LimitReader(a.Sys.Stdin, maxAnswerBytes)).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return (err == nil || line != "") && (answer == "y" || answer == "yes")
}
