package localapi

import (
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// ProfileRequest changes what others see of the caller: of its session, or of the user outside of one. What is not
// given stays (daemon 8.4).
type ProfileRequest struct {
	Mesh         string       `json:"mesh,omitzero" jsonschema:"slug; empty means every joined mesh"`
	Summary      *string      `json:"summary,omitzero" jsonschema:"at most 500 characters; empty takes it away"`
	Status       *mesh.Status `json:"status,omitzero" jsonschema:"idle, working or dnd"`
	Source       string       `json:"source,omitzero" jsonschema:"of the status: hook, manual or jsonl; empty means manual"`
	Visible      *bool        `json:"visible,omitzero" jsonschema:"false hides from the lists of other members"`
	Avatar       *string      `json:"avatar,omitzero"`
	Title        *string      `json:"title,omitzero"`
	Bio          *string      `json:"bio,omitzero"`
	Capabilities []string     `json:"capabilities,omitzero"`

	Name        *string          `json:"name,omitzero" jsonschema:"of the session; empty: as its host names it"`
	Role        *string          `json:"role,omitzero" jsonschema:"of the session; empty takes it away"`
	Groups      []protocol.Group `json:"groups,omitzero" jsonschema:"all groups that it is to be in"`
	MessageMode *string          `json:"message_mode,omitzero" jsonschema:"of the session: push, inbox or off"`
}

// ProfileAnswer says what was changed where. A mesh without a connection gets it when it has one.
type ProfileAnswer struct {
	OK      bool     `json:"ok"`
	Applied []string `json:"applied" jsonschema:"names of the fields that were given"`
	Meshes  []string `json:"meshes" jsonschema:"slugs of the meshes that know it now"`
	Waiting []string `json:"waiting,omitzero" jsonschema:"slugs of the meshes that will be told when they are connected"`
	Apart   int      `json:"sessions_apart,omitzero" jsonschema:"of a user: sessions here, which say this for themselves and are seen as before"`
}

// ProfileOf is what others see of the caller in one mesh.
type ProfileOf struct {
	Mesh        string           `json:"mesh"`
	MeshID      mesh.ID          `json:"mesh_id"`
	MemberID    mesh.ID          `json:"member_id"`
	Pubkey      mesh.Key         `json:"pubkey" jsonschema:"session key, else member key"`
	DisplayName string           `json:"display_name"`
	Access      string           `json:"access" jsonschema:"admin or member"`
	Role        string           `json:"role,omitzero"`
	Groups      []protocol.Group `json:"groups"`
	MessageMode string           `json:"message_mode" jsonschema:"push, inbox or off"`
	Connection  string           `json:"connection" jsonschema:"open, connecting, reconnecting, closed, rejected or banned"`
	Status      mesh.Status      `json:"status"`
	Summary     string           `json:"summary,omitzero"`
	Visible     bool             `json:"visible"`
	Profile     protocol.Profile `json:"profile"`
}

// ProfilesRequest asks for them.
type ProfilesRequest struct {
	Mesh string `json:"mesh,omitzero" jsonschema:"slug; empty means every joined mesh"`
}

// ProfilesAnswer has one for each mesh.
type ProfilesAnswer struct {
	Profiles []ProfileOf `json:"profiles"`
}

// MeshInfo is an overview of one joined mesh.
type MeshInfo struct {
	Slug        string             `json:"slug"`
	MeshID      mesh.ID            `json:"mesh_id"`
	MemberID    mesh.ID            `json:"member_id"`
	BrokerURL   string             `json:"broker_url"`
	DisplayName string             `json:"display_name"`
	Status      string             `json:"status"`
	Info        *protocol.MeshInfo `json:"info,omitzero" jsonschema:"as the broker tells it; absent when it does not answer"`
	Error       string             `json:"error,omitzero" jsonschema:"why it did not"`
}

// InfoRequest asks for overviews.
type InfoRequest struct {
	Mesh string `json:"mesh,omitzero" jsonschema:"slug; empty means every joined mesh"`
}

// InfoAnswer has one for each mesh.
type InfoAnswer struct {
	Meshes []MeshInfo `json:"meshes"`
}

// PingRequest asks the brokers for a sign of life.
type PingRequest struct {
	Mesh string `json:"mesh,omitzero" jsonschema:"slug; empty means every joined mesh"`
}

// Ping is how the broker of one mesh answers.
type Ping struct {
	Mesh        string  `json:"mesh"`
	Status      string  `json:"status" jsonschema:"of the connection"`
	OK          bool    `json:"ok"`
	RoundTripMS float64 `json:"round_trip_ms,omitzero" jsonschema:"milliseconds to the broker and back"`
	PeersOnline int     `json:"peers_online"`
	Waiting     int     `json:"waiting" jsonschema:"messages that wait here to be sent"`
	Error       string  `json:"error,omitzero"`

	Code mesh.Code `json:"code,omitzero" jsonschema:"of the error"`
}

// PingAnswer has one for each mesh.
type PingAnswer struct {
	Meshes []Ping `json:"meshes"`
}

// EventPeers is the kind of the events of PeersWatch.
const EventPeers = "peers"

// The changes of a roster.
const (
	PeerHere    = "here"    // it was there when the watch began
	PeerCame    = "joined"  // it came into the list
	PeerChanged = "changed" // something about it is new
	PeerGone    = "left"    // it is no longer in the list
	MeshChanged = "mesh"    // whether a mesh's roster is current changed
	WatchReady  = "ready"   // everything that was there has been told
)

// PeerChange is one change of a roster.
type PeerChange struct {
	TS     string     `json:"ts"`
	Change string     `json:"change" jsonschema:"here, joined, changed, left, mesh or ready"`
	Mesh   string     `json:"mesh,omitzero"`
	Peer   *Peer      `json:"peer,omitzero"`
	State  *MeshState `json:"state,omitzero" jsonschema:"with mesh"`
}

// Presence.
var (
	ProfileSet = Define[ProfileRequest, ProfileAnswer](Spec{
		Route: "POST /v1/profile", Feature: "profile", Scope: User, BodyLimit: 16 << 10,
		Summary: "Change what others see of the caller: status, summary, visibility, profile.",
	})
	Profiles = Define[ProfilesRequest, ProfilesAnswer](Spec{
		Route: "GET /v1/profile", Feature: "profile", Scope: User, Summary: "Read what others see of the caller.",
	})
	Info = Define[InfoRequest, InfoAnswer](Spec{
		Route: "GET /v1/info", Feature: "info", Scope: User, Summary: "Read overviews of the joined meshes.",
	})
	PingBrokers = Define[PingRequest, PingAnswer](Spec{
		Route: "GET /v1/ping", Feature: "ping", Scope: User, Summary: "Measure the way to the brokers and back.",
	})
	PeersWatch = Define[PeersRequest, None](Spec{
		Route: "GET /v1/peers/watch", Feature: "peers_watch", Scope: User, Stream: true,
		Summary: "Follow the roster: who is there, then every change.",
	})
)
