package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/claudemesh/claudemesh/internal/cli/term"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// shown prints a verb as a user types it, what came of it, and how long it took.
func (s *stage) shown(h *home, took time.Duration, result, format string, args ...any) {
	s.out.Line("%s %s", s.out.Paint(term.Clay, h.user+"$"), term.Clean("claudemesh "+fmt.Sprintf(format, args...)))
	s.out.Line("  %s %s", term.Clean(result), s.out.Paint(term.Dim, took.Round(100*time.Microsecond).String()))
}

// meet sets up a broker and a mesh in one home, and lets the other join by a link.
func (s *stage) meet(ctx context.Context) error {
	var up upView
	took, err := s.anna.run(ctx, &up, "up")
	if err != nil {
		return err
	}
	s.shown(s.anna, took, "broker, mesh "+up.Mesh+" and daemon run", "up")
	var share shareView
	if took, err = s.anna.run(ctx, &share, "share"); err != nil {
		return err
	}
	s.shown(s.anna, took, share.URL, "share")
	if took, err = s.ben.run(ctx, nil, "join", share.URL); err != nil {
		return err
	}
	s.shown(s.ben, took, "joined "+up.Mesh+", the owner's key checked against the link", "join '…'")
	other, err := s.ben.member(ctx)
	if err != nil {
		return err
	}
	s.shown(s.ben, 0, "sees "+other.Name+" ("+other.Key.Short()+")", "peers")
	return nil
}

// send sends a text and waits for a state.
func (s *stage) send(ctx context.Context, from, to *home, text string, want mesh.State) error {
	other, err := from.member(ctx)
	if err != nil {
		return err
	}
	var sent sentView
	took, err := from.run(ctx, &sent, "send", other.Name, text, "--wait="+string(want), "--timeout=30s")
	if err != nil {
		return err
	}
	s.shown(from, took, string(sent.State)+" for "+to.user, "send %s %q --wait=%s", other.Name, text, want)
	return check(sent.State.Reached(want), "the message is %s, not %s", sent.State, want)
}

// talk sends a message each way and reads it.
func (s *stage) talk(ctx context.Context) error {
	if err := s.send(ctx, s.anna, s.ben, "hello ben", mesh.StateDelivered); err != nil {
		return err
	}
	if err := s.send(ctx, s.ben, s.anna, "hello anna", mesh.StateDelivered); err != nil {
		return err
	}
	for h, want := range map[*home]string{s.ben: "hello ben", s.anna: "hello anna"} {
		texts, err := h.inbox(ctx)
		if err != nil {
			return err
		}
		if err := check(slices.Equal(texts, []string{want}), "%s has %q, wanted %q once", h.user, texts, want); err != nil {
			return err
		}
	}
	return nil
}

// away sends to a machine that is off, and switches it on.
func (s *stage) away(ctx context.Context) error {
	other, err := s.anna.member(ctx)
	if err != nil {
		return err
	}
	if _, err := s.ben.run(ctx, nil, "daemon", "down"); err != nil {
		return err
	}
	s.say("ben's daemon is stopped")
	var sent sentView
	took, err := s.anna.run(ctx, &sent, "send", other.Name, "read this when you are back", "--wait=accepted")
	if err != nil {
		return err
	}
	s.shown(s.anna, took, string(sent.State)+": it waits on the broker", "send %s %q --wait=accepted", other.Name, "read this when you are back")
	if err := check(sent.State == mesh.StateAccepted, "the message is %s while nobody can have it", sent.State); err != nil {
		return err
	}
	if took, err = s.ben.run(ctx, nil, "daemon", "up"); err != nil {
		return err
	}
	s.shown(s.ben, took, "back again", "daemon up")
	return s.follow(ctx, sent.ID)
}

// follow waits until a message of anna's is delivered.
func (s *stage) follow(ctx context.Context, id string) error {
	began := s.now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var status statusView
	for status.State != mesh.StateDelivered {
		if _, err := s.anna.run(ctx, &status, "message", "status", id); err != nil {
			return err
		}
		if err := check(s.now().Sub(began) < verbTime, "the message is still %s", status.State); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	s.shown(s.anna, s.now().Sub(began), string(status.State), "message status %s", term.Short(id, 8))
	return nil
}

// brokerDies kills the broker as a crash would, and starts it again.
func (s *stage) brokerDies(ctx context.Context) error {
	pid, err := s.anna.kill(s.anna.paths.Broker.PID())
	if err != nil {
		return err
	}
	s.say("kill -9 %d (the broker)", pid)
	other, err := s.anna.member(ctx)
	if err != nil {
		return err
	}
	var sent sentView
	took, err := s.anna.run(ctx, &sent, "send", other.Name, "while the broker was dead")
	if err != nil {
		return err
	}
	s.shown(s.anna, took, string(sent.State)+": it is on anna's disk", "send %s %q", other.Name, "while the broker was dead")
	if took, err = s.anna.run(ctx, nil, "up"); err != nil {
		return err
	}
	s.shown(s.anna, took, "the broker runs again", "up")
	return s.follow(ctx, sent.ID)
}

// burst is how many messages are written while a daemon is killed.
const burst = 20

// daemonDies kills the recipient's daemon in the middle of a burst, and counts.
func (s *stage) daemonDies(ctx context.Context) error {
	other, err := s.anna.member(ctx)
	if err != nil {
		return err
	}
	before, err := s.ben.inbox(ctx)
	if err != nil {
		return err
	}
	var last sentView
	var want []string
	began := s.now()
	for i := range burst {
		text := fmt.Sprintf("number %d", i+1)
		want = append(want, text)
		if _, err := s.anna.run(ctx, &last, "send", other.Name, text); err != nil {
			return err
		}
		if i == burst/2 {
			pid, err := s.ben.kill(s.ben.paths.Daemon.PID())
			if err != nil {
				return err
			}
			s.say("kill -9 %d (ben's daemon) after %d of %d messages", pid, i+1, burst)
		}
	}
	s.shown(s.anna, s.now().Sub(began), fmt.Sprintf("%d messages queued", burst), "send %s …", other.Name)
	took, err := s.ben.run(ctx, nil, "daemon", "up")
	if err != nil {
		return err
	}
	s.shown(s.ben, took, "back again", "daemon up")
	if err := s.follow(ctx, last.ID); err != nil {
		return err
	}
	texts, err := s.ben.inbox(ctx)
	if err != nil {
		return err
	}
	got := texts[len(before):]
	s.shown(s.ben, 0, fmt.Sprintf("%d messages, each once, in order", len(got)), "inbox")
	return check(slices.Equal(got, want), "ben has %q", got)
}
