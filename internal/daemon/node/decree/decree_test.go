package decree

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/claudemesh/claudemesh/internal/daemon/localdb"
	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/wire"
)

var noon = time.UnixMilli(1_700_000_000_000)

// orderEnd is the end of mesh1 as its owner signs it.
func orderEnd(t *testing.T, key seal.SecretKey, edit func(*seal.Operation)) protocol.ArchivedEvent {
	t.Helper()
	args, err := wire.Encode(protocol.MeshArchiveRequest{Slug: "team"})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := seal.ArgsHash(args)
	if err != nil {
		t.Fatal(err)
	}
	op := seal.Operation{Host: "mesh.example:443", MeshID: "mesh1", Name: "mesh_archive", Args: hash, Nonce: mesh.NewToken()[:32], At: noon}
	if edit != nil {
		edit(&op)
	}
	signature, err := op.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return protocol.ArchivedEvent{Slug: "team", Host: "mesh.example:443", Operation: protocol.SignedOperation{
		Nonce: op.Nonce, AtMs: op.At.UnixMilli(), Key: mesh.Key(key.Public().String()), Signature: signature.String(),
	}}
}

// TestEnded: only the owner, for this mesh, for its end, now.
func TestEnded(t *testing.T) {
	t.Parallel()
	key := seal.NewSecretKey()
	owner := mesh.Key(key.Public().String())
	if !Ended("mesh1", owner, orderEnd(t, key, nil), noon.Add(30*time.Second)) {
		t.Error("the owner's order was not believed")
	}
	for name, e := range map[string]protocol.ArchivedEvent{
		"another key":       orderEnd(t, seal.NewSecretKey(), nil),
		"another mesh":      orderEnd(t, key, func(o *seal.Operation) { o.MeshID = "mesh2" }),
		"another operation": orderEnd(t, key, func(o *seal.Operation) { o.Name = "mesh_rename" }),
		"another broker":    orderEnd(t, key, func(o *seal.Operation) { o.Host = "other.example:443" }),
		"other arguments":   orderEnd(t, key, func(o *seal.Operation) { o.Args = [32]byte{} }),
		"an old order":      orderEnd(t, key, func(o *seal.Operation) { o.At = noon.Add(-seal.Skew - time.Second) }),
		"nothing":           {},
	} {
		if Ended("mesh1", owner, e, noon) {
			t.Errorf("%s: it was believed", name)
		}
	}
	lent := orderEnd(t, seal.NewSecretKey(), nil)
	lent.Operation.Key = owner
	if Ended("mesh1", owner, lent, noon) || Ended("mesh1", "", orderEnd(t, key, nil), noon) {
		t.Error("an order was believed that the known owner did not sign")
	}
}

