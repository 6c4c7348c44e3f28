package attachment

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Voice is what one connection tells others of itself: the wish that is kept here, and counts.
type Voice struct {
	at        *Attachment
	sessionID string        // empty: the user
	turn      chan struct{} // holds a token while somebody speaks
	mention   mention
	since     time.Time
	tally     tally
}

// tally counts what went through one connection since the daemon started.
type tally struct{ in, out, failed atomic.Int64 }

func newVoice(a *Attachment, sessionID string) *Voice {
	return &Voice{at: a, sessionID: sessionID, turn: make(chan struct{}, 1), since: a.opt.Now()}
}

// Wish is what others are to see. Only do not disturb is kept once the broker knows it: other statuses pass.
type Wish struct {
	Summary      *string      `json:"summary,omitzero"`
	Status       *mesh.Status `json:"status,omitzero"`
	Source       string       `json:"source,omitzero"`
	Visible      *bool        `json:"visible,omitzero"`
	Avatar       *string      `json:"avatar,omitzero"`
	Title        *string      `json:"title,omitzero"`
	Bio          *string      `json:"bio,omitzero"`
	Capabilities []string     `json:"capabilities,omitzero"`
}

// ParseWish reads what a request asks for, and the names of it.
func ParseWish(req localapi.ProfileRequest) (w Wish, fields []string, err error) {
	w = Wish{req.Summary, req.Status, req.Source, req.Visible, req.Avatar, req.Title, req.Bio, req.Capabilities}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"summary", w.Summary != nil}, {"status", w.Status != nil}, {"visible", w.Visible != nil}, {"avatar", w.Avatar != nil},
		{"title", w.Title != nil}, {"bio", w.Bio != nil}, {"capabilities", w.Capabilities != nil},
	} {
		if f.given {
			fields = append(fields, f.name)
		}
	}
	if err = w.check(); err == nil && len(fields) == 0 {
		err = mesh.Errorf(mesh.BadRequest, "nothing is to be changed")
	}
	return w, fields, err
}

// disturbs reports whether a change is a status that was not set by hand, in the place of do not disturb, which was.
func (w Wish) disturbs(change Wish) bool {
	return change.Status != nil && w.Status != nil && *w.Status == mesh.DND && change.Source != "" && change.Source != "manual"
}

// check refuses what no broker takes.
func (w Wish) check() error {
	if w.Status != nil {
		switch *w.Status {
		case mesh.Idle, mesh.Working, mesh.DND:
		default:
			return mesh.Errorf(mesh.BadRequest, "status is idle, working or dnd")
		}
	}
	switch w.Source {
	case "", "hook", "manual", "jsonl":
		return nil
	}
	return mesh.Errorf(mesh.BadRequest, "source is hook, manual or jsonl")
}

