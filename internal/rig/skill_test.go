package rig

import (
	"bytes"
	"testing"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
)

// publish publishes a skill with a text.
func (w *world) publish(h *Home, name, text string) {
	w.T.Helper()
	_, err := localapi.SkillPublish.Do(w.T.Context(), h, localapi.SkillPublishRequest{Name: name, Description: "about " + name, Instructions: text, Tags: []string{"x"}})
	w.must(err)
}

// skill reads a skill as a caller is told of it.
func (w *world) skill(d localapi.Doer, name string) localapi.Skill {
	w.T.Helper()
	answer, err := localapi.SkillGet.Do(w.T.Context(), d, localapi.SkillRequest{Name: name})
	w.must(err)
	return answer.Skill
}

// saidYes are the texts of the skills that a session is offered, by name.
func (w *world) saidYes(d localapi.Doer) map[string]string {
	w.T.Helper()
	list, err := localapi.Skills.Do(w.T.Context(), d, localapi.SkillsRequest{Accepted: true})
	w.must(err)
	texts := map[string]string{}
	for _, s := range list.Skills {
		one, err := localapi.SkillGet.Do(w.T.Context(), d, localapi.SkillRequest{Name: s.Name, Accepted: true})
		if mesh.IsCode(err, mesh.SkillNotFound) {
			continue // taken back meanwhile
		}
		w.must(err)
		texts[s.Name] = *one.Skill.Instructions
	}
	return texts
}

// A session is told nothing of what others published but that it is there, until its human has read it and said yes; then
// it has that text, until its human says yes to another one, or its publisher takes it back.
func TestSkillsNeedAYes(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		s := w.open(ben, "s")
		w.publish(ada, "deploy", "run it")
		got := w.skill(s, "deploy")
		if got.Instructions != nil || got.Description != "" || len(got.Tags) != 0 || got.State != localapi.SkillNew || got.Author != "ada" {
			t.Errorf("a session is told %+v before anybody said yes", got)
		}
		list, err := localapi.Skills.Do(t.Context(), s, localapi.SkillsRequest{})
		if err != nil || len(list.Skills) != 1 || list.Skills[0].Description != "" || len(w.saidYes(s)) != 0 {
			t.Errorf("its list is %+v, %v", list, err)
		}
		read := w.skill(ben, "deploy")
		if !read.Verified || read.Problem != "" || *read.Instructions != "run it" || read.AuthorPubkey != ada.Mesh("team").Pubkey {
			t.Errorf("its human reads %+v", read)
		}
		yes := func(d localapi.Doer, digest string) error {
			_, err := localapi.SkillAccept.Do(t.Context(), d, localapi.SkillAcceptRequest{Name: "deploy", Digest: digest})
			return err
		}
		if err := yes(s, read.Digest); !mesh.IsCode(err, mesh.HumanOnly) {
			t.Errorf("a session said yes: %v", err)
		}
		if err := yes(ben, "of another text"); !mesh.IsCode(err, mesh.InvalidArgument) {
			t.Errorf("a yes to what nobody has seen: %v", err)
		}
		w.must(yes(ben, read.Digest))
		if got := w.saidYes(s); got["deploy"] != "run it" {
			t.Errorf("after a yes: %v", got)
		}

		w.publish(ada, "deploy", "run it twice")
		if got := w.skill(s, "deploy"); got.State != localapi.SkillChanged || got.Instructions != nil {
			t.Errorf("of a change a session is told %+v", got)
		}
		if err := yes(ben, read.Digest); !mesh.IsCode(err, mesh.InvalidArgument) {
			t.Errorf("the old yes is good for the new text: %v", err)
		}
		ben.Stop()
		ben.Start()
		w.wantOpen(ben)
		w.wantSessionOpen(s)
		if got := w.saidYes(s); got["deploy"] != "run it" {
			t.Errorf("before another yes: %v", got)
		}

		_, err = localapi.SkillRemove.Do(t.Context(), ada, localapi.SkillDropRequest{Name: "deploy"})
		w.must(err)
		w.Until("what is taken back is offered no more", func() bool { return len(w.saidYes(s)) == 0 })
	})
}

