package buildinfo

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	recorded := func(version string) *debug.BuildInfo {
		return &debug.BuildInfo{
			Main: debug.Module{Version: version},
			Settings: []debug.BuildSetting{
				{Key: "vcs.revision", Value: "feed"},
				{Key: "vcs.time", Value: "2026-02-03T04:05:06Z"},
			},
		}
	}
	tests := []struct {
		name     string
		linked   Info
		recorded *debug.BuildInfo
		want     Info
	}{
		{"nothing known", Info{}, nil, Info{Version: "dev"}},
		{"nothing recorded", Info{}, &debug.BuildInfo{}, Info{Version: "dev"}},
		{"untagged tree", Info{}, recorded("(devel)"), Info{"dev", "feed", "2026-02-03T04:05:06Z"}},
		{"installed by version", Info{}, recorded("v1.2.3"), Info{"v1.2.3", "feed", "2026-02-03T04:05:06Z"}},
		{"linker names the version", Info{Version: "v9"}, recorded("v1.2.3"), Info{"v9", "feed", "2026-02-03T04:05:06Z"}},
		{"linker names all", Info{"v9", "beef", "then"}, recorded("v1.2.3"), Info{"v9", "beef", "then"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, resolve(tc.linked, tc.recorded)); diff != "" {
				t.Errorf("resolve (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInfoString(t *testing.T) {
	t.Parallel()
	full := Info{Version: "v1.2.3", Commit: "0123456789abcdef", Time: "2026-02-03T04:05:06Z"}.String()
	if want := "v1.2.3 (0123456789ab, 2026-02-03T04:05:06Z, go"; !strings.HasPrefix(full, want) {
		t.Errorf("got %q, want it to begin with %q", full, want)
	}
	if bare := (Info{Version: "dev"}).String(); !strings.HasPrefix(bare, "dev (go") {
		t.Errorf("got %q, want it to begin with %q", bare, "dev (go")
	}
}

func TestReadIsStable(t *testing.T) {
	t.Parallel()
	first := Read()
	if first.Version == "" {
		t.Error("got an empty version, want at least dev")
	}
	if again := Read(); again != first {
		t.Errorf("got %+v, want %+v again", again, first)
	}
	if Version() != first.Version || String() != first.String() {
		t.Errorf("got %q and %q, want %q and %q", Version(), String(), first.Version, first.String())
	}
}
