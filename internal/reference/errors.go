package reference

import (
	"slices"
	"strconv"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// meanings says what each exit status means, by its number.
func meanings() []string {
	return []string{
		mesh.ExitOK:         "done, or nothing to do",
		mesh.ExitCancelled:  "cancelled; also what `daemon status` and `broker status` say of one that does not run",
		mesh.ExitAuth:       "not let in: a key, a token or a membership is missing or refused",
		mesh.ExitUsage:      "the words of the command line, or a setting, are wrong",
		mesh.ExitNetwork:    "the daemon, the broker or the recipient was not reached, or not in time",
		mesh.ExitNotFound:   "no such mesh, peer, message or invite; or no mesh is joined",
		mesh.ExitExists:     "it is there, or it runs, already",
		mesh.ExitPermission: "refused",
		mesh.ExitInternal:   "a mistake of this program, or of the other side",
		mesh.ExitNoHost:     "the host program was not found",
		mesh.ExitIO:         "a file, a disk or a database is at fault",
	}
}

// Errors is docs/errors.md: the exit statuses and the error table.
func Errors() string {
	var b strings.Builder
	b.WriteString(Banner + "# Errors\n\nOne table for the wire, the socket and the verbs.\n\n## Exit statuses\n")
	head(&b, "Exit", "Meaning")
	for status, text := range meanings() {
		row(&b, strconv.Itoa(status), prose(text))
	}
	b.WriteString("\n## Codes\n\n*Retry* means that the same request may succeed later.\n")
	head(&b, "Code", "HTTP", "Exit", "Retry", "What to do")
	rows := slices.SortedFunc(slices.Values(mesh.Codes), func(x, y mesh.Row) int { return strings.Compare(string(x.Code), string(y.Code)) })
	for _, r := range rows {
		retry := ""
		if r.Retry {
			retry = "yes"
		}
		row(&b, code(string(r.Code)), strconv.Itoa(r.Status), strconv.Itoa(int(r.Exit)), retry, prose(r.Hint))
	}
	return b.String()
}
