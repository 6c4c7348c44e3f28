package rig

import (
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// inviteURL makes an invite to team.
func inviteURL(t *testing.T, w *world, owner *Home) string {
	t.Helper()
	invite, err := localapi.InviteCreate.Do(t.Context(), owner, localapi.InviteCreateRequest{Slug: "team"})
	w.must(err)
	return invite.URL
}

// A link that lost what stands behind its # finds the mesh that is joined: the key stays, and with it what is on its way to it;
// the owner stays the owner, and the invite is not used up.
func TestJoiningAgainByABareLinkKeepsTheKey(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		link := inviteURL(t, w, ada)
		bare, _, _ := strings.Cut(link, "#")
		for _, h := range []*Home{ben, ada} {
			before := h.Mesh("team")
			got, err := localapi.MeshJoin.Do(t.Context(), h, localapi.MeshJoinRequest{Link: bare, DisplayName: h.Name})
			w.must(err)
			if after := h.Mesh("team"); !got.AlreadyJoined || after.Pubkey != before.Pubkey || after.IsOwner != before.IsOwner {
				t.Errorf("%s: got %+v, with the key %s; want it known as joined, with %s", h.Name, got, after.Pubkey, before.Pubkey)
			}
		}
		w.Send(ada, "ben", "still you")
		w.wantTexts(ben, "still you")
		cy := w.Home("cy", nil)
		_, err := localapi.MeshJoin.Do(t.Context(), cy, localapi.MeshJoinRequest{Link: bare, DisplayName: "cy"})
		w.must(err)
	})
}

// A bare link to another mesh of the same broker is another membership, with a key of its own.
func TestBareLinkToAnotherMeshOfTheBroker(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ada.Found(w.broker, "other")
		invite, err := localapi.InviteCreate.Do(t.Context(), ada, localapi.InviteCreateRequest{Slug: "other"})
		w.must(err)
		bare, _, _ := strings.Cut(invite.URL, "#")
		got, err := localapi.MeshJoin.Do(t.Context(), ben, localapi.MeshJoinRequest{Link: bare, DisplayName: "ben"})
		w.must(err)
		if got.AlreadyJoined || got.Mesh.Slug != "other" || got.Mesh.Pubkey == ben.Mesh("team").Pubkey {
			t.Errorf("got %+v, want a new membership with a key of its own", got)
		}
	})
}

// A daemon that was told to serve some meshes says of another one that it is joined and left out. Who joins it again goes on
// with the key that it had.
func TestMeshThatIsLeftOut(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		ada.Found(w.broker, "other")
		ada.Join("other", ben)
		key := ben.Mesh("team").Pubkey
		ben.Settings.Meshes = []string{"other"}
		ben.Start()
		_, err := localapi.Send.Do(t.Context(), ben, localapi.SendRequest{To: "ada", Message: "?", Mesh: "team"})
		if !mesh.IsCode(err, mesh.MeshNotAttached) || !strings.Contains(err.Error(), "left out") {
			t.Errorf("got %v, want a word that the mesh is left out", err)
		}
		list, err := localapi.Meshes.Do(t.Context(), ben, localapi.None{})
		w.must(err)
		if len(list.Meshes) != 1 || len(list.Unserved) != 1 || list.Unserved[0] != "team" {
			t.Errorf("got %+v, want other, and team left out", list)
		}
		_, err = localapi.Send.Do(t.Context(), ada, localapi.SendRequest{To: "ben", Message: "while you were out", Mesh: "team"})
		w.must(err)
		pass(time.Second)
		got, err := localapi.MeshJoin.Do(t.Context(), ben, localapi.MeshJoinRequest{Link: inviteURL(t, w, ada), DisplayName: "ben"})
		w.must(err)
		if !got.AlreadyJoined || got.Mesh.Pubkey != key || ben.Mesh("team").Pubkey != key {
			t.Errorf("got %+v, want it served again with the key %s", got, key)
		}
		w.wantTexts(ben, "while you were out")
	})
}
