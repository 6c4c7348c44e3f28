package demo

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// third lets a third machine join by a code that is shown on anna's screen, over TLS with the key that the code names.
func (s *stage) third(ctx context.Context) error {
	text, took, err := s.anna.text(ctx, "share", "--qr")
	if err != nil {
		return err
	}
	_, link, _ := strings.Cut(text, "claudemesh join '")
	link, _, printed := strings.Cut(link, "'")
	if err := check(printed, "share prints no link: %s", text); err != nil {
		return err
	}
	s.shown(s.anna, took, "a code for cleo's camera, which says "+link, "share --qr")
	for line := range strings.Lines(text) {
		if strings.ContainsAny(line, "█▀▄") {
			s.out.Plain("%s", strings.TrimRight(line, "\n"))
		}
	}
	var joined joinedView
	if took, err = s.cleo.run(ctx, &joined, "join", link); err != nil {
		return err
	}
	s.shown(s.cleo, took, "joined by "+joined.Broker+", whose key is the one in the link", "join '…'")
	return check(strings.HasPrefix(joined.Broker, "wss://"), "cleo's way to the broker is %s", joined.Broker)
}

// toGroup sends to a group, whose members get it once each.
func (s *stage) toGroup(ctx context.Context) error {
	const text = "who is free?"
	for _, h := range []*home{s.ben, s.cleo} {
		took, err := h.run(ctx, nil, "group", "join", "@dev")
		if err != nil {
			return err
		}
		s.shown(h, took, h.user+" is in @dev", "group join @dev")
	}
	var sent sentView
	took, err := s.anna.run(ctx, &sent, "send", "@dev", text, "--wait=delivered")
	if err != nil {
		return err
	}
	s.shown(s.anna, took, string(sent.State)+" for both; the broker can read it, and anna was told so", "send @dev %q --wait=delivered", text)
	for _, h := range []*home{s.ben, s.cleo} {
		rows, err := h.rows(ctx)
		if err != nil {
			return err
		}
		n := len(slices.DeleteFunc(rows, func(r inboxRow) bool { return r.Body == nil || *r.Body != text || r.Encrypted }))
		if err := check(n == 1, "%s has %d of the message to @dev, wanted it once", h.user, n); err != nil {
			return err
		}
	}
	return nil
}

// ban ends cleo's membership while ben watches who is there.
func (s *stage) ban(ctx context.Context) error {
	var who whoView
	if _, err := s.cleo.run(ctx, &who, "whoami"); err != nil {
		return err
	}
	if err := check(len(who.Local.Meshes) == 1, "cleo is in %d meshes", len(who.Local.Meshes)); err != nil {
		return err
	}
	key := who.Local.Meshes[0].Key
	watch, err := s.ben.watch(ctx)
	if err != nil {
		return err
	}
	defer watch.end()
	if err := watch.until(ctx, key, localapi.PeerHere); err != nil {
		return err
	}
	s.say("ben watches: claudemesh peers --watch")
	began := s.now()
	took, err := s.anna.run(ctx, nil, "ban", string(key), "--yes")
	if err != nil {
		return err
	}
	s.shown(s.anna, took, "cleo's connections are cut", "ban %s", key.Short())
	if err := watch.until(ctx, key, localapi.PeerGone); err != nil {
		return err
	}
	s.shown(s.ben, s.now().Sub(began), "saw cleo go", "peers --watch")
	if _, err = s.cleo.run(ctx, nil, "send", "@dev", "hello?"); err == nil {
		return mesh.Errorf(mesh.Undelivered, "cleo is banned and can still send")
	}
	s.shown(s.cleo, s.now().Sub(began).Round(time.Millisecond), "refused: the membership has ended", "send @dev %q", "hello?")
	return nil
}
