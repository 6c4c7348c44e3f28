package message

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// errSettled ends a watch: nothing more can become known.
var errSettled = errors.New("settled")

// watchMessage follows a sent message: what is known, then each change as a line for each recipient, until nothing more
// can become known. A message that failed ends it as send --wait ends.
func watchMessage(ctx context.Context, a *shell.App, req localapi.StatusRequest) error {
	if a.NoDaemon() {
		return mesh.Errorf(mesh.BadRequest, "there is nothing to follow without a daemon")
	}
	first, err := shell.Call(ctx, a, localapi.MessageStatus, shell.CallTime, req)
	if err != nil {
		return err
	}
	w := statusWatcher{app: a, known: map[mesh.Key]mesh.State{}}
	req.ID = string(first.ClientMessageID)
	err = shell.Follow(ctx, a, localapi.StatusWatch, req, shell.Stream{Again: func() {}, Take: func(e local.Event) error {
		var answer localapi.StatusAnswer
		if e.Kind != localapi.EventStatus || wire.Decode(e.Data, &answer) != nil {
			return nil
		}
		return w.take(answer)
	}})
	switch {
	case errors.Is(err, errSettled) && w.last.Failed():
		return shell.Exit(mesh.Undelivered.Exit())
	case errors.Is(err, errSettled):
		return nil
	}
	return err
}

// statusWatcher is what has been told of a message.
type statusWatcher struct {
	app   *shell.App
	told  bool
	known map[mesh.Key]mesh.State
	last  mesh.State
}

func (w *statusWatcher) take(v localapi.StatusAnswer) error {
	first := !w.told
	w.told = true
	err := w.app.PrintLine(statusView{shell.NewHeader(), v}, func(s term.Stream) {
		if first {
			writeStatus(s, v, w.app.Now())
		} else {
			w.writeChanges(s, v)
		}
	})
	for _, r := range v.Recipients {
		w.known[r.Pubkey] = r.State
	}
	if w.last = v.State; err == nil && v.Settled {
		return errSettled
	}
	return err
}

// writeChanges writes a line for each recipient that came further, or for the message while there is none.
func (w *statusWatcher) writeChanges(s term.Stream, v localapi.StatusAnswer) {
	if len(v.Recipients) == 0 && v.State != w.last {
		s.Line("%s  %s", clock(w.app.Now()), s.Paint(stateStyle(v.State), string(v.State)))
	}
	for _, r := range v.Recipients {
		if w.known[r.Pubkey] != r.State {
			s.Line("%s  %s  %s  %s", clock(w.app.Now()), s.Paint(stateStyle(r.State), term.Pad(term.Clean(string(r.State)), stateColumn)),
				term.Clean(cmp.Or(r.Name, r.Pubkey.Short())), s.Paint(term.Dim, recipientFacts(r, "")))
		}
	}
}

// clock is a time of day.
func clock(t time.Time) string { return t.Format("15:04:05") }
