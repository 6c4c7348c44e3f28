package queue

import "testing"

// The same id from another member is another message: it is no repetition, says nothing of the first one, and both
// arrive.
func TestThreat10SameIDOfAnotherMember(t *testing.T) {
	inWorld(t, settings(), func(t *testing.T, w *world) {
		w.mesh("m", "ann", "bob", "cid")
		w.mesh("n", "ann", "bob")
		ann, cid := w.attach("m", "ann", "ann1"), w.attach("m", "cid", "cid1")
		first := ann.send(string(key("bob")), "one")
		for where, p := range map[string]*peer{"another member": cid, "another mesh": w.attach("n", "ann", "ann1")} {
			a := p.try(request(string(key("bob")), "one"))
			if !a.Queued || a.Duplicate || a.MessageID == first.MessageID || a.Recipients != 1 {
				t.Errorf("%s: got %+v, want a message of its own", where, a)
			}
		}
		if got := texts(w.attach("m", "bob", "bob1").pushes()); len(got) != 2 {
			t.Errorf("got pushes %q, want those of both members", got)
		}
	})
}
