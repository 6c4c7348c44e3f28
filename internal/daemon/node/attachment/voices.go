package attachment

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// voices are those of the connections of one mesh.
type voices struct {
	at    *Attachment
	own   *Voice        // the member's
	moved chan struct{} // holds one wish to tell which sessions are served
}

func newVoices(a *Attachment) *voices {
	return &voices{at: a, own: newVoice(a, ""), moved: make(chan struct{}, 1)}
}

// move says that the sessions, or the daemon's own connection, are others than before.
func (o *voices) move() {
	select {
	case o.moved <- struct{}{}:
	default: // it is known
	}
}

// introduce tells the broker on a new connection what is kept of a session, or of the user.
func (o *voices) introduce(sessionID string) func(context.Context) error {
	return func(ctx context.Context) error {
		v := o.at.Voice(sessionID)
		if v == nil {
			return nil // it has just ended
		}
		if _, err := v.Speak(ctx, Wish{}, true); err != nil && ctx.Err() == nil {
			o.at.opt.Log.Info("profile not told", logkey.Mesh, o.at.Mesh.Slug, logkey.Err, err) // the next connection tells it
		}
		return nil
	}
}

// report tells the broker, until ctx ends, which sessions are served, and from time to time the counts of all connections.
func (o *voices) report(ctx context.Context) error {
	tick := time.NewTicker(statsTime)
	defer tick.Stop()
	last := map[*Voice]protocol.Stats{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.moved:
			o.keepSessions(ctx)
			continue
		case <-tick.C:
		}
		next := map[*Voice]protocol.Stats{}
		for _, v := range o.all() {
			said, err := v.report(ctx, last[v])
			if err != nil && ctx.Err() == nil {
				o.at.opt.Log.Debug("counts not told", logkey.Mesh, o.at.Mesh.Slug, logkey.Err, err) // the next minute tells them
			}
			next[v] = said
		}
		last = next
	}
}

// all lists those of the member and its sessions.
func (o *voices) all() []*Voice {
	all := []*Voice{o.own}
	for _, s := range o.at.Sessions.all() {
		all = append(all, s.voice)
	}
	return all
}

// speaker gives the voice of a connection; nil for one that has ended.
func (o *voices) speaker(link *uplink.Link) *Voice {
	if link == o.at.Link {
		return o.own
	}
	for _, s := range o.at.Sessions.all() {
		if s.Link == link {
			return s.voice
		}
	}
	return nil
}

// Voice gives that of a session, or of the user; nil for a session that is not in this mesh.
func (a *Attachment) Voice(sessionID string) *Voice {
	if sessionID == "" {
		return a.voices.own
	}
	if s := a.Sessions.Find(sessionID); s != nil {
		return s.voice
	}
	return nil
}

// keepSessions tells the broker which sessions this daemon still serves, so that those that ended while it was down are
// gone at once and not when their lease ends.
func (o *voices) keepSessions(ctx context.Context) {
	if !o.at.Link.Has(protocol.CapGo) {
		return
	}
	req := protocol.KeepSessionsRequest{Keys: []mesh.Key{}}
	for _, s := range o.at.Sessions.connected() {
		req.Keys = append(req.Keys, s.Pubkey())
	}
	answer, err := Ask(ctx, o.at, voiceTime, protocol.KeepSessions, req)
	switch {
	case err != nil && ctx.Err() == nil:
		o.at.opt.Log.Info("sessions not told", logkey.Mesh, o.at.Mesh.Slug, logkey.Err, err) // their leases end by themselves
	case answer.Ended > 0:
		o.at.opt.Log.Info("sessions that ended meanwhile are gone", logkey.Mesh, o.at.Mesh.Slug, logkey.Count, answer.Ended)
	}
}
