package attachment

import (
	"context"
	"sync"

	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// drain lets the outbox of one mesh go out.
type drain struct {
	at *Attachment

	mu    sync.Mutex
	again func() // makes it begin anew; nil before the first time
}

// run sends what waits. It begins anew when a session has ended of which something is left, or the broker turned out to
// know no sessions: its rows would wait for a connection that may never come.
func (d *drain) run(ctx context.Context) error {
	for ctx.Err() == nil {
		turn, cancel := context.WithCancel(ctx)
		d.mu.Lock()
		d.again = cancel // before adopt looks: who ends from now on ends this turn
		d.mu.Unlock()
		if err := d.adopt(ctx); err != nil && ctx.Err() == nil {
			d.at.opt.Log.Error("messages of an ended session not sealed anew", logkey.Mesh, d.at.Mesh.Slug, logkey.Err, err)
		}
		err := d.at.opt.Outbox.Drain(turn, d.at.Mesh.ID, d.at.Mesh.Slug, route{d.at})
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// anew lets the drain begin anew.
func (d *drain) anew() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.again != nil {
		d.again()
	}
}

// adopt sees to what sessions left that have ended: it leaves in their name where they can still be connected. Else, and
// where sessions cannot speak here, the member becomes its sender.
func (d *drain) adopt(ctx context.Context) error {
	waiting, err := d.at.opt.Outbox.Waiting(ctx, d.at.Mesh.ID)
	if err != nil {
		return err
	}
	for _, key := range d.at.Sessions.unknown(waiting) {
		if err := d.at.leave(ctx, key); err != nil && ctx.Err() == nil {
			d.at.opt.Log.Info("messages of an ended session leave in its member's name", logkey.Mesh, d.at.Mesh.Slug, logkey.Err, err)
		}
	}
	own := d.senders()
	n, err := d.at.opt.Outbox.Reseal(ctx, d.at.Mesh.ID, func(k mesh.Key) bool { return !own[k] },
		func(recipient mesh.Key, body []byte) (string, string, error) {
			peer, err := seal.ParsePublicKey(string(recipient))
			if err != nil {
				return "", "", err
			}
			box, err := d.at.opt.Boxes.Seal(d.at.Mesh.Secret, peer, body)
			return box.Nonce, box.Ciphertext, err
		})
	if n > 0 {
		d.at.opt.Log.Info("messages of a session sealed anew by its member", logkey.Mesh, d.at.Mesh.Slug, logkey.Count, n)
	}
	return err
}

// senders lists the keys with which messages leave.
func (d *drain) senders() map[mesh.Key]bool {
	keys := map[mesh.Key]bool{d.at.Mesh.Pubkey(): true}
	for _, s := range d.at.Sessions.connected() {
		keys[s.Pubkey()] = s.Speaks()
	}
	return keys
}
