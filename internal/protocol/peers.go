package protocol

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// PeersRequest asks who is in the mesh. All fields are ours; an empty request is that of old clients.
type PeersRequest struct {
	IncludeOffline bool   `json:"includeOffline,omitzero" jsonschema:"also known members and sessions without a connection"`
	Limit          int    `json:"limit,omitzero" jsonschema:"rows a page, 1 to 1000; 0 means all that fit"`
	After          string `json:"after,omitzero" jsonschema:"the next of the page before"`
}

// Peer is one connection, or one known member or session without one (wire 7.2).
type Peer struct {
	Pubkey       mesh.Key      `json:"pubkey" jsonschema:"session key, else member key"`
	MemberPubkey mesh.Key      `json:"memberPubkey"`
	DisplayName  string        `json:"displayName"`
	Status       mesh.Status   `json:"status"`
	Summary      *string       `json:"summary"`
	Groups       []Group       `json:"groups"`
	SessionID    string        `json:"sessionId"`
	ConnectedAt  string        `json:"connectedAt"`
	CWD          string        `json:"cwd"`
	PeerRole     mesh.PeerRole `json:"peerRole"`
	Role         string        `json:"role,omitzero"`
	Hostname     string        `json:"hostname,omitzero"`
	PeerType     string        `json:"peerType,omitzero"`
	Channel      string        `json:"channel,omitzero"`
	Model        string        `json:"model,omitzero"`
	Stats        *Stats        `json:"stats,omitzero"`
	Visible      *bool         `json:"visible,omitzero" jsonschema:"false for one that only its own member sees"`
	Profile      *Profile      `json:"profile,omitzero"`
	Online       *bool         `json:"online,omitzero" jsonschema:"false for a known peer without a connection"`
	Reconnecting bool          `json:"reconnecting,omitzero" jsonschema:"its connection broke a moment ago; it counts as online until its lease ends"`
	LastSeenAt   string        `json:"lastSeenAt,omitzero"`
	MemberName   string        `json:"memberName,omitzero"`
	Attestation  *Vouch        `json:"attestation,omitzero" jsonschema:"the member's word for the session key, from an auth/2 of it; it may be over"`
	Proved       bool          `json:"proved,omitzero" jsonschema:"the session key came by session_hello, so it outlives the connection; one of a plain hello dies with its process"`
	Receipts     bool          `json:"receipts,omitzero" jsonschema:"it announced receipts/1: its member can tell whether a message was shown or acknowledged"`
}

// PeersAnswer is the roster, oldest connection first, then who is offline.
type PeersAnswer struct {
	Peers []Peer `json:"peers"`
	Next  string `json:"next,omitzero" jsonschema:"set when there are more"`
}

// ListPeers reads the roster.
var ListPeers = wire.Define[PeersRequest, PeersAnswer](wire.Spec{
	Type: "list_peers", Reply: "peers_list", Summary: "Read who is in the mesh.",
})

// MembersRequest asks for a page of the members of the mesh.
type MembersRequest struct {
	Limit int    `json:"limit,omitzero" jsonschema:"rows a page, 1 to 1000; 0 means all that fit"`
	After string `json:"after,omitzero" jsonschema:"the next of the page before"`
}

// Member is a member of the mesh, connected or not.
type Member struct {
	MemberID    mesh.ID     `json:"memberId"`
	Pubkey      mesh.Key    `json:"pubkey"`
	DisplayName string      `json:"displayName"`
	Role        string      `json:"role" jsonschema:"admin or member"`
	JoinedAt    string      `json:"joinedAt"`
	LastSeenAt  string      `json:"lastSeenAt,omitzero"`
	Online      bool        `json:"online"`
	Sessions    int         `json:"sessions" jsonschema:"of its sessions those that are there"`
	Status      mesh.Status `json:"status,omitzero" jsonschema:"of its daemon, else of its newest session"`
	Summary     *string     `json:"summary,omitzero"`
}

// MembersAnswer is a page, in the order in which they joined.
type MembersAnswer struct {
	Members []Member `json:"members"`
	Next    string   `json:"next,omitzero" jsonschema:"set when there are more"`
}

// MemberList reads who belongs to the mesh.
var MemberList = wire.Define[MembersRequest, MembersAnswer](wire.Spec{
	Type: "member_list", Reply: "member_list_result", Ours: true, Summary: "Read who belongs to the mesh, connected or not.",
})
