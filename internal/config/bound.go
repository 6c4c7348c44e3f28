package config

import "github.com/claudemesh/claudemesh/internal/mesh"

// Bound is a setting of a broker at which something is refused, cut or forgotten, by its key (design D3, F2). Metrics
// have it as a label.
type Bound string

// The bounds. Each has its row in Bounds.
const (
	BoundMessageTTL  Bound = "message_ttl"
	BoundDedupeTTL   Bound = "dedupe_ttl"
	BoundDedupeRows  Bound = "dedupe_rows"
	BoundSessionSeen Bound = "session_seen"

	BoundPairRows       Bound = "pair_rows"
	BoundPairBytes      Bound = "pair_bytes"
	BoundRecipientBytes Bound = "recipient_bytes"
	BoundMeshBytes      Bound = "mesh_bytes"
	BoundSendPerSecond  Bound = "send_per_second"
	BoundSendBurst      Bound = "send_burst"

	BoundConnections       Bound = "connections"
	BoundMeshConnections   Bound = "mesh_connections"
	BoundMemberConnections Bound = "member_connections"
	BoundMemberHellos      Bound = "member_hellos"
	BoundMemberRequests    Bound = "member_requests"

	BoundAddressConnections Bound = "address_connections"
	BoundAddressConnects    Bound = "address_connects"
	BoundAddressFailures    Bound = "address_failures"
	BoundAddressRequests    Bound = "address_requests"

	BoundFrameBytes   Bound = "frame_bytes"
	BoundHelloBytes   Bound = "hello_bytes"
	BoundHelloTimeout Bound = "hello_timeout"
	BoundDeadAfter    Bound = "dead_after"
	BoundPeersPage    Bound = "peers_page"

	BoundMemberSkills Bound = "member_skills"
)

// BoundRow says what happens at a bound.
type BoundRow struct {
	Bound Bound
	Code  mesh.Code // of the refusal; empty where nothing is refused
	Then  string    // what happens to what is beyond it, in words
}

// Bounds lists every bound of a broker.
func Bounds() []BoundRow {
	return []BoundRow{
		{BoundMessageTTL, "", "the message ends, and its sender gets the receipt `expired`"},
		{BoundDedupeTTL, "", "the message is forgotten: the same id again is a new message"},
		{BoundDedupeRows, "", "the member's oldest messages are forgotten, but not those that wait"},
		{BoundSessionSeen, mesh.TargetNotFound, "the session can no longer be written to"},

		{BoundPairRows, mesh.QueueFull, "the send is refused; others still reach this recipient, and this sender others"},
		{BoundPairBytes, mesh.QueueFull, "as with `pair_rows`"},
		{BoundRecipientBytes, mesh.QueueFull, "sends to this recipient are refused"},
		{BoundMeshBytes, mesh.QueueFull, "sends in this mesh are refused"},
		{BoundSendPerSecond, mesh.RateLimited, "the send is refused, with the time until the next one is taken"},
		{BoundSendBurst, mesh.RateLimited, "as with `send_per_second`, which it shares its count with"},

		{BoundConnections, mesh.Capacity, "the hello is refused; what comes beyond some spare places is closed unread"},
		{BoundMeshConnections, mesh.Capacity, "the hello is refused"},
		{BoundMemberConnections, mesh.Capacity, "the hello is refused, unless it takes over from another of the same session"},
		{BoundMemberHellos, mesh.RateLimited, "the hello is refused before its signature is checked"},
		{BoundMemberRequests, mesh.RateLimited, "the request is refused; messages and their acknowledgements are none"},

		{BoundAddressConnections, mesh.Capacity, "the connection is refused before its handshake; what comes beyond some spare places is closed unread"},
		{BoundAddressConnects, mesh.RateLimited, "the connection is refused before its handshake, with `Retry-After`"},
		{BoundAddressFailures, mesh.RateLimited, "further connections are refused before their handshake, with `Retry-After`"},
		{BoundAddressRequests, mesh.RateLimited, "the request is refused before it is read, with `Retry-After`"},

		{BoundFrameBytes, mesh.PayloadTooLarge, "the connection is closed with 1009 before the frame is taken in"},
		{BoundHelloBytes, mesh.PayloadTooLarge, "the connection is closed with 1009 before the frame is taken in"},
		{BoundHelloTimeout, mesh.HelloTimeout, "the connection is closed with 1008"},
		{BoundDeadAfter, "", "the connection is cut; what waits for it is kept"},
		{BoundPeersPage, "", "the answer has `next`, where the next page begins"},

		{BoundMemberSkills, mesh.SkillsFull, "the skill is refused; those that the member has can be changed"},
	}
}
