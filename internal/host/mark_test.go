package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMarks(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	me, err := Find(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	parent, err := Find(me.Parent)
	if err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(folder, "a.process")
	for _, step := range []struct {
		name string
		p    Process
		want bool
	}{
		{"this process", me, true},
		{"its parent", parent, true},
		{"an earlier process of that id", Process{PID: me.PID, Start: "earlier"}, false},
		{"another one", Process{PID: 1 << 30, Start: me.Start}, false},
	} {
		if err := WriteMark(mark, step.p); err != nil {
			t.Fatal(err)
		}
		if got := Within(os.Getpid(), Marked(folder)); got != step.want {
			t.Errorf("%s: within is %v, want %v", step.name, got, step.want)
		}
	}
	for name, text := range map[string]string{"b.process": "", "c.process": "x y", "d.process": "-1 z", "e.process": "7", "f.token": "1 x"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := Marked(folder); len(got) != 1 {
		t.Errorf("got %v, want the one mark that can be read", got)
	}
	if Marked(filepath.Join(folder, "missing")) != nil || Within(os.Getpid(), nil) {
		t.Error("without marks nothing is within a session")
	}
}
