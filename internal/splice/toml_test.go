package splice

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const lines = "command = \"/bin/claudemesh\"\nargs = [\"mcp\"]\n"

func TestSetAndDeleteTOML(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, text, want, deleted string }{
		{"nothing", "", "[mcp.claudemesh]\n" + lines, ""},
		{"behind others", "model = \"x\" # mine\n", "model = \"x\" # mine\n\n[mcp.claudemesh]\n" + lines, "model = \"x\" # mine\n"},
		{
			"an older one in the middle", "a = 1\n\n[mcp.claudemesh]\ncommand = \"old\"\n[mcp.claudemesh.env]\nX = \"1\"\n\n# of b\n[b]\nx = '''\n[no]\n'''\n",
			"a = 1\n\n# of b\n[b]\nx = '''\n[no]\n'''\n\n[mcp.claudemesh]\n" + lines, "a = 1\n\n# of b\n[b]\nx = '''\n[no]\n'''\n",
		},
		{"the same in other words", "[mcp.'claudemesh']\nargs = ['mcp']\ncommand='/bin/claudemesh'\n", "[mcp.'claudemesh']\nargs = ['mcp']\ncommand='/bin/claudemesh'\n", ""},
	}
	for _, c := range cases {
		set, err := SetTOML([]byte(c.text), lines, "mcp", "claudemesh")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, string(set)); diff != "" {
			t.Errorf("%s, set (-want +got):\n%s", c.name, diff)
		}
		deleted, err := DeleteTOML(set, "mcp", "claudemesh")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.deleted, string(deleted)); diff != "" {
			t.Errorf("%s, deleted (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestTOMLOfAnotherShapeIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"mcp = {claudemesh = {command = \"old\"}}\n", "mcp.claudemesh.command = \"old\"\n", "[mcp]\nclaudemesh = {command = \"old\"}\n", "[[mcp]]\nx = 1\n",
	} {
		if got, err := SetTOML([]byte(text), lines, "mcp", "claudemesh"); !errors.Is(err, ErrShape) {
			t.Errorf("set in %q: got %q and %v, want %v", text, got, err, ErrShape)
		}
	}
	if _, err := SetTOML([]byte("a = \n"), lines, "mcp", "claudemesh"); err == nil {
		t.Error("a broken text was changed, want an error")
	}
}

// FuzzTOML holds that a table that was put in can be taken out, and that nothing else moves.
func FuzzTOML(f *testing.F) {
	for _, text := range []string{"", "a = 1", "[a]\nb=2\n\n[[c]]\nd='''\n[x]'''\n", "[mcp]\nx=1\n[mcp.claudemesh.env]\nA='b'\n# end\n", "[mcp.claudemesh] # ours\r\n\r\n[z]\r\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := SetTOML([]byte(text), lines, "mcp", "claudemesh")
		if err != nil {
			return
		}
		again, err := SetTOML(set, lines, "mcp", "claudemesh")
		if err != nil || string(again) != string(set) {
			t.Fatalf("setting twice made %q of %q: %v", again, set, err)
		}
		if _, err := DeleteTOML(set, "mcp", "claudemesh"); err != nil {
			t.Fatalf("deleting from %q, made of %q: %v", set, text, err)
		}
	})
}
