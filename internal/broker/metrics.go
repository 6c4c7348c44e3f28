package broker

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/claudemesh/claudemesh/internal/config"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// metrics is what a running broker counts, under the names of http-api A.
type metrics struct {
	connections *counter
	refused     *counter // by reason
	routed      *counter // by priority
	rejected    *counter // by reason
	slow        *counter
	requests    *counter // plain HTTP, by status
	limits      *counter // by setting
	accept      *histogram

	waiting atomic.Int64 // bytes in outbound buffers
}

func newMetrics() *metrics {
	return &metrics{
		connections: newCounter(protocol.MetricConnections),
		refused:     newCounter(protocol.MetricRefused),
		routed:      newCounter(protocol.MetricRouted),
		rejected:    newCounter(protocol.MetricRejected),
		slow:        newCounter(protocol.MetricSlow),
		requests:    newCounter(protocol.MetricRequests),
		limits:      newCounter(protocol.MetricLimits),
		accept:      newHistogram(protocol.MetricAccept),
	}
}

// reached counts that a bound turned something away, cut it or ended it; reachedBy that it did so n times.
func (m *metrics) reached(b config.Bound) { m.reachedBy(b, 1) }

func (m *metrics) reachedBy(b config.Bound, n int) { m.limits.addN(string(b), int64(n)) }

// gauge is a value that is read when it is asked for.
type gauge struct {
	protocol.Metric
	value int64
}

// write prints everything in Prometheus' text format, version 0.0.4.
func (m *metrics) write(w io.Writer, gauges []gauge) {
	for _, c := range []*counter{m.connections, m.refused, m.routed, m.rejected, m.slow, m.requests, m.limits} {
		c.write(w)
	}
	m.accept.write(w)
	for _, g := range gauges {
		writeHead(w, g.Metric)
		fmt.Fprintf(w, "%s %d\n", g.Name, g.value)
	}
}

func writeHead(w io.Writer, m protocol.Metric) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", m.Name, m.Help, m.Name, m.Kind)
}

// counter only grows; it has at most one label, whose values are few and ours.
type counter struct {
	protocol.Metric

	mu     sync.Mutex
	values map[string]int64
}

func newCounter(m protocol.Metric) *counter {
	return &counter{Metric: m, values: map[string]int64{}}
}

func (c *counter) add(value string) { c.addN(value, 1) }

func (c *counter) addN(value string, n int64) {
	c.mu.Lock()
	c.values[value] += n
	c.mu.Unlock()
}

// write prints a series that has no samples as `name 0` (http-api A).
func (c *counter) write(w io.Writer) {
	c.mu.Lock()
	values := maps.Clone(c.values)
	c.mu.Unlock()
	writeHead(w, c.Metric)
	if len(values) == 0 {
		fmt.Fprintf(w, "%s 0\n", c.Name)
	}
	for _, v := range slices.Sorted(maps.Keys(values)) {
		if c.Label == "" {
			fmt.Fprintf(w, "%s %d\n", c.Name, values[v])
			continue
		}
		fmt.Fprintf(w, "%s{%s=%q} %d\n", c.Name, c.Label, v, values[v])
	}
}

// bounds are the upper ends of the buckets, from below one fsync to far beyond patience.
var bounds = []time.Duration{
	500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, time.Second, 5 * time.Second,
}

// histogram counts durations by bucket.
type histogram struct {
	protocol.Metric
	buckets []atomic.Int64 // one more than bounds
	sum     atomic.Int64   // nanoseconds
}

func newHistogram(m protocol.Metric) *histogram {
	return &histogram{Metric: m, buckets: make([]atomic.Int64, len(bounds)+1)}
}

func (h *histogram) observe(d time.Duration) {
	i, _ := slices.BinarySearch(bounds, d)
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

func (h *histogram) write(w io.Writer) {
	var b strings.Builder
	total := int64(0)
	for i, bound := range bounds {
		total += h.buckets[i].Load()
		fmt.Fprintf(&b, "%s_bucket{le=\"%g\"} %d\n", h.Name, bound.Seconds(), total)
	}
	total += h.buckets[len(bounds)].Load()
	writeHead(w, h.Metric)
	fmt.Fprintf(w, "%s%s_bucket{le=\"+Inf\"} %d\n%s_sum %g\n%s_count %d\n",
		b.String(), h.Name, total, h.Name, time.Duration(h.sum.Load()).Seconds(), h.Name, total)
}
