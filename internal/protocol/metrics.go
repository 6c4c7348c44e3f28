package protocol

// MetricKind is how the values of a series move.
type MetricKind string

// The kinds, as the text format of Prometheus writes them.
const (
	Counter   MetricKind = "counter"
	Gauge     MetricKind = "gauge"
	Histogram MetricKind = "histogram"
)

// Metric declares one series of PathMetrics (http-api A). A series has at most one label, whose values are few and ours.
type Metric struct {
	Name  string
	Kind  MetricKind
	Label string // empty without one
	Help  string // a sentence
}

// The series of a broker.
var (
	MetricConnections = Metric{"broker_connections_total", Counter, "", "Connections that were authenticated."}
	MetricActive      = Metric{"broker_connections_active", Gauge, "", "Connections that said hello and are open."}
	MetricRefused     = Metric{"broker_connections_rejected_total", Counter, "reason", "Connections that were refused, by error code."}
	MetricSlow        = Metric{"broker_slow_consumers_total", Counter, "", "Connections that were closed because they read too slowly; what waits for them is kept."}
	MetricOutbound    = Metric{"broker_outbound_bytes", Gauge, "", "Bytes that wait to be written to connections."}

	MetricRouted   = Metric{"broker_messages_routed_total", Counter, "priority", "Messages that were accepted."}
	MetricRejected = Metric{"broker_messages_rejected_total", Counter, "reason", "Messages and frames that were refused, by error code; `parse_or_handler` is what was no frame."}
	MetricDepth    = Metric{"broker_queue_depth", Gauge, "", "Copies of messages that wait for their recipients."}
	MetricAccept   = Metric{"broker_accept_seconds", Histogram, "", "From a whole send frame to its ack, which is after the disk."}

	MetricLimits   = Metric{"broker_limits_reached_total", Counter, "limit", "Times that a bound turned something away, cut it or ended it, by the setting."}
	MetricRequests = Metric{"broker_http_requests_total", Counter, "status", "Plain HTTP requests that were answered."}
	MetricHealthy  = Metric{"broker_db_healthy", Gauge, "", "1 while the store can be written."}
)

// Metrics lists every series, in the order of the page.
func Metrics() []Metric {
	return []Metric{
		MetricConnections, MetricActive, MetricRefused, MetricSlow, MetricOutbound,
		MetricRouted, MetricRejected, MetricDepth, MetricAccept,
		MetricLimits, MetricRequests, MetricHealthy,
	}
}
