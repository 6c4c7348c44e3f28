package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/claudemesh/claudemesh/internal/protocol"
)

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