// What a broker changes in a skill is seen, and cannot be accepted; and a name stays its publisher's.
func TestLesson228SkillsStayTheirPublishers(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		w.publish(ada, "deploy", "run it")
		for what, change := range map[string][2]string{
			"text": {"run it", "rm -rf"}, "description": {"about deploy", "about nothing"}, "tags": {`["x"]`, `["y"]`},
			"author": {string(ada.Mesh("team").Pubkey) + `","manifest"`, string(ben.Mesh("team").Pubkey) + `","manifest"`},
		} {
			ben.Link(w.broker).Tap(once(memnet.Down, "skill_data", func(f memnet.Frame) [][]byte {
				if !bytes.Contains(f.Data, []byte(change[0])) {
					t.Errorf("%s: %q is not in %s", what, change[0], f.Data)
				}
				return [][]byte{bytes.Replace(f.Data, []byte(change[0]), []byte(change[1]), 1)}
			}))
			got := w.skill(ben, "deploy")
			if got.Problem == "" || got.Verified {
				t.Errorf("another %s: got %+v, want it seen", what, got)
			}
			ben.Link(w.broker).Tap(once(memnet.Down, "skill_data", func(f memnet.Frame) [][]byte {
				return [][]byte{bytes.Replace(f.Data, []byte(change[0]), []byte(change[1]), 1)}
			}))
			_, err := localapi.SkillAccept.Do(t.Context(), ben, localapi.SkillAcceptRequest{Name: "deploy", Digest: got.Digest})
			if !mesh.IsCode(err, mesh.Forbidden) {
				t.Errorf("another %s was accepted: %v", what, err)
			}
		}
		_, err := localapi.SkillPublish.Do(t.Context(), ben, localapi.SkillPublishRequest{Name: "deploy", Description: "mine", Instructions: "x"})
		if !mesh.IsCode(err, mesh.SkillTaken) {
			t.Errorf("another member took the name: %v", err)
		}
		if _, err := localapi.SkillRemove.Do(t.Context(), ben, localapi.SkillDropRequest{Name: "deploy"}); !mesh.IsCode(err, mesh.Forbidden) {
			t.Errorf("another member removed it: %v", err)
		}
	})
}

// What a key has published that the human rejects is offered no more, and cannot be accepted.
func TestSkillsOfARejectedKey(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		s := w.open(ben, "s")
		w.publish(ada, "deploy", "run it")
		read := w.skill(ben, "deploy")
		accept := func() error {
			_, err := localapi.SkillAccept.Do(t.Context(), ben, localapi.SkillAcceptRequest{Name: "deploy", Digest: read.Digest})
			return err
		}
		w.must(accept())
		if got := w.saidYes(s); got["deploy"] != "run it" {
			t.Fatalf("after a yes: %v", got)
		}
		_, err := localapi.TrustReject.Do(t.Context(), ben, localapi.TrustDecision{Peer: string(read.AuthorPubkey)})
		w.must(err)
		if got := w.saidYes(s); len(got) != 0 {
			t.Errorf("the session is offered %v of a rejected key", got)
		}
		if err := accept(); !mesh.IsCode(err, mesh.Forbidden) {
			t.Errorf("a skill of a rejected key: got %v, want it refused", err)
		}
	})
}

// A session that runs hears that it is offered other skills: of a mesh that came after it, and that one of a mesh is gone with it.
func TestSkillsOfMeshesThatComeAndGo(t *testing.T) {
	sessionTest(t, func(t *testing.T, w *world, ada, ben *Home) {
		s := w.open(ben, "s")
		stream, _ := listen(t, ben, s, localapi.Events, localapi.EventsRequest{})
		heard := 0
		hears := func(what string) {
			t.Helper()
			w.Until("the session hears of "+what, func() bool {
				n := len(events[localapi.SystemEvent](t, stream.bytes(), localapi.EventSkills))
				more := n > heard
				heard = max(heard, n)
				return more
			})
		}
		ada.Found(w.broker, "second")
		ada.Join("second", ben)
		_, err := localapi.SkillPublish.Do(t.Context(), ada, localapi.SkillPublishRequest{Name: "deploy", Description: "d", Instructions: "run it", Mesh: "second"})
		w.must(err)
		w.Until("ben is there", func() bool { return ben.Mesh("second").Status == "open" })
		read := w.skill(ben, "deploy")
		_, err = localapi.SkillAccept.Do(t.Context(), ben, localapi.SkillAcceptRequest{Name: "deploy", Digest: read.Digest})
		w.must(err)
		hears("a skill of a new mesh")
		if got := w.saidYes(s); got["deploy"] != "run it" {
			t.Errorf("the session is offered %v", got)
		}
		_, err = localapi.MeshLeave.Do(t.Context(), ben, localapi.MeshLeaveRequest{Slug: "second"})
		w.must(err)
		hears("the end of it")
		if got := w.saidYes(s); len(got) != 0 {
			t.Errorf("the session is offered %v of a mesh that was left", got)
		}
	})
}
