package config

import (
	"log/slog"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Daemon is what a user sets for the daemon and the verbs that talk to it, in settings.json. The bounds are
// those of design D3, E1 and daemon 6.3, 7 and 9.
type Daemon struct {
	BrokerURL string `key:"broker_url" default:"ws://127.0.0.1:7900/ws" env:"CLAUDEMESH_BROKER_URL" doc:"Broker for new meshes. Meshes that were joined keep theirs."`

	Meshes []string `key:"meshes" default:"" env:"CLAUDEMESH_MESHES" doc:"Meshes, by short name, that the daemon serves; those that were joined before it started and are not named stay out. None named means all."`

	SendWait      time.Duration `key:"send_wait" default:"30s" min:"1ms" env:"CLAUDEMESH_SEND_WAIT" doc:"How long send --wait waits when no --timeout is given."`
	SendPerSecond int           `key:"send_per_second" default:"0" min:"0" env:"CLAUDEMESH_SEND_PER_SECOND" doc:"Messages a second that leave for one mesh. 0 takes what the broker advertises."`
	SendBurst     int           `key:"send_burst" default:"0" min:"0" env:"CLAUDEMESH_SEND_BURST" doc:"Messages that may leave at once after a pause. 0 takes what the broker advertises."`

	RequireEncrypted []string `key:"require_encrypted" default:"" env:"CLAUDEMESH_REQUIRE_ENCRYPTED" doc:"Meshes, by short name, in which nothing is sent that the broker's operator can read: nothing to a group or to everyone. * means every mesh. The variable adds to the file."`

	Receipts string `key:"receipts" default:"trusted" oneof:"none trusted all" env:"CLAUDEMESH_RECEIPTS" doc:"Who is told, with your signature, that a session was shown a message, or acknowledged it: none, trusted (yourself, and peers that you accepted with trust accept) or all. A reply tells its sender in any case. The variable can only narrow it."`

	ApprovalRelay bool `key:"approval_relay" default:"false" env:"CLAUDEMESH_APPROVAL_RELAY" doc:"Ask for the permissions that sessions want on your other devices (trust accept --device) and in claudemesh approvals, too, for up to 5 minutes. The variable can only switch it off."`

	ReconnectMin   time.Duration `key:"reconnect_min" default:"1s" min:"10ms" env:"CLAUDEMESH_RECONNECT_MIN" doc:"Wait before the first reconnect to a broker; it doubles with each failure."`
	ReconnectMax   time.Duration `key:"reconnect_max" default:"30s" min:"10ms" env:"CLAUDEMESH_RECONNECT_MAX" doc:"Longest wait between two reconnects."`
	PingInterval   time.Duration `key:"ping_interval" default:"30s" min:"10ms" env:"CLAUDEMESH_PING_INTERVAL" doc:"How often an idle broker connection is tried."`
	DeadAfter      time.Duration `key:"dead_after" default:"1m15s" min:"10ms" env:"CLAUDEMESH_DEAD_AFTER" doc:"Silence after which a broker connection is given up. Longer than ping_interval."`
	ReadLimitBytes int64         `key:"read_limit_bytes" default:"16777216" min:"65536" env:"CLAUDEMESH_READ_LIMIT_BYTES" doc:"Largest frame that a broker may send."`

	OutboxRetention time.Duration `key:"outbox_retention" default:"168h" min:"1m" env:"CLAUDEMESH_OUTBOX_RETENTION" doc:"How long the text of a sent message stays in the outbox after the broker has it, or after it was cancelled. Its id stays for ever."`

	InboxRetention time.Duration `key:"inbox_retention" default:"720h" min:"1m" env:"CLAUDEMESH_INBOX_RETENTION" doc:"How long messages stay in the inbox, read or not. Held ones, too: read them in time."`
	OfferedLimit   int           `key:"offered_limit" default:"20" min:"1" env:"CLAUDEMESH_OFFERED_LIMIT" doc:"Messages given to one session and not yet seen by it before the rest is summed up in one line."`
	// HeaderOnlyBytes is how long a text may be that is shown.
	HeaderOnlyBytes int `key:"header_only_bytes" default:"0" min:"0" env:"CLAUDEMESH_HEADER_ONLY_BYTES" doc:"A message with a longer text is announced in a session, by who sent it, and read from the inbox. 0 shows the beginning of any."`

	NoticeInterval time.Duration `key:"notice_interval" default:"10m" min:"1s" env:"CLAUDEMESH_NOTICE_INTERVAL" doc:"Least time between two notices to a session that messages are held for its human."`

	WakeMinute      int `key:"wake_minute" default:"10" min:"0" max:"10000" env:"CLAUDEMESH_WAKE_MINUTE" doc:"Messages of one sender by which a session is woken in a minute. The rest waits unread in its inbox. 0 sets no limit, here and in the next four; the variables can only lower them."`
	WakeHour        int `key:"wake_hour" default:"20" min:"0" max:"10000" env:"CLAUDEMESH_WAKE_HOUR" doc:"The same in an hour."`
	WakeHourTokens  int `key:"wake_hour_tokens" default:"50000" min:"0" max:"100000000" env:"CLAUDEMESH_WAKE_HOUR_TOKENS" doc:"Text of one sender by which a session is woken in an hour, in tokens of about four bytes."`
	WakeSessionHour int `key:"wake_session_hour" default:"100" min:"0" max:"10000" env:"CLAUDEMESH_WAKE_SESSION_HOUR" doc:"Messages of all senders by which a session is woken in an hour."`
	WakeAlternating int `key:"wake_alternating" default:"6" min:"0" max:"10000" env:"CLAUDEMESH_WAKE_ALTERNATING" doc:"Messages that a session and a sender exchange in turns before the sender wakes it no more, until a human speaks to it or an hour has passed."`

	IPCRequests  int           `key:"ipc_requests" default:"64" min:"1" env:"CLAUDEMESH_IPC_REQUESTS" doc:"Requests that the daemon serves at once; more are answered 429."`
	IPCStreams   int           `key:"ipc_streams" default:"32" min:"1" env:"CLAUDEMESH_IPC_STREAMS" doc:"Event streams that the daemon keeps open at once; more are answered 429."`
	IPCBodyBytes int64         `key:"ipc_body_bytes" default:"262144" min:"1024" env:"CLAUDEMESH_IPC_BODY_BYTES" doc:"Largest request body; larger ones are answered 413."`
	SSEKeepalive time.Duration `key:"sse_keepalive" default:"15s" min:"10ms" env:"CLAUDEMESH_SSE_KEEPALIVE" doc:"How often an idle event stream says that it lives."`
	TCP          bool          `key:"tcp" default:"false" env:"CLAUDEMESH_TCP" doc:"Serve on 127.0.0.1 too, for holders of the local token."`
	TCPPort      int           `key:"tcp_port" default:"47823" min:"0" max:"65535" env:"CLAUDEMESH_TCP_PORT" doc:"Port of the TCP listener. 0 takes any free one."`

	ClonePolicy string `key:"clone_policy" default:"refuse" oneof:"refuse warn allow" env:"CLAUDEMESH_CLONE_POLICY" doc:"What to do where the daemon's folder was made on another machine: do not start (refuse), say so in the log (warn), or nothing (allow)."`

	TCPPublicHealth bool `key:"tcp_public_health" default:"false" env:"CLAUDEMESH_TCP_PUBLIC_HEALTH" doc:"Say over TCP to anybody on this machine that the daemon lives, and nothing else, without the token."`

	UpgradeSource string `key:"upgrade_source" default:"" env:"CLAUDEMESH_UPGRADE_SOURCE" doc:"URL of a JSON file {version} that names the newest release: https, or http on this machine. Empty: nobody is asked. Only claudemesh upgrade asks."`

	LogLevel     slog.Level `key:"log_level" default:"info" env:"CLAUDEMESH_LOG_LEVEL" doc:"Least level that is logged: debug, info, warn or error."`
	LogFileBytes int64      `key:"log_file_bytes" default:"10485760" min:"4096" env:"CLAUDEMESH_LOG_FILE_BYTES" doc:"Size at which the log begins a new file."`
	LogFiles     int        `key:"log_files" default:"5" min:"1" max:"100" env:"CLAUDEMESH_LOG_FILES" doc:"Log files that are kept."`
}

// The values of Daemon.Receipts, each wider than the one before.
const (
	ReceiptsNone    = "none"
	ReceiptsTrusted = "trusted"
	ReceiptsAll     = "all"
)

// tighten undoes what variables loosen of what the file and flags forbid (design E4).
func (d *Daemon) tighten(written Daemon) {
	d.ApprovalRelay = d.ApprovalRelay && written.ApprovalRelay
	d.Receipts = narrower(d.Receipts, written.Receipts)
	for _, slug := range written.RequireEncrypted {
		if !slices.Contains(d.RequireEncrypted, slug) {
			d.RequireEncrypted = append(d.RequireEncrypted, slug)
		}
	}
	for _, limit := range []struct{ now, written *int }{
		{&d.WakeMinute, &written.WakeMinute}, {&d.WakeHour, &written.WakeHour}, {&d.WakeHourTokens, &written.WakeHourTokens},
		{&d.WakeSessionHour, &written.WakeSessionHour}, {&d.WakeAlternating, &written.WakeAlternating},
	} {
		if *limit.written > 0 && (*limit.now == 0 || *limit.now > *limit.written) {
			*limit.now = *limit.written
		}
	}
}

// narrower gives the one of two values of Receipts that tells fewer.
func narrower(a, b string) string {
	for _, v := range []string{ReceiptsNone, ReceiptsTrusted} {
		if a == v || b == v {
			return v
		}
	}
	return ReceiptsAll
}

// check refuses settings that contradict each other.
func (d Daemon) check() error {
	switch {
	case d.DeadAfter <= d.PingInterval:
		return contradiction("dead_after", "longer than ping_interval", d.DeadAfter)
	case d.ReconnectMax < d.ReconnectMin:
		return contradiction("reconnect_max", "at least reconnect_min", d.ReconnectMax)
	}
	if d.UpgradeSource != "" {
		if err := checkURL("upgrade_source", d.UpgradeSource, "https", "http"); err != nil {
			return err
		}
	}
	return checkURL("broker_url", d.BrokerURL, "ws", "wss")
}

func contradiction(key, want string, got any) error {
	return mesh.Errorf(mesh.SettingsRefused, "%s: want %s, got %v", key, want, got)
}
