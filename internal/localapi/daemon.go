package localapi

import "github.com/claudemesh/claudemesh/internal/mesh"

// VersionAnswer says what answers (daemon 8.1).
type VersionAnswer struct {
	DaemonVersion string   `json:"daemon_version"`
	IPCAPI        string   `json:"ipc_api"`
	IPCFeatures   []string `json:"ipc_features"`
	SchemaVersion int      `json:"schema_version"`
}

// MeshHealth is the state of one mesh in the daemon.
type MeshHealth struct {
	Mesh          string  `json:"mesh"`
	MeshID        mesh.ID `json:"mesh_id"`
	Status        string  `json:"status"`
	OutboxPending int     `json:"outbox_pending"`
	OutboxDead    int     `json:"outbox_dead"`
	LastError     string  `json:"last_error,omitzero"`
	Sessions      int     `json:"sessions"`
}

// HealthAnswer is how the daemon does.
type HealthAnswer struct {
	OK      bool              `json:"ok"`
	PID     int               `json:"pid"`
	Version string            `json:"version,omitzero"`
	UptimeS int64             `json:"uptime_s,omitzero"`
	Brokers map[string]string `json:"brokers,omitzero"`
	Meshes  []MeshHealth      `json:"meshes,omitzero"`
}

// The daemon itself.
var (
	Version = Define[None, VersionAnswer](Spec{
		Route: "GET /v1/version", Feature: "version", Scope: Anyone, Summary: "Read version and features of the daemon.",
	})
	Health = Define[None, HealthAnswer](Spec{
		Route: "GET /v1/health", Feature: "health", Scope: Anyone, Summary: "Read how the daemon does, mesh by mesh.",
	})
)
