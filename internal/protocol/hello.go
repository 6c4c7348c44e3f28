package protocol

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Presence is what a connection tells of itself; hello and session_hello share it.
type Presence struct {
	DisplayName string        `json:"displayName,omitzero" jsonschema:"shown name; empty means the member's"`
	SessionID   string        `json:"sessionId" jsonschema:"groups the connections of one session"`
	PID         int64         `json:"pid" jsonschema:"process id; 0 where it is nobody's business"`
	CWD         string        `json:"cwd" jsonschema:"working folder, or its base name"`
	Hostname    string        `json:"hostname,omitzero"`
	PeerType    string        `json:"peerType,omitzero" jsonschema:"ai, human, connector or bridge"`
	Channel     string        `json:"channel,omitzero" jsonschema:"claude-code, claudemesh-daemon, claudemesh-session, ..."`
	Model       string        `json:"model,omitzero"`
	Role        string        `json:"role,omitzero" jsonschema:"the user's own role text"`
	PeerRole    mesh.PeerRole `json:"peerRole,omitzero" jsonschema:"control-plane, session or service"`
	Groups      []Group       `json:"groups,omitzero"`
}

// HelloRequest authenticates a member (wire 2.1).
type HelloRequest struct {
	ProtocolVersion int        `json:"protocolVersion,omitzero"`
	Capabilities    []string   `json:"capabilities,omitzero"`
	MeshID          string     `json:"meshId"`
	MemberID        string     `json:"memberId" jsonschema:"covered by the signature"`
	Pubkey          string     `json:"pubkey" jsonschema:"member key, 64 lower-case hex"`
	SessionPubkey   string     `json:"sessionPubkey,omitzero" jsonschema:"ephemeral key of the connection, not proved"`
	Presence        Presence   `json:",embed"`
	Timestamp       int64      `json:"timestamp" jsonschema:"milliseconds since the epoch, within 60 s"`
	Signature       string     `json:"signature,omitzero" jsonschema:"128 hex, by the member key; left out with auth"`
	Auth            *HelloAuth `json:"auth,omitzero" jsonschema:"auth/2: signed for this broker and this connection"`
}

// HelloAuth is the proof of auth/2 (design C4). What it signs is in package seal: Auth and Vouch.
type HelloAuth struct {
	Host             string `json:"host" jsonschema:"host:port that the client dialled, lower case, the port always written"`
	Challenge        string `json:"challenge" jsonschema:"of the answer to the upgrade"`
	MemberSignature  string `json:"memberSignature" jsonschema:"128 hex, by the member key"`
	SessionSignature string `json:"sessionSignature,omitzero" jsonschema:"128 hex, by the session key over the same text"`
	Attestation      *Vouch `json:"attestation,omitzero" jsonschema:"of the session key, in place of parentAttestation"`
}

// Vouch is a member's word for a session key at one broker and in one mesh, version 2 of Attestation. The keys and the
// mesh stand beside it.
type Vouch struct {
	Host      string `json:"host" jsonschema:"host:port of the broker"`
	NotBefore int64  `json:"notBefore" jsonschema:"milliseconds since the epoch"`
	ExpiresAt int64  `json:"expiresAt" jsonschema:"at most 10 minutes after notBefore"`
	Signature string `json:"signature" jsonschema:"128 hex, by the member key"`
}

// Attestation is a member's word for a session key (wire 2.2).
type Attestation struct {
	SessionPubkey      string `json:"sessionPubkey"`
	ParentMemberPubkey string `json:"parentMemberPubkey"`
	ExpiresAt          int64  `json:"expiresAt" jsonschema:"milliseconds since the epoch, at most 24 h ahead"`
	Signature          string `json:"signature" jsonschema:"128 hex, by the member key"`
}

// SessionHelloRequest authenticates a session by its own key and its member's attestation (wire 2.2).
type SessionHelloRequest struct {
	ProtocolVersion    int         `json:"protocolVersion,omitzero"`
	Capabilities       []string    `json:"capabilities,omitzero"`
	MeshID             string      `json:"meshId"`
	ParentMemberID     string      `json:"parentMemberId,omitzero"`
	ParentMemberPubkey string      `json:"parentMemberPubkey"`
	SessionPubkey      string      `json:"sessionPubkey"`
	ParentAttestation  Attestation `json:"parentAttestation,omitzero" jsonschema:"left out with auth"`
	Presence           Presence    `json:",embed"`
	Timestamp          int64       `json:"timestamp"`
	Signature          string      `json:"signature,omitzero" jsonschema:"128 hex, by the session key; left out with auth"`
	Auth               *HelloAuth  `json:"auth,omitzero" jsonschema:"auth/2: signed for this broker and this connection"`
}

// MemberProfile is what the mesh keeps of a member.
type MemberProfile struct {
	RoleTag     *string `json:"roleTag"`
	Groups      []Group `json:"groups"`
	MessageMode string  `json:"messageMode" jsonschema:"push, inbox or off"`
}

// HelloAnswer welcomes a connection (wire 2.3, design B2).
type HelloAnswer struct {
	PresenceID        string         `json:"presenceId"`
	MemberDisplayName string         `json:"memberDisplayName"`
	MemberProfile     *MemberProfile `json:"memberProfile,omitzero"`
	Capabilities      []string       `json:"capabilities,omitzero" jsonschema:"those of the hello that the broker serves"`
	ProtocolVersion   int            `json:"protocolVersion,omitzero"`
	ServerTime        string         `json:"serverTime,omitzero"`
	Limits            *Limits        `json:"limits,omitzero"`
	Mesh              *MeshFacts     `json:"mesh,omitzero" jsonschema:"for claudemesh.go/1"`

	// Of a peer that was here before and comes back after its presence had ended (wire 2.3).
	Restored       bool    `json:"restored,omitzero"`
	LastSummary    string  `json:"lastSummary,omitzero"`
	LastSeenAt     string  `json:"lastSeenAt,omitzero"`
	RestoredGroups []Group `json:"restoredGroups,omitzero" jsonschema:"where the hello gave none"`
	RestoredStats  *Stats  `json:"restoredStats,omitzero" jsonschema:"as reported last; a client that counts on from them reports totals"`
}

// Goodbye ends a presence on purpose; its lease ends at once (design D4).
type Goodbye struct{}

// The handshake.
var (
	Hello = wire.Define[HelloRequest, HelloAnswer](wire.Spec{
		Type: "hello", Reply: "hello_ack", Match: wire.ByType, PreAuth: true,
		Summary: "Authenticate a member: a daemon, or an older client that has no session of its own.",
	})
	SessionHello = wire.Define[SessionHelloRequest, HelloAnswer](wire.Spec{
		Type: "session_hello", Reply: "hello_ack", Match: wire.ByType, PreAuth: true,
		Summary: "Authenticate one session of a member by its own key.",
	})
	Bye = wire.Define[Goodbye, wire.None](wire.Spec{
		Type: "bye", Ours: true, Summary: "Leave on purpose: the presence ends at once instead of after its lease.",
	})
)
