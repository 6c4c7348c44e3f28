package broker

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/buildinfo"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// health says that the broker runs, to anyone (http-api A 1).
func (s *server) health(w http.ResponseWriter, r *http.Request) {
	build := buildinfo.Read()
	body := protocol.Health{
		Status: "ok", DB: "up", Version: build.Version, GitSHA: build.Commit, Uptime: int64(s.now().Sub(s.started) / time.Second),
	}
	if !s.writable(r.Context()) {
		body.DB = "down"
	}
	s.respond(w, http.StatusOK, body)
}

// probeTime bounds how long the store may take to answer.
const probeTime = time.Second

// writable reports whether the store takes what must not be lost. Nothing is written for it.
func (s *server) writable(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	return s.db.Write(ctx, func(*sqlite.Tx) error { return nil }) == nil
}

// metrics answers Prometheus on this machine, or with the create-token (http-api A 3).
func (s *server) metrics(w http.ResponseWriter, r *http.Request) {
	if !direct(r) {
		if err := s.bearer(r); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	healthy, depth := int64(0), int64(0)
	if s.writable(r.Context()) {
		healthy = 1
	}
	err := s.db.Read(r.Context(), func(tx *sqlite.Tx) (err error) {
		depth, err = store.CountWaiting(tx)
		return err
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var b bytes.Buffer
	s.count.write(&b, []gauge{
		{protocol.MetricActive, int64(s.crowd.count(0))},
		{protocol.MetricDepth, depth},
		{protocol.MetricOutbound, s.count.waiting.Load()},
		{protocol.MetricHealthy, healthy},
	})
	s.count.requests.add("200")
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // the reader may be gone
}
