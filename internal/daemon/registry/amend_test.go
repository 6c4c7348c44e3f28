package registry

import (
	"testing"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

func TestAmend(t *testing.T) {
	t.Parallel()
	g := newRig(t, t.TempDir(), "work")
	req := request("s1")
	req.Role = "builder"
	first := g.mustRegister(t, req, self())
	g.mustRegister(t, request("s2"), self())
	g.lines.took()
	if err := g.Amend(t.Context(), "s1", Amendment{Name: new("api"), MessageMode: new("inbox")}); err != nil {
		t.Fatal(err)
	}
	if got := g.lines.took(); got != "+api@work" {
		t.Errorf("connections: %q, want the same one to be told again", got)
	}
	want := func(when, name, role, mode string) {
		t.Helper()
		if s, ok := g.Find("s1"); !ok || s.Name != name || s.Role != role || s.MessageMode != mode {
			t.Errorf("%s: got %q, %q, %q, want %q, %q, %q", when, s.Name, s.Role, s.MessageMode, name, role, mode)
		}
	}
	want("amended", "api", "builder", "inbox")
	req.OldToken = first.Token
	g.mustRegister(t, req, self())
	want("registered anew by its program", "api", "builder", "inbox")
	g = newRigOn(g)
	if err := g.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("after a restart", "api", "builder", "inbox")
	if err := g.Amend(t.Context(), "s1", Amendment{Name: new(""), Role: new("")}); err != nil {
		t.Fatal(err)
	}
	want("taken back", "project", "", "inbox")
	if err := g.Amend(t.Context(), "s1", Amendment{Name: new("project-2")}); err != nil {
		t.Fatal(err)
	}
	want("a name that another session has", "project-2-2", "", "inbox")
	for _, tc := range []struct {
		id     string
		change Amendment
		code   mesh.Code
	}{
		{"s1", Amendment{Name: new("\x1b[2J")}, mesh.BadName}, {"s1", Amendment{Role: new("a\nb")}, mesh.BadRequest},
		{"s1", Amendment{MessageMode: new("loud")}, mesh.BadRequest}, {"s3", Amendment{Name: new("x")}, mesh.SessionUnknown},
	} {
		if err := g.Amend(t.Context(), tc.id, tc.change); !mesh.IsCode(err, tc.code) {
			t.Errorf("%+v: got %v, want %s", tc.change, err, tc.code)
		}
	}
	want("after what was refused", "project-2-2", "", "inbox")
}
