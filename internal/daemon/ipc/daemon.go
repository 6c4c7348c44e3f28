package ipc

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/localapi"
)

// apiVersion and schema are what version says of this API (daemon 8.1).
const (
	apiVersion = "v1"
	schema     = 1
)

func (s *Server) version(context.Context, caller, localapi.None) (localapi.VersionAnswer, error) {
	return localapi.VersionAnswer{
		DaemonVersion: buildinfo.Version(), IPCAPI: apiVersion, IPCFeatures: localapi.Features(), SchemaVersion: schema,
	}, nil
}

func (s *Server) health(ctx context.Context, c caller, _ localapi.None) (localapi.HealthAnswer, error) {
	h := localapi.HealthAnswer{OK: true, PID: s.PID}
	if c.nobody {
		return h, nil
	}
	h.Version = buildinfo.Version()
	h.UptimeS = int64(s.Now().Sub(s.began).Seconds())
	h.Meshes = s.Node.Memberships().Health(ctx)
	h.Brokers = map[string]string{}
	for _, m := range h.Meshes {
		h.Brokers[m.Mesh] = m.Status
	}
	return h, nil
}
