package reference

import (
	"strings"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// Metrics is docs/metrics.md: every series of a broker, and what happens at its bounds.
func Metrics() string {
	var b strings.Builder
	b.WriteString(Banner + "# Metrics and bounds of a broker\n\n" +
		"`GET " + protocol.PathMetrics + "` answers in the text format of Prometheus: to this machine itself, and to who sends the create token as\n" +
		"`Authorization: Bearer …`. A counter that has not counted yet is written as `name 0`.\n\n## Metrics\n")
	head(&b, "Name", "Kind", "Label", "Meaning")
	for _, m := range protocol.Metrics() {
		row(&b, code(m.Name), string(m.Kind), code(m.Label), prose(m.Help))
	}
	b.WriteString("\n## Bounds\n\nEach is a setting of the broker ([config.md](config.md)). What it turns away is counted by " +
		code(protocol.MetricLimits.Name+`{limit="<setting>"}`) + ". The codes\nare in [errors.md](errors.md).\n")
	head(&b, "Setting", "Refused with", "What happens")
	for _, r := range config.Bounds() {
		row(&b, code(string(r.Bound)), code(string(r.Code)), prose(r.Then))
	}
	return b.String()
}
