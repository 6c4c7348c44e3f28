package trust

import (
	"context"
	"log/slog"
	"time"

	"github.com/claudemesh/claudemesh/internal/logkey"
)

// handshakeTime bounds writing a handshake to our own file.
const handshakeTime = 10 * time.Second

// Spoken is the strongest handshake that the broker of the mesh ever spoke: no weaker one is answered (design C4).
func (p *Pins) Spoken() int { return int(p.spoken.Load()) }

// Spoke remembers a handshake.
func (p *Pins) Spoke(version int) {
	if version <= p.Spoken() {
		return
	}
	p.spoken.Store(int64(version))
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	if err := p.opt.DB.SaveHandshake(ctx, p.opt.MeshID, version); err != nil {
		p.opt.Log.Error("handshake not remembered", slog.Any(logkey.Err, err))
	}
}
