// Package protocol declares every frame between a client and the broker, one file per noun, and the bodies of the
// broker's HTTP routes. Types and declarations only: package wire moves them, the broker and the daemon act on them.
package protocol

import "github.com/claudemesh/claudemesh/internal/mesh"

// Version is the protocol version that both sides declare.
const Version = 1

// The capabilities a client announces in its hello and a broker confirms in its answer (design B2).
const (
	CapGo           = "claudemesh.go/1"
	CapClientAck    = "client_ack"
	CapReceipts     = "receipts/1"
	CapPeersOffline = "peers.offline/1"
	CapAuth         = "auth/2"
	CapSenderProof  = "sender-proof/1"
)

// ChallengeHeader stands in the answer to the upgrade of a broker that knows auth/2: 64 lower-case hex, new with each
// connection (design C4).
const ChallengeHeader = "Claudemesh-Challenge"

// Capabilities lists what this build serves and asks for.
func Capabilities() []string {
	return []string{CapGo, CapClientAck, CapReceipts, CapPeersOffline, CapAuth, CapSenderProof}
}

// SessionCapabilities lists what the connection of one session asks for: receipts are for its member, whose daemon has
// a connection of its own, and would otherwise come once for every session.
func SessionCapabilities() []string {
	return []string{CapGo, CapClientAck, CapPeersOffline, CapAuth, CapSenderProof}
}

// Group is a group with the role the peer has in it.
type Group struct {
	Name string `json:"name" jsonschema:"group path without @"`
	Role string `json:"role,omitzero" jsonschema:"free text"`
}

// Profile describes a peer to others.
type Profile struct {
	Avatar       string   `json:"avatar,omitzero"`
	Title        string   `json:"title,omitzero"`
	Bio          string   `json:"bio,omitzero"`
	Capabilities []string `json:"capabilities,omitzero"`
}

// Limits are the bounds that a broker sets its clients (design B2).
type Limits struct {
	FrameBytes    int64   `json:"frameBytes" jsonschema:"largest frame from a client"`
	BodyBytes     int64   `json:"bodyBytes" jsonschema:"largest plaintext of a direct message"`
	SendPerSecond float64 `json:"sendPerSecond" jsonschema:"sends a member may make per second"`
	SendBurst     int     `json:"sendBurst" jsonschema:"sends a member may make at once"`
	MessageTTLMs  int64   `json:"messageTtlMs" jsonschema:"how long an undelivered message is kept, in milliseconds"`
	DedupeTTLMs   int64   `json:"dedupeTtlMs" jsonschema:"how long a client message id is remembered, in milliseconds"`
	SendWindow    int     `json:"sendWindow,omitzero" jsonschema:"sends to one target that may wait for acks at once, from a broker that obeys after; 0 means 1"`
}

// TargetKind says to whom a delivered message was addressed, so that a reader knows what encryption to expect.
type TargetKind string

// The kinds of a pushed message.
const (
	KindMember  TargetKind = "member"
	KindSession TargetKind = "session"
	KindGroup   TargetKind = "group"
	KindAll     TargetKind = "everyone"
	KindTopic   TargetKind = "topic"
)

// Direct reports whether the message was sealed to one key.
func (k TargetKind) Direct() bool { return k == KindMember || k == KindSession }

// MaxPrefixBytes bounds ids that are looked up by prefix.
const MaxPrefixBytes = 32

// MinStatusID is the shortest prefix of a message id that message_status takes (wire 11.1).
const MinStatusID = 8

// SignedOperation is what the owner's key signs to change a mesh (design C1): domain, host, mesh, operation,
// hash of the arguments, nonce, time.
type SignedOperation struct {
	Nonce     string   `json:"nonce" jsonschema:"32 random hex characters, used once"`
	AtMs      int64    `json:"at_ms" jsonschema:"milliseconds since the epoch, within 60 s of the broker's clock"`
	Key       mesh.Key `json:"key" jsonschema:"the owner's public key"`
	Signature string   `json:"signature" jsonschema:"128 hex, by the owner's key"`
}