// describe puts a wish into a profile.
func (w Wish) describe(p *localapi.ProfileOf) {
	for _, f := range []struct{ from, to *string }{
		{w.Summary, &p.Summary}, {w.Avatar, &p.Profile.Avatar}, {w.Title, &p.Profile.Title}, {w.Bio, &p.Profile.Bio},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if w.Status != nil {
		p.Status = *w.Status
	}
	if w.Visible != nil {
		p.Visible = *w.Visible
	}
	p.Profile.Capabilities = w.Capabilities
}

// with is w after a change.
func (w Wish) with(change Wish) Wish {
	take(&w.Summary, change.Summary)
	take(&w.Visible, change.Visible)
	take(&w.Avatar, change.Avatar)
	take(&w.Title, change.Title)
	take(&w.Bio, change.Bio)
	if change.Status != nil {
		w.Status, w.Source = change.Status, change.Source
	}
	if change.Capabilities != nil {
		w.Capabilities = change.Capabilities
	}
	return w
}

func take[T any](to **T, from *T) {
	if from != nil {
		*to = from
	}
}

// voiceTime bounds telling the broker a wish.
const voiceTime = 5 * time.Second

// link is the connection that speaks; nil without one.
func (v *Voice) link() *uplink.Link {
	if v.sessionID == "" {
		return v.at.Link
	}
	if s := v.at.Sessions.Find(v.sessionID); s != nil {
		return s.Link
	}
	return nil
}

// Speak keeps a change of the wish and tells the broker of it, or with all the whole wish. False: it has no connection,
// and is told when it has one.
func (v *Voice) Speak(ctx context.Context, change Wish, all bool) (told bool, err error) {
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	kept, err := v.kept(ctx)
	if err != nil {
		return false, err
	}
	if kept.disturbs(change) {
		change.Status = nil
	}
	whole := kept.with(change)
	if !all {
		if err := v.keep(ctx, whole); err != nil {
			return false, err
		}
	}
	say := change
	if all {
		say = whole
	}
	told, err = v.tell(ctx, say)
	switch {
	case err != nil && ctx.Err() == nil && !all:
		return false, errors.Join(err, v.keep(ctx, kept)) // refused: it is not to be tried for ever
	case told && say.Status != nil && *say.Status != mesh.DND:
		whole.Status = nil
		return told, v.keep(ctx, whole)
	}
	return told, err
}

func (v *Voice) kept(ctx context.Context) (w Wish, err error) {
	text, err := v.at.opt.DB.FindWish(ctx, v.at.Mesh.ID, v.sessionID)
	if err == nil && text != "" {
		err = wire.Decode([]byte(text), &w)
	}
	return w, err
}

// Undisturbed reports whether the session, or the user, wants not to be disturbed.
func (v *Voice) Undisturbed(ctx context.Context) (bool, error) {
	w, err := v.kept(ctx)
	return w.Status != nil && *w.Status == mesh.DND, err
}

func (v *Voice) keep(ctx context.Context, w Wish) error {
	text, err := wire.Encode(w)
	if err != nil {
		return err
	}
	return v.at.opt.DB.SaveWish(ctx, v.at.Mesh.ID, v.sessionID, string(text), v.at.opt.Now())
}

// tell sends what a wish says. False: there is no connection, or it broke.
func (v *Voice) tell(ctx context.Context, w Wish) (bool, error) {
	link := v.link()
	if link == nil || link.Peer() == nil {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, voiceTime)
	defer cancel()
	for _, frame := range w.frames() {
		err := frame(ctx, link, link.Peer())
		switch mesh.CodeOf(err) {
		case "":
		case mesh.BrokerDown, mesh.Timeout:
			return false, nil
		default:
			return false, err
		}
	}
	return true, nil
}

// frame sends one request of a wish.
type frame func(context.Context, *uplink.Link, *wire.Peer) error

// frames are the requests that tell a wish. What hides goes first, so that nothing is seen that is not to be.
func (w Wish) frames() (all []frame) {
	if w.Visible != nil {
		all = append(all, told(protocol.SetVisible, protocol.SetVisibleRequest{Visible: *w.Visible}))
	}
	if w.Status != nil {
		all = append(all, told(protocol.SetStatus, protocol.SetStatusRequest{Status: *w.Status, Source: w.Source}))
	}
	if w.Summary != nil {
		all = append(all, told(protocol.SetSummary, protocol.SetSummaryRequest{Summary: *w.Summary}))
	}
	if w.Avatar != nil || w.Title != nil || w.Bio != nil || w.Capabilities != nil {
		all = append(all, told(protocol.SetProfile, protocol.SetProfileRequest{
			Avatar: w.Avatar, Title: w.Title, Bio: w.Bio, Capabilities: w.Capabilities,
		}))
	}
	return all
}

// told makes a request that a broker of ours answers, and an older one does not.
func told[Req, Resp any](c wire.Call[Req, Resp], req Req) frame {
	return func(ctx context.Context, l *uplink.Link, peer *wire.Peer) error {
		switch {
		case peer == nil:
			return mesh.Errorf(mesh.BrokerDown, "the connection broke")
		case !l.Has(protocol.CapGo):
			return c.Send(ctx, peer, req)
		}
		_, err := c.Do(ctx, peer, req)
		return err
	}
}

// statsTime is how often counts are reported, where there is news (wire 1.2).
const statsTime = time.Minute

// report tells the broker the counts, where they changed since the last time.
func (v *Voice) report(ctx context.Context, before protocol.Stats) (protocol.Stats, error) {
	now := protocol.Stats{MessagesIn: v.tally.in.Load(), MessagesOut: v.tally.out.Load(), Errors: v.tally.failed.Load()}
	link := v.link()
	if now == before || link == nil || link.Peer() == nil {
		return before, nil
	}
	said := now
	said.Uptime = v.at.opt.Now().Sub(v.since).Round(time.Second).Seconds()
	ctx, cancel := context.WithTimeout(ctx, voiceTime)
	defer cancel()
	if err := told(protocol.SetStats, protocol.SetStatsRequest{Stats: said})(ctx, link, link.Peer()); err != nil {
		return before, err
	}
	return now, nil
}
