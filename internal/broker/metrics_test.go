package broker

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/protocol"
)

// What a broker answers is what is declared and documented, each series once and with its head in front.
func TestMetricsAreThoseDeclared(t *testing.T) {
	t.Parallel()
	s := openSite(t, nil)
	m := s.found(t)
	c := m.enter(t, m.first, nil)
	c.sendTo(t, "*", "1", 10)
	c.send(t, []byte("no frame"))
	c.send(t, []byte(`{"type":"list_peers","_reqId":"1"}`))
	c.nextOf(t, "peers_list")
	_, body := s.do(t, s.request(t, http.MethodGet, protocol.PathMetrics, nil))
	declared := map[string]protocol.Metric{}
	for _, m := range protocol.Metrics() {
		declared[m.Name] = m
	}
	var got []string
	var current protocol.Metric
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if head, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(head, " ")
			if current, ok = declared[name]; !ok || help != current.Help {
				t.Errorf("%q is not declared", line)
			}
			got = append(got, name)
			continue
		}
		if line == "# TYPE "+current.Name+" "+string(current.Kind) {
			continue
		}
		label := ""
		if current.Label != "" {
			label = `(\{` + current.Label + `="[^"]*"\})?`
		}
		if current.Kind == protocol.Histogram {
			label = `(_sum|_count|_bucket\{le="[^"]*"\})`
		}
		if !regexp.MustCompile(`^` + current.Name + label + ` [0-9.e+-]+$`).MatchString(line) {
			t.Errorf("below %s stands %q", current.Name, line)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(declared)), slices.Sorted(slices.Values(got))); diff != "" {
		t.Errorf("series (-declared +answered):\n%s", diff)
	}
}

func TestMetricsText(t *testing.T) {
	t.Parallel()
	c := newCounter(protocol.Metric{Name: "x_total", Kind: protocol.Counter, Label: "reason", Help: "Help."})
	var b strings.Builder
	c.write(&b)
	c.add("b")
	c.add("a")
	c.add("a")
	c.write(&b)
	h := newHistogram(protocol.Metric{Name: "y_seconds", Kind: protocol.Histogram, Help: "Help."})
	h.observe(time.Millisecond)
	h.observe(time.Millisecond + 1)
	h.observe(time.Hour)
	h.write(&b)
	want := `# HELP x_total Help.
# TYPE x_total counter
x_total 0
# HELP x_total Help.
# TYPE x_total counter
x_total{reason="a"} 2
x_total{reason="b"} 1
# HELP y_seconds Help.
# TYPE y_seconds histogram
y_seconds_bucket{le="0.0005"} 0
y_seconds_bucket{le="0.001"} 1
y_seconds_bucket{le="0.002"} 2
y_seconds_bucket{le="0.005"} 2
y_seconds_bucket{le="0.01"} 2
y_seconds_bucket{le="0.025"} 2
y_seconds_bucket{le="0.05"} 2
y_seconds_bucket{le="0.1"} 2
y_seconds_bucket{le="0.25"} 2
y_seconds_bucket{le="1"} 2
y_seconds_bucket{le="5"} 2
y_seconds_bucket{le="+Inf"} 3
y_seconds_sum 3600.002000001
y_seconds_count 3
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
