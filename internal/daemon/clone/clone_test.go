package clone

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// vectors are the known answers of both systems.
type vectors struct {
	HostFingerprint []struct {
		ID     string
		Inputs struct {
			HostID    string `json:"host_id"`
			StableMAC string `json:"stable_mac"`
		}
		Expected struct {
			V1 string `json:"v1_fingerprint_hex"`
			V2 string `json:"v2_fingerprint_hex"`
		}
	} `json:"host_fingerprint"`
	StableMAC []struct {
		ID         string
		Interfaces map[string][]string
		Expected   struct {
			V1 string `json:"v1_mac"`
			V2 string `json:"v2_mac"`
		}
	} `json:"stable_mac_selection"`
}

func TestVectors(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../seal/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	for _, c := range v.HostFingerprint {
		one, two := fingerprint(first, c.Inputs.HostID, c.Inputs.StableMAC), fingerprint(ours, c.Inputs.HostID, c.Inputs.StableMAC)
		if one != c.Expected.V1 || two != c.Expected.V2 {
			t.Errorf("%s: got %s and %s, want %s and %s", c.ID, one, two, c.Expected.V1, c.Expected.V2)
		}
	}
	for _, c := range v.StableMAC {
		f := Facts{Interfaces: c.Interfaces}
		if one, two := f.stableMAC(first), f.stableMAC(ours); one != c.Expected.V1 || two != c.Expected.V2 {
			t.Errorf("%s: got %q and %q, want %q and %q", c.ID, one, two, c.Expected.V1, c.Expected.V2)
		}
	}
	if len(v.HostFingerprint) == 0 || len(v.StableMAC) == 0 {
		t.Error("there are no vectors")
	}
}

func card(mac string) map[string][]string { return map[string][]string{"eth0": {mac}} }

// The matrix of situations (daemon 2.4): what is said, and whether the record is the one of this machine afterwards.
func TestLesson123Check(t *testing.T) {
	t.Parallel()
	const a, b = "f0:18:98:aa:bb:cc", "f0:18:98:00:00:01"
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	record := func(version int, hostID, mac string) string {
		text, err := json.Marshal(record{version, fingerprint(version, hostID, mac), hostID, mac, "2026-01-01T00:00:00.000Z"})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, c := range map[string]struct {
		text string
		here Facts
		want Verdict
		ours bool
	}{
		"no file":                        {"", Facts{"linux:1", card(a)}, First, true},
		"the same":                       {record(2, "linux:1", a), Facts{"linux:1", card(a)}, Same, true},
		"another card":                   {record(2, "linux:1", a), Facts{"linux:1", card(b)}, Same, true},
		"another machine":                {record(2, "linux:1", a), Facts{"linux:2", card(a)}, Other, false},
		"a machine without a name":       {record(2, "linux:1", a), Facts{"", card(a)}, Other, false},
		"no names, another card":         {record(2, "", a), Facts{"", card(b)}, Drifted, true},
		"no names, the same card":        {record(2, "", a), Facts{"", card(a)}, Same, true},
		"first version":                  {record(1, "linux:1", a), Facts{"linux:1", card(a)}, Same, true},
		"first version, another card":    {record(1, "linux:1", a), Facts{"linux:1", card(b)}, Same, true},
		"first version, another machine": {record(1, "linux:1", a), Facts{"linux:2", card(a)}, Other, false},
		"first version of macOS":         {record(1, "", a), Facts{"darwin:U", card(a)}, Same, true},
		"first version of macOS, moved":  {record(1, "", a), Facts{"darwin:U", card(b)}, Drifted, true},
		"a newer version":                {record(3, "linux:1", a), Facts{"linux:1", card(a)}, Unknown, false},
		"no record":                      {"{", Facts{"linux:1", card(a)}, Unknown, false},
	} {
		path := filepath.Join(t.TempDir(), "host_fingerprint.json")
		if c.text != "" {
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if looked, _ := Look(path, c.here); looked != c.want {
			t.Errorf("%s: got %d from a look, want %d", name, looked, c.want)
		}
		if text, _ := os.ReadFile(path); string(text) != c.text {
			t.Errorf("%s: a look changed the record", name)
		}
		got, _, err := Check(path, c.here, now)
		if err != nil || got != c.want {
			t.Errorf("%s: got %d, %v, want %d", name, got, err, c.want)
		}
		r, err := read(path)
		mine := err == nil && r.SchemaVersion == ours && r.Fingerprint == fingerprint(ours, c.here.HostID, c.here.stableMAC(ours))
		if mine != c.ours {
			t.Errorf("%s: got %+v, want the record of this machine: %t", name, r, c.ours)
		}
		if text, _ := os.ReadFile(path); !c.ours && string(text) != c.text {
			t.Errorf("%s: the record changed to %s", name, text)
		}
		if prefix, err := Accept(path, c.here, now); err != nil || len(prefix) != 16 {
			t.Errorf("%s: accept: got %q, %v, want 16 digits", name, prefix, err)
		}
		if got, _, _ := Check(path, c.here, now); got != Same {
			t.Errorf("%s: got %d after it was accepted, want the same machine", name, got)
		}
	}
}

func TestHere(t *testing.T) {
	t.Parallel()
	one, two := Here(t.Context()), Here(t.Context())
	if one.HostID != two.HostID || one.stableMAC(ours) != two.stableMAC(ours) {
		t.Errorf("got %+v and %+v, want one machine", one, two)
	}
}
