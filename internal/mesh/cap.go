package mesh

import (
	"slices"
	"strings"
)

// Cap is one thing that a member lets another do (wire 8.1).
type Cap string

// The capabilities.
const (
	CapRead       Cap = "read"       // see this member in the roster
	CapDM         Cap = "dm"         // write to it
	CapBroadcast  Cap = "broadcast"  // reach it by a group, a topic or everyone
	CapStateRead  Cap = "state-read" // read what it shares
	CapStateWrite Cap = "state-write"
	CapFileRead   Cap = "file-read"
)

// caps lists every capability; the place of each is its bit in Caps, which is stored.
var caps = []Cap{CapRead, CapDM, CapBroadcast, CapStateRead, CapStateWrite, CapFileRead}

// Caps is a set of capabilities. The zero value lets nothing through: its holder is blocked.
type Caps uint8

// DefaultCaps are those of everybody who has no entry of their own (wire 8.1).
const DefaultCaps Caps = 1<<0 | 1<<1 | 1<<2 | 1<<3

// AllCaps are all there are.
const AllCaps Caps = 1<<6 - 1

// ParseCaps reads a list of capabilities. A word that is none is bad_request: left out in silence it would grant less,
// or revoke less, than was asked.
func ParseCaps(list []Cap) (Caps, error) {
	var set Caps
	for _, c := range list {
		bit := CapsOf(c)
		if bit == 0 {
			return 0, Errorf(BadRequest, "%q is no capability: there are %s", c, AllCaps)
		}
		set |= bit
	}
	return set, nil
}

// CapsOf makes a set; what is no capability is not in it.
func CapsOf(list ...Cap) Caps {
	var set Caps
	for _, c := range list {
		if i := slices.Index(caps, c); i >= 0 {
			set |= 1 << i
		}
	}
	return set
}

// Has reports whether every capability of other is in the set.
func (s Caps) Has(other Caps) bool { return s&other == other }

// List gives the capabilities in the order of the specification; never nil, so that a blocked peer is written as [].
func (s Caps) List() []Cap {
	list := []Cap{}
	for i, c := range caps {
		if s&(1<<i) != 0 {
			list = append(list, c)
		}
	}
	return list
}

// String gives the capabilities with spaces between them, "none" for a blocked peer.
func (s Caps) String() string {
	if s == 0 {
		return "none"
	}
	words := make([]string, 0, len(caps))
	for _, c := range s.List() {
		words = append(words, string(c))
	}
	return strings.Join(words, " ")
}

// Grants is what one member lets others do, by their member or session key. A missing entry means DefaultCaps.
type Grants map[Key]Caps

// Of looks a sender up: by its member key first, then by its session key, which may be empty. The member's entry always
// wins, so that no new session escapes a block (wire 8.1).
func (g Grants) Of(member, session Key) Caps {
	if set, ok := g[member]; ok {
		return set
	}
	if set, ok := g[session]; ok && session != "" {
		return set
	}
	return DefaultCaps
}

// Lists gives the entries as they travel (wire 8.1).
func (g Grants) Lists() map[Key][]Cap {
	out := make(map[Key][]Cap, len(g))
	for key, set := range g {
		out[key] = set.List()
	}
	return out
}
