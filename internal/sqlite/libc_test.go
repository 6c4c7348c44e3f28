package sqlite

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// TestLibcVersion compares modernc.org/libc in our go.mod with the one that modernc.org/sqlite was made with: the
// two are generated together, and another libc can break it in silence.
func TestLibcVersion(t *testing.T) {
	t.Parallel()
	driver, libc := module(t, "modernc.org/sqlite"), module(t, "modernc.org/libc")
	text, err := os.ReadFile(driver.GoMod)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^\s*(?:require )?modernc\.org/libc (\S+)`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s does not name modernc.org/libc", driver.GoMod)
	}
	if want := string(m[1]); libc.Version != want {
		t.Errorf("go.mod has modernc.org/libc %s, want %s as modernc.org/sqlite %s has", libc.Version, want, driver.Version)
	}
}

type listed struct{ Version, GoMod string }

func module(t *testing.T, path string) listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-json", path).Output()
	if err != nil {
		t.Fatalf("go list -m %s: %v", path, err)
	}
	var m listed
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	return m
}
