package config

import (
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Broker is what an operator sets for a broker, in broker.json in its data folder. The bounds are those of
// design D3; each is enforced, none is advice.
type Broker struct {
	Listen       string   `key:"listen" default:"127.0.0.1:7900" env:"CLAUDEMESH_BROKER_LISTEN" doc:"Address to listen on, host:port."`
	PublicURL    string   `key:"public_url" default:"" env:"CLAUDEMESH_BROKER_PUBLIC_URL" doc:"Address under which others reach this broker, http:// or https://. Invite links carry it; empty means the listen address."`
	DataDir      string   `key:"data_dir" default:"" env:"CLAUDEMESH_BROKER_DIR" file:"no" doc:"Folder of the database, the lock, the log and broker.json. Empty means ~/.claudemesh/broker."`
	Create       string   `key:"create" default:"token" oneof:"token open closed" env:"CLAUDEMESH_BROKER_CREATE" doc:"Who may create meshes: holders of the create-token, everyone (open), or nobody (closed)."`
	AllowedHosts []string `key:"allowed_hosts" default:"" env:"CLAUDEMESH_BROKER_ALLOWED_HOSTS" doc:"Further host names, with their port if it is not the standard one, under which requests are answered."`
	TLSCert      string   `key:"tls_cert" default:"" env:"CLAUDEMESH_BROKER_TLS_CERT" doc:"Certificate file (PEM, with its chain). Goes with tls_key."`
	TLSKey       string   `key:"tls_key" default:"" env:"CLAUDEMESH_BROKER_TLS_KEY" doc:"Key file (PEM) of the certificate."`
	SelfSigned   bool     `key:"self_signed" default:"false" env:"CLAUDEMESH_BROKER_SELF_SIGNED" doc:"Make a certificate in the data folder, which invite links pin, so that no authority is needed. Instead of tls_cert and tls_key."`

	MessageTTL  time.Duration `key:"message_ttl" default:"168h" min:"1s" env:"CLAUDEMESH_BROKER_MESSAGE_TTL" doc:"How long a message waits for its recipient."`
	DedupeTTL   time.Duration `key:"dedupe_ttl" default:"336h" min:"1s" env:"CLAUDEMESH_BROKER_DEDUPE_TTL" doc:"How long a message that comes again is known. At least message_ttl; clients are told and give up earlier."`
	SessionSeen time.Duration `key:"session_seen" default:"720h" min:"1s" env:"CLAUDEMESH_BROKER_SESSION_SEEN" doc:"How long after it was last seen a session can be written to."`
	Lease       time.Duration `key:"lease" default:"30s" min:"10ms" env:"CLAUDEMESH_BROKER_LEASE" doc:"How long a pushed message may stay unacknowledged before it is pushed again."`

	PresenceLease time.Duration `key:"presence_lease" default:"1m30s" min:"10ms" env:"CLAUDEMESH_BROKER_PRESENCE_LEASE" doc:"How long a peer whose connection broke keeps its place before others are told that it left."`
	StatusTTL     time.Duration `key:"status_ttl" default:"1m" min:"10ms" env:"CLAUDEMESH_BROKER_STATUS_TTL" doc:"How long a peer counts as working when it does not say so again."`
	StatusFresh   time.Duration `key:"status_fresh" default:"30s" min:"10ms" env:"CLAUDEMESH_BROKER_STATUS_FRESH" doc:"How long a status stands against a source of lower rank."`

	PairRows       int   `key:"pair_rows" default:"1000" min:"1" env:"CLAUDEMESH_BROKER_PAIR_ROWS" doc:"Messages that one sender may have waiting for one recipient."`
	PairBytes      int64 `key:"pair_bytes" default:"16777216" min:"1024" env:"CLAUDEMESH_BROKER_PAIR_BYTES" doc:"Bytes that one sender may have waiting for one recipient."`
	RecipientBytes int64 `key:"recipient_bytes" default:"67108864" min:"1024" env:"CLAUDEMESH_BROKER_RECIPIENT_BYTES" doc:"Bytes that may wait for one recipient."`
	MeshBytes      int64 `key:"mesh_bytes" default:"1073741824" min:"1024" env:"CLAUDEMESH_BROKER_MESH_BYTES" doc:"Bytes that may wait in one mesh."`
	DedupeRows     int   `key:"dedupe_rows" default:"100000" min:"1" env:"CLAUDEMESH_BROKER_DEDUPE_ROWS" doc:"Messages of one member that are remembered against repetition."`

	SendPerSecond int `key:"send_per_second" default:"20" min:"1" env:"CLAUDEMESH_BROKER_SEND_PER_SECOND" doc:"Messages a second that one member may send, lastingly."`
	SendBurst     int `key:"send_burst" default:"200" min:"1" env:"CLAUDEMESH_BROKER_SEND_BURST" doc:"Messages that one member may send at once after a pause."`

	Connections       int `key:"connections" default:"20000" min:"1" env:"CLAUDEMESH_BROKER_CONNECTIONS" doc:"Connections that this process holds."`
	MeshConnections   int `key:"mesh_connections" default:"10000" min:"1" env:"CLAUDEMESH_BROKER_MESH_CONNECTIONS" doc:"Connections that one mesh may hold."`
	MemberConnections int `key:"member_connections" default:"64" min:"1" env:"CLAUDEMESH_BROKER_MEMBER_CONNECTIONS" doc:"Connections that one member may hold."`

	MemberHellos       int `key:"member_hellos" default:"600" min:"1" env:"CLAUDEMESH_BROKER_MEMBER_HELLOS" doc:"Connections a minute that one member may open."`
	MemberRequests     int `key:"member_requests" default:"6000" min:"1" env:"CLAUDEMESH_BROKER_MEMBER_REQUESTS" doc:"Requests a minute of one member, beside the messages that it sends."`
	AddressConnections int `key:"address_connections" default:"1024" min:"1" env:"CLAUDEMESH_BROKER_ADDRESS_CONNECTIONS" doc:"Connections that one network address may hold; a /64 of IPv6 counts as one. This machine itself is not bounded."`
	AddressConnects    int `key:"address_connects" default:"3000" min:"1" env:"CLAUDEMESH_BROKER_ADDRESS_CONNECTS" doc:"Connections a minute that one network address may open. This machine itself is not bounded."`
	AddressFailures    int `key:"address_failures" default:"120" min:"1" env:"CLAUDEMESH_BROKER_ADDRESS_FAILURES" doc:"Hellos a minute of one network address that may be refused. This machine itself is not bounded."`
	AddressRequests    int `key:"address_requests" default:"60" min:"1" env:"CLAUDEMESH_BROKER_ADDRESS_REQUESTS" doc:"Claims of invites, and requests for meshes without the create-token, a minute from one network address."`

	TrustedProxies []string `key:"trusted_proxies" default:"127.0.0.0/8,::1" env:"CLAUDEMESH_BROKER_TRUSTED_PROXIES" doc:"Addresses and networks of the proxies in front, whose X-Forwarded-For says who asks. A word of anybody else is not taken."`

	PeersPage    int           `key:"peers_page" default:"1000" min:"1" max:"10000" env:"CLAUDEMESH_BROKER_PEERS_PAGE" doc:"Rows of one page of list_peers, at most."`
	MemberSkills int           `key:"member_skills" default:"100" min:"1" env:"CLAUDEMESH_BROKER_MEMBER_SKILLS" doc:"Names under which one member may publish skills; a removed one keeps its name."`
	FrameBytes   int64         `key:"frame_bytes" default:"65536" min:"4096" env:"CLAUDEMESH_BROKER_FRAME_BYTES" doc:"Largest frame of a client."`
	HelloBytes   int64         `key:"hello_bytes" default:"16384" min:"4096" env:"CLAUDEMESH_BROKER_HELLO_BYTES" doc:"Largest frame of a client that has not said hello."`
	HelloTimeout time.Duration `key:"hello_timeout" default:"5s" min:"10ms" env:"CLAUDEMESH_BROKER_HELLO_TIMEOUT" doc:"How long a connection may take to say hello."`
	PingInterval time.Duration `key:"ping_interval" default:"30s" min:"10ms" env:"CLAUDEMESH_BROKER_PING_INTERVAL" doc:"How often a silent connection is tried."`
	DeadAfter    time.Duration `key:"dead_after" default:"1m15s" min:"10ms" env:"CLAUDEMESH_BROKER_DEAD_AFTER" doc:"Silence after which a connection is given up. Longer than ping_interval."`

	ShutdownGrace time.Duration `key:"shutdown_grace" default:"5s" min:"0s" env:"CLAUDEMESH_BROKER_SHUTDOWN_GRACE" doc:"How long a stopping broker lets connections finish what it accepted."`
	LogLevel      slog.Level    `key:"log_level" default:"info" env:"CLAUDEMESH_BROKER_LOG_LEVEL" doc:"Least level that is logged: debug, info, warn or error."`
}

// TLS reports whether the broker answers https://.
func (b Broker) TLS() bool { return b.SelfSigned || b.TLSCert != "" }

// check refuses settings that contradict each other or could never work.
func (b Broker) check() error {
	switch {
	case b.DedupeTTL < b.MessageTTL:
		return contradiction("dedupe_ttl", "at least message_ttl", b.DedupeTTL)
	case b.DeadAfter <= b.PingInterval:
		return contradiction("dead_after", "longer than ping_interval", b.DeadAfter)
	case b.HelloBytes > b.FrameBytes:
		return contradiction("hello_bytes", "at most frame_bytes", b.HelloBytes)
	case (b.TLSCert == "") != (b.TLSKey == ""):
		return contradiction("tls_cert", "both tls_cert and tls_key, or neither", "one")
	case b.SelfSigned && b.TLSCert != "":
		return contradiction("self_signed", "false where tls_cert is set", "true")
	case slices.ContainsFunc(b.AllowedHosts, func(host string) bool { return strings.ContainsAny(host, "/@ ") }):
		return contradiction("allowed_hosts", "host names without scheme and path", strings.Join(b.AllowedHosts, ","))
	}
	if _, _, err := net.SplitHostPort(b.Listen); err != nil {
		return contradiction("listen", "host:port", b.Listen)
	}
	if _, err := b.Proxies(); err != nil {
		return err
	}
	if b.PublicURL == "" {
		return nil
	}
	return checkURL("public_url", b.PublicURL, "http", "https")
}

// Proxies are the networks of TrustedProxies; a single address is a network of its own. It fails with settings_refused
// for a text that is neither, or has a zone.
func (b Broker) Proxies() ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, 0, len(b.TrustedProxies))
	for _, text := range b.TrustedProxies {
		network, err := netip.ParsePrefix(text)
		if addr, single := netip.ParseAddr(text); single == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, contradiction("trusted_proxies", "addresses such as 192.0.2.1 and networks such as 10.0.0.0/8", text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// checkURL refuses what is no absolute address in one of the schemes.
func checkURL(key, text string, schemes ...string) error {
	u, err := url.Parse(text)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.Host == "" || u.User != nil {
		return contradiction(key, "an address that begins with "+strings.Join(schemes, ":// or ")+"://", text)
	}
	return nil
}
