package mesh

import "strings"

// TargetKind is the form of an address as a user typed it (daemon 12).
type TargetKind int

// The forms, in the order in which they are tried.
const (
	ToTopic    TargetKind = iota + 1 // #<topic id or name>
	ToGroup                          // @name, @a/b, @all
	ToEveryone                       // *
	ToKey                            // 64 hex
	ToPrefix                         // 16 to 63 hex
	ToName                           // anything else
)

// Target is an address before it is resolved to a key.
type Target struct {
	Kind TargetKind
	Text string // trimmed; lower-case for keys and prefixes; with its # or @
}

// maxTargetBytes bounds an address; group paths are the longest.
const maxTargetBytes = 256

// minPrefix is the shortest key prefix that names a peer (design C7).
const minPrefix = 16

// ParseTarget reads an address. Empty, overlong, control or invisible characters and `@*` are bad_request
// (daemon 11.2: `@*` and `*` would share one fingerprint).
func ParseTarget(s string) (Target, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return Target{}, Errorf(BadRequest, "the message has no recipient")
	case len(s) > maxTargetBytes:
		return Target{}, Errorf(BadRequest, "a recipient has at most %d bytes", maxTargetBytes)
	case !printable(s):
		return Target{}, Errorf(BadRequest, "a recipient has no control or invisible characters: use the first %d or more characters of its key", minPrefix)
	case s == "@*", s == "@", s == "#":
		return Target{}, Errorf(BadRequest, "%q names nobody", s)
	}
	switch {
	case s[0] == '#':
		return Target{ToTopic, s}, nil
	case s[0] == '@':
		return Target{ToGroup, s}, nil
	case s == "*":
		return Target{ToEveryone, s}, nil
	case isHex(s) && len(s) == 64:
		return Target{ToKey, strings.ToLower(s)}, nil
	case isHex(s) && len(s) >= minPrefix && len(s) < 64:
		return Target{ToPrefix, strings.ToLower(s)}, nil
	}
	return Target{ToName, s}, nil
}

// Direct reports whether the target is one peer, so that the body is sealed to a key.
func (t Target) Direct() bool { return t.Kind >= ToKey }
