package reference

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Protocol is docs/protocol.md: every frame between a client and the broker, and the broker's HTTP bodies.
func Protocol() string {
	var b strings.Builder
	b.WriteString(Banner + "# Frames\n\n" +
		"One JSON object per WebSocket text frame, at `" + protocol.PathSocket + "`. `type` and `_reqId` stand beside the fields; an answer\n" +
		"repeats the `_reqId` of its request. A refusal is `error`. Frames marked *ours* are not part of the TypeScript system.\n")
	for _, e := range wire.Catalogue() {
		frame(&b, e)
	}
	fmt.Fprintf(&b, "\n## `%s`\n\nA request was refused; the codes are in [errors.md](errors.md).\n\nbroker → client\n", wire.ErrorType)
	fields(&b, "", reflect.TypeFor[wire.ErrorFrame]())
	b.WriteString("\n# HTTP\n")
	for _, p := range []struct {
		route, text     string
		request, answer reflect.Type
	}{
		{"GET " + protocol.PathHealth, "Say whether the broker runs.", nil, reflect.TypeFor[protocol.Health]()},
		{"POST " + protocol.PathMeshes, "Make a mesh. `Authorization: Bearer <create token>`, unless the broker is open. Answers 201.", reflect.TypeFor[protocol.MeshCreateRequest](), reflect.TypeFor[protocol.MeshCreateAnswer]()},
		{"POST " + protocol.PathClaim, "Join by an invite.", reflect.TypeFor[protocol.ClaimRequest](), reflect.TypeFor[protocol.ClaimAnswer]()},
		{"GET " + protocol.PathInvitePage, "A page for people with the command that joins. It uses nothing up.", nil, nil},
		{"GET " + protocol.PathMetrics, "Metrics in the text form of Prometheus, on this machine or with the create token.", nil, nil},
	} {
		fmt.Fprintf(&b, "\n## `%s`\n\n%s\n", p.route, p.text)
		if p.request != nil {
			fields(&b, "Request", p.request)
		}
		if p.answer != nil {
			fields(&b, "Answer", p.answer)
		}
	}
	b.WriteString("\n## Refusals\n")
	fields(&b, "", reflect.TypeFor[protocol.HTTPError]())
	return b.String()
}

func frame(b *strings.Builder, e *wire.Entry) {
	ours := ""
	if e.Ours {
		ours = " *Ours.*"
	}
	fmt.Fprintf(b, "\n## `%s`\n\n%s%s\n\n%s\n", e.Type, e.Summary, ours, direction(e))
	fields(b, "", e.Request)
	if e.Answer != nil {
		fmt.Fprintf(b, "\nAnswer: `%s`\n", e.Reply)
		fields(b, "", e.Answer)
	}
	for _, also := range e.Also {
		fmt.Fprintf(b, "\nAlso answered as `%s`, for older daemons.\n", also.Type)
	}
}

func direction(e *wire.Entry) string {
	switch {
	case e.Event:
		return "broker → client"
	case e.Reply == "":
		return "client → broker, never answered"
	case e.Match == wire.ByID:
		return "client → broker, answered by `id`"
	case e.Match == wire.ByType:
		return "client → broker, answered by type"
	case e.Quiet:
		return "client → broker, answered only with `_reqId`"
	}
	return "client → broker"
}
