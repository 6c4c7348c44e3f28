// Package clone notices that a daemon's files are on another machine than the one that they were made on: a home that was
// copied, an image that was restored. It is no defence against who copies its record too (daemon 2.4).
package clone

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Facts are what tells one machine from another.
type Facts struct {
	HostID     string              // with the system's name before it; empty where the system has none
	Interfaces map[string][]string // hardware addresses by name of the network interface, in lower case with colons
}

// Verdict is what a check found.
type Verdict int

// The verdicts.
const (
	First   Verdict = iota // there was no record: it is written
	Same                   // the machine of the record
	Drifted                // only network hardware differs, and nothing else tells machines apart: the record is renewed
	Other                  // another machine: the record stays
	Unknown                // the record cannot be read, or is of a newer version: it stays
)

// record is the file, in the words of both systems.
type record struct {
	SchemaVersion int    `json:"schema_version"`
	Fingerprint   string `json:"fingerprint"`
	HostID        string `json:"host_id"`
	StableMAC     string `json:"stable_mac"`
	WrittenAt     string `json:"written_at"`
}

// The versions of a fingerprint.
const (
	first = 1 // of the TypeScript system, once
	ours  = 2
)

// fingerprint is hex SHA-256 over host id and address; the second version has its name in front (crypto 16).
func fingerprint(version int, hostID, mac string) string {
	text := hostID + "\x00" + mac
	if version == ours {
		text = "v2\x00" + text
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// What is no hardware of the machine, by the beginning of its name, and what the second version adds.
var (
	virtual = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)^(lo|docker|br-|veth|tap|tun|tailscale|wg|utun|ppp|vboxnet|vmnet|awdl|llw)`)
	})
	virtualToo = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)^(bridge|anpi|ap[0-9])`) })
)

// stableMAC is the first address by the name of its interface. The second version takes one that software chose, as private
// Wi-Fi does, only where there is no other.
func (f Facts) stableMAC(version int) string {
	names := make([]string, 0, len(f.Interfaces))
	for name := range f.Interfaces {
		if !virtual().MatchString(name) && (version == first || !virtualToo().MatchString(name)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	chosen := ""
	for _, name := range names {
		for _, mac := range f.Interfaces[name] {
			if mac == "" || strings.Trim(mac, "0:") == "" {
				continue
			}
			if version == first || !localMAC(mac) {
				return mac
			}
			if chosen == "" {
				chosen = mac
			}
			break
		}
	}
	return chosen
}

// localMAC reports whether software chose an address.
func localMAC(mac string) bool {
	b, err := hex.DecodeString(mac[:min(len(mac), 2)])
	return err == nil && len(b) == 1 && b[0]&2 != 0
}

// hostIDv1 is the host id of the first version, which knew Linux only.
func (f Facts) hostIDv1() string {
	if strings.HasPrefix(f.HostID, "linux:") {
		return f.HostID
	}
	return ""
}

// Check compares this machine with the record at path, and writes it where it may: a record of the first version that fits
// becomes one of the second. stored is the host id of the record.
func Check(path string, here Facts, now time.Time) (v Verdict, stored string, err error) {
	v, r := look(path, here)
	if v == First || v == Drifted || v == Same && (r.SchemaVersion == first || r.StableMAC != here.stableMAC(ours)) {
		_, err = Accept(path, here, now)
	}
	return v, r.HostID, err
}

// Look is Check that writes nothing.
func Look(path string, here Facts) (v Verdict, stored string) {
	v, r := look(path, here)
	return v, r.HostID
}

func look(path string, here Facts) (Verdict, record) {
	r, err := read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return First, record{}
	case err != nil, r.SchemaVersion < first, r.SchemaVersion > ours:
		return Unknown, record{}
	}
	return r.compare(here), r
}

func (r record) compare(here Facts) Verdict {
	hostID, mac := here.HostID, here.stableMAC(ours)
	if r.SchemaVersion == first {
		hostID, mac = here.hostIDv1(), here.stableMAC(first)
	}
	switch {
	case r.Fingerprint == fingerprint(r.SchemaVersion, hostID, mac):
		return Same
	case r.HostID != hostID:
		return Other
	case hostID != "":
		return Same // only its network hardware changed
	}
	return Drifted
}

func read(path string) (record, error) {
	var r record
	text, _, err := paths.ReadSecret(path)
	if err == nil {
		err = wire.Decode(text, &r)
	}
	return r, err
}

// prefixDigits are shown of a fingerprint.
const prefixDigits = 16

// Accept makes this machine the one of the record, and gives the first 16 digits of its fingerprint.
func Accept(path string, here Facts, now time.Time) (prefix string, err error) {
	mac := here.stableMAC(ours)
	r := record{ours, fingerprint(ours, here.HostID, mac), here.HostID, mac, mesh.FormatTime(now)}
	text, err := wire.EncodeIndent(r)
	if err != nil {
		return "", err
	}
	return r.Fingerprint[:prefixDigits], paths.WriteSecret(path, append(text, '\n'))
}
