package rig

import (
	"strings"
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/rig/memnet"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// rename renames the mesh team as a home asks.
func rename(t *testing.T, h *Home, slug, to string) error {
	t.Helper()
	_, err := localapi.MeshUpdate.Do(t.Context(), h, localapi.MeshUpdateRequest{Slug: slug, NewSlug: to})
	return err
}

// joined is what a home has joined, by the names it calls it.
func joined(t *testing.T, h *Home) string {
	t.Helper()
	answer, err := localapi.Meshes.Do(t.Context(), h, localapi.None{})
	if err != nil {
		t.Fatal(err)
	}
	var slugs []string
	for _, m := range answer.Meshes {
		slugs = append(slugs, m.Slug)
	}
	return strings.Join(slugs, " ")
}

// Who is there learns of another name at once, who was away when it comes back; messages that waited arrive.
func TestRenameReachesEveryDaemon(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		carol := w.Home("carol", nil)
		ada.Join("team", carol)
		carol.Stop()
		if err := rename(t, ben, "team", "bens"); !mesh.IsCode(err, mesh.NotOwner) {
			t.Errorf("by a member: got %v, want not_owner", err)
		}
		w.Send(ada, "carol", "later")
		w.Send(ada, "ben", "before")
		w.wantTexts(ben, "before")
		if err := rename(t, ada, "team", "crew"); err != nil {
			t.Fatal(err)
		}
		if got := joined(t, ada); got != "crew" {
			t.Errorf("the owner has %q, want it renamed when the answer comes", got)
		}
		w.Until("ben calls it crew", func() bool { return joined(t, ben) == "crew" && ben.Mesh("crew").Status == "open" })
		if got, err := localapi.Inbox.Do(t.Context(), ben, localapi.InboxRequest{Mesh: "crew"}); err != nil || len(got.Items) != 1 || got.Items[0].Mesh != "crew" {
			t.Errorf("got %+v, %v, want what came before listed under the new name", got.Items, err)
		}
		carol.Start()
		w.Until("carol calls it crew", func() bool { return joined(t, carol) == "crew" && carol.Mesh("crew").Status == "open" })
		w.wantTexts(carol, "later")
		w.Send(ben, "ada", "hello crew")
		w.wantTexts(ada, "hello crew")
	})
}

// A broker that renames its mesh to the name of another does not get what is meant for that one.
func TestRenameTakesNoNameFromAnother(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		second := w.Broker(there, nil)
		ben.Found(second, "work")
		if err := rename(t, ada, "team", "work"); err != nil {
			t.Fatal(err)
		}
		w.Until("ben has both", func() bool { return joined(t, ben) == "work-2 work" })
		if m := ben.Mesh("work"); m.BrokerURL != second.URL() {
			t.Errorf("work lives at %s, want it where it was", m.BrokerURL)
		}
		pass(time.Minute)
		if got := joined(t, ben); got != "work-2 work" {
			t.Errorf("got %q, want the names to stay", got)
		}
	})
}

func TestRoleOfAMember(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		list := func(h *Home) error {
			_, err := localapi.Invites.Do(t.Context(), h, localapi.InvitesRequest{Slug: "team"})
			return err
		}
		if err := list(ben); !mesh.IsCode(err, mesh.Forbidden) {
			t.Errorf("as a member: got %v, want forbidden", err)
		}
		role := func(h *Home, who, role string) error {
			_, err := localapi.MemberUpdate.Do(t.Context(), h, localapi.MemberUpdateRequest{Slug: "team", Member: who, Role: role})
			return err
		}
		if err := role(ben, "ben", "admin"); !mesh.IsCode(err, mesh.NotOwner) {
			t.Errorf("by himself: got %v, want not_owner", err)
		}
		if err := role(ada, "ben", "admin"); err != nil {
			t.Fatal(err)
		}
		w.Until("ben is an admin", func() bool { m := ben.Mesh("team"); return m.Role == "admin" && m.Status == "open" })
		if err := list(ben); err != nil {
			t.Errorf("as an admin: %v", err)
		}
		ben.Stop()
		if err := role(ada, "ben", "member"); err != nil {
			t.Fatal(err)
		}
		ben.Start()
		w.Until("ben is a member again", func() bool { m := ben.Mesh("team"); return m.Role == "member" && m.Status == "open" })
		if err := role(ada, "ada", "member"); !mesh.IsCode(err, mesh.Forbidden) {
			t.Errorf("of the owner: got %v, want forbidden", err)
		}
	})
}

// The end of a mesh reaches who is there by the owner's word, who comes later by a refusal; its name is free.
func TestEndOfAMesh(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		carol := w.Home("carol", nil)
		ada.Join("team", carol)
		carol.Stop()
		if _, err := localapi.MeshLeave.Do(t.Context(), ben, localapi.MeshLeaveRequest{Slug: "team", Everywhere: true}); !mesh.IsCode(err, mesh.NotOwner) {
			t.Errorf("by a member: got %v, want not_owner", err)
		}
		answer, err := localapi.MeshLeave.Do(t.Context(), ada, localapi.MeshLeaveRequest{Slug: "team", Everywhere: true})
		if err != nil || !answer.Everywhere || answer.OwnerKeyKept == "" {
			t.Fatalf("got %+v, %v, want the mesh ended and the key kept", answer, err)
		}
		w.Until("ben has forgotten it", func() bool { return joined(t, ben) == "" })
		carol.Start()
		w.Until("carol is refused", func() bool { return carol.Mesh("team").Status == "rejected" })
		if m := carol.Mesh("team"); !strings.Contains(m.LastError, "has ended it") {
			t.Errorf("carol reads %q, want that the mesh was ended", m.LastError)
		}
		ada.Found(w.broker, "team")
		if got := joined(t, ada); got != "team" {
			t.Errorf("got %q, want the name free for another mesh", got)
		}
	})
}

// A broker cannot talk a member out of a mesh: what deletes its key is the owner's signature, fresh, over this mesh.
func TestNobodyElseEndsAMesh(t *testing.T) {
	bubble(t, settings{}, func(t *testing.T, w *world, ada, ben *Home) {
		lie := protocol.ArchivedEvent{Slug: "team", Host: "broker:7900"}
		lie.Operation.Key = mesh.Key(strings.Repeat("ab", 32))
		data, err := wire.Encode(lie)
		if err != nil {
			t.Fatal(err)
		}
		frame, err := protocol.Push.Encode(protocol.PushedMessage{
			MessageID: mesh.NewID(), SenderPubkey: protocol.SystemSender, Priority: mesh.Low, CreatedAt: mesh.FormatTime(time.Now()),
			Subtype: protocol.SubtypeSystem, Event: protocol.MeshArchived, EventData: data,
		})
		if err != nil {
			t.Fatal(err)
		}
		told := false
		ben.Link(w.broker).Tap(func(f memnet.Frame) [][]byte {
			if f.Type == "push" && !told {
				told = true
				return append([][]byte{frame}, f.Pass()...)
			}
			return f.Pass()
		})
		w.Send(ada, "ben", "still here?")
		w.wantTexts(ben, "still here?")
		pass(time.Second)
		if got := joined(t, ben); got != "team" || !told {
			t.Errorf("told %t, and ben has %q, want the lie not believed", told, got)
		}
	})
}
