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
)

// metrics is what a running broker counts, under the names of http-api A.
type metrics struct {
	connections *counter
	refused     *counter // by reason
	routed      *counter // by priority
	rejected    *counter // by reason
	slow        *counter
	requests    *counter // plain HTTP, by status
	accept      *histogram

	waiting atomic.Int64 // bytes in outbound buffers
}

func newMetrics() *metrics {
	return &metrics{
		connections: newCounter("broker_connections_total", "Connections that were authenticated.", ""),
		refused:     newCounter("broker_connections_rejected_total", "Connections that were refused.", "reason"),
		routed:      newCounter("broker_messages_routed_total", "Messages that were accepted.", "priority"),
		rejected:    newCounter("broker_messages_rejected_total", "Messages and frames that were refused.", "reason"),
		slow:        newCounter("broker_slow_consumers_total", "Connections that were closed because they read too slowly.", ""),
		requests:    newCounter("broker_http_requests_total", "Plain HTTP requests that were answered.", "status"),
		accept:      newHistogram("broker_accept_seconds", "From a whole send frame to its ack, which is after the disk."),
	}
}

// gauge is a value that is read when it is asked for.
type gauge struct {
	name, help string
	value      int64
}

// write prints everything in Prometheus' text format, version 0.0.4.
func (m *metrics) write(w io.Writer, gauges []gauge) {
	for _, c := range []*counter{m.connections, m.refused, m.routed, m.rejected, m.slow, m.requests} {
		c.write(w)
	}
	m.accept.write(w)
	for _, g := range gauges {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s gauge\n%s %d\n", g.name, g.help, g.name, g.name, g.value)
	}
}

// counter only grows; it has at most one label, whose values are few and ours.
type counter struct {
	name, help, label string

	mu     sync.Mutex
	values map[string]int64
}

func newCounter(name, help, label string) *counter {
	return &counter{name: name, help: help, label: label, values: map[string]int64{}}
}

func (c *counter) add(value string) {
	c.mu.Lock()
	c.values[value]++
	c.mu.Unlock()
}

// write prints a series that has no samples as `name 0` (http-api A).
func (c *counter) write(w io.Writer) {
	c.mu.Lock()
	values := maps.Clone(c.values)
	c.mu.Unlock()
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s counter\n", c.name, c.help, c.name)
	if len(values) == 0 {
		fmt.Fprintf(w, "%s 0\n", c.name)
	}
	for _, v := range slices.Sorted(maps.Keys(values)) {
		if c.label == "" {
			fmt.Fprintf(w, "%s %d\n", c.name, values[v])
			continue
		}
		fmt.Fprintf(w, "%s{%s=%q} %d\n", c.name, c.label, v, values[v])
	}
}

// bounds are the upper ends of the buckets, from below one fsync to far beyond patience.
var bounds = []time.Duration{
	500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, time.Second, 5 * time.Second,
}

// histogram counts durations by bucket.
type histogram struct {
	name, help string
	buckets    []atomic.Int64 // one more than bounds
	sum        atomic.Int64   // nanoseconds
}

func newHistogram(name, help string) *histogram {
	return &histogram{name: name, help: help, buckets: make([]atomic.Int64, len(bounds)+1)}
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
		fmt.Fprintf(&b, "%s_bucket{le=\"%g\"} %d\n", h.name, bound.Seconds(), total)
	}
	total += h.buckets[len(bounds)].Load()
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s histogram\n%s%s_bucket{le=\"+Inf\"} %d\n%s_sum %g\n%s_count %d\n",
		h.name, h.help, h.name, b.String(), h.name, total, h.name, time.Duration(h.sum.Load()).Seconds(), h.name, total)
}
