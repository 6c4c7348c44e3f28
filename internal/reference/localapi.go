package reference

import (
	"fmt"
	"strings"

	"github.com/claudemesh/claudemesh/internal/localapi"
)

// LocalAPI is docs/localapi.md: every route of the daemon's socket.
func LocalAPI() string {
	var b strings.Builder
	b.WriteString(Banner + "# Local API\n\n" +
		"HTTP/1.1 with JSON over the Unix socket `~/.claudemesh/daemon/daemon.sock`. Fields of a request stand in its path where the\n" +
		"path names them, else in the query of GET and DELETE and in the body of POST. Refusals have the body\n" +
		"`{\"error\",\"code\",\"detail\",\"hint\",…}`; the codes are in [errors.md](errors.md).\n")
	for _, e := range localapi.Catalogue() {
		fmt.Fprintf(&b, "\n## `%s`\n\n%s\n\nFeature `%s`, for %s.", e.Route, e.Summary, e.Feature, scope(e.Scope))
		if e.BodyLimit != 0 {
			fmt.Fprintf(&b, " The body has at most %d bytes.", e.BodyLimit)
		}
		if e.Stream {
			b.WriteString(" Answers with server-sent events.")
		}
		b.WriteString("\n")
		fields(&b, "Request", e.Request)
		fields(&b, "Answer", e.Answer)
	}
	return b.String()
}

func scope(s localapi.Scope) string {
	switch s {
	case localapi.Anyone:
		return "anyone who reaches the socket"
	case localapi.HumanOnly:
		return "the user outside every session"
	}
	return "the user and its sessions"
}
