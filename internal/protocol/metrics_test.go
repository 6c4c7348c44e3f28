package protocol

import (
	"regexp"
	"strings"
	"testing"
)

// Names follow the conventions of Prometheus: one prefix, base units, counters end in _total and nothing else does, and
// no label takes a name that the format uses itself.
func TestMetricsFollowTheConventions(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^broker_[a-z]+(_[a-z]+)*$`)
	scaled := regexp.MustCompile(`_(ms|milliseconds|us|ns|minutes|hours|kb|mb|kilobytes|megabytes|percent)(_|$)`)
	seen := map[string]bool{}
	for _, m := range Metrics() {
		if !name.MatchString(m.Name) || scaled.MatchString(m.Name) || seen[m.Name] {
			t.Errorf("%s: want one name of lower-case words in base units", m.Name)
		}
		seen[m.Name] = true
		if total := strings.HasSuffix(m.Name, "_total"); total != (m.Kind == Counter) {
			t.Errorf("%s is a %s: want counters, and only them, to end in _total", m.Name, m.Kind)
		}
		if m.Kind == Histogram && !strings.HasSuffix(m.Name, "_seconds") && !strings.HasSuffix(m.Name, "_bytes") {
			t.Errorf("%s: want a histogram to name its unit", m.Name)
		}
		for _, suffix := range []string{"_count", "_sum", "_bucket"} {
			if strings.HasSuffix(m.Name, suffix) {
				t.Errorf("%s ends in %s, which a histogram writes itself", m.Name, suffix)
			}
		}
		if m.Label == "le" || m.Label == "quantile" || strings.HasPrefix(m.Label, "__") {
			t.Errorf("%s has the label %s, which is the format's own", m.Name, m.Label)
		}
		if !strings.HasSuffix(m.Help, ".") || strings.ContainsAny(m.Help, "\\\n") {
			t.Errorf("%s: want a sentence, got %q", m.Name, m.Help)
		}
	}
}