// home is the records of a device that has joined mesh1 as team, and mesh2 as work.
func home(t *testing.T) (Records, *[]string) {
	t.Helper()
	files := paths.At(filepath.Join(t.TempDir(), "home"))
	book, err := membership.Open(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	db, err := localdb.Open(t.Context(), filepath.Join(t.TempDir(), "daemon.db"), func() time.Time { return noon }, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for id, slug := range map[mesh.ID]string{"mesh1": "team", "mesh2": "work"} {
		m := membership.Mesh{ID: id, MemberID: "m", Slug: slug, Name: slug, Secret: seal.NewSecretKey(), BrokerURL: "ws://127.0.0.1:1/ws", JoinedAt: noon}
		if err := errors.Join(book.Add(m), db.SaveMesh(t.Context(), localdb.Mesh{ID: id, Slug: slug, Name: slug, Role: "member"})); err != nil {
			t.Fatal(err)
		}
	}
	labels := &[]string{}
	return Records{Book: book, DB: db, Relabel: func(_ context.Context, _ mesh.ID, slug string) error {
		*labels = append(*labels, slug)
		return nil
	}}, labels
}

func TestKeep(t *testing.T) {
	t.Parallel()
	r, labels := home(t)
	for _, tc := range []struct {
		said          protocol.MeshFacts
		renamed, role bool
		slug          string
		code          mesh.Code
	}{
		{protocol.MeshFacts{Slug: "team", Name: "team", Role: "member"}, false, false, "team", ""},
		{protocol.MeshFacts{Role: "admin"}, false, true, "team", ""},
		{protocol.MeshFacts{Role: "king"}, false, false, "team", ""},
		{protocol.MeshFacts{Slug: "crew", Name: "The \x1b[2JCrew"}, true, false, "crew", ""},
		{protocol.MeshFacts{Slug: "../../x", Name: "x"}, false, false, "crew", mesh.BadName},
		{protocol.MeshFacts{Slug: "work", Name: "Work"}, true, false, "work-2", ""},
		{protocol.MeshFacts{Slug: "work", Name: "Work", Role: "admin"}, false, false, "work-2", ""},
	} {
		renamed, role, err := r.Keep(t.Context(), "mesh1", tc.said)
		if renamed != tc.renamed || role != tc.role || (err != nil) != (tc.code != "") || err != nil && !mesh.IsCode(err, tc.code) {
			t.Errorf("%+v: got renamed %t, role %t, %v", tc.said, renamed, role, err)
		}
		if m, err := r.Book.Find(tc.slug); err != nil || m.ID != "mesh1" || strings.Contains(r.NameOf("mesh1", ""), "\x1b") {
			t.Errorf("%+v: got %v, %q, want it called %s", tc.said, err, r.NameOf("mesh1", ""), tc.slug)
		}
	}
	if got := strings.Join(*labels, " "); got != "crew work-2" {
		t.Errorf("got the labels %q, want those by which it goes here", got)
	}
	if _, _, err := r.Keep(t.Context(), "mesh9", protocol.MeshFacts{Slug: "x1"}); !mesh.IsCode(err, mesh.MeshNotAttached) {
		t.Errorf("got %v, want mesh_not_attached for a mesh that was left", err)
	}
}

// TestFollowerNeverBlocks: the connection that brings news may be the one that has to end for them.
func TestFollowerNeverBlocks(t *testing.T) {
	t.Parallel()
	f := (&Follower{Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler)}).Ready()
	f.Learn(membership.Mesh{Slug: "team", Name: "team"}, localdb.Mesh{Role: "admin"}, protocol.MeshFacts{Slug: "team", Name: "team", Role: "admin"})
	if n := len(f.behind); n != 0 {
		t.Errorf("got %d changes of what is known, want none", n)
	}
	for range maxBehind + 1 {
		f.Learn(membership.Mesh{ID: "mesh1", Slug: "team"}, localdb.Mesh{}, protocol.MeshFacts{Slug: "crew"})
	}
	if n := len(f.behind); n != maxBehind {
		t.Errorf("got %d changes kept, want %d", n, maxBehind)
	}
}

// TestLeadBeforeItsEvent: who renames a mesh hears of it too, often before the answer, which comes by the connection that
// the news would end.
func TestLeadBeforeItsEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		records, _ := home(t)
		f := (&Follower{Records: records, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler)}).Ready()
		attached := 0
		f.Attach = func(mesh.ID, bool) { attached++ }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		renamed := protocol.MeshFacts{Slug: "crew", Name: "Crew"}
		err := f.Lead(ctx, "mesh1", func() (protocol.MeshFacts, error) {
			f.Learn(membership.Mesh{ID: "mesh1", Slug: "team", Name: "team"}, localdb.Mesh{Role: "member"}, renamed)
			synctest.Wait()
			if attached != 0 {
				t.Error("the news was acted on before the answer was there")
			}
			return renamed, nil
		})
		synctest.Wait()
		if err != nil || attached != 1 {
			t.Errorf("got %v, attached %d times, want once", err, attached)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
