package presence

import (
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Source is where a status comes from. A higher one ranks above a lower one (wire 7).
type Source int

// The sources.
const (
	Transcript Source = iota + 1 // inferred from what the session wrote: jsonl
	Manual                       // said by the user
	Hook                         // said by the host
)

// sourceNames are the sources as they are written on the wire.
var sourceNames = map[string]Source{"jsonl": Transcript, "manual": Manual, "hook": Hook}

// ParseSource reads a source; empty means Manual. Any other text is bad_request.
func ParseSource(s string) (Source, error) {
	if s == "" {
		return Manual, nil
	}
	if src, ok := sourceNames[s]; ok {
		return src, nil
	}
	return 0, mesh.Errorf(mesh.BadRequest, "source is hook, manual or jsonl")
}

// ParseStatus reads a status; other words than idle, working and dnd are bad_request.
func ParseStatus(s mesh.Status) (mesh.Status, error) {
	switch s {
	case mesh.Idle, mesh.Working, mesh.DND:
		return s, nil
	}
	return "", mesh.Errorf(mesh.BadRequest, "status is idle, working or dnd")
}

// Mood is a status with where it comes from and when it was last said.
type Mood struct {
	Status mesh.Status
	Source Source
	At     time.Time
}

// Rules are the times of the status engine (wire 7).
type Rules struct {
	Fresh time.Duration // a status stands so long against a source of lower rank
	TTL   time.Duration // working turns into idle when nobody says it again for so long
}

// fresh reports whether m was said at most Fresh ago.
func (r Rules) fresh(m Mood, now time.Time) bool {
	age := now.Sub(m.At)
	return age >= 0 && age <= r.Fresh
}

// Write is what m becomes when a source says a status:
//   - do not disturb is the user's own word, whoever passes it on, and only the user takes it back;
//   - a lower source changes nothing while the higher one is fresh, and takes over once it is not;
//   - the same status again is news of its time, and of its source where that ranks as high or the old one is stale.
func (r Rules) Write(m Mood, s mesh.Status, src Source, now time.Time) Mood {
	if s == mesh.DND {
		src = Manual
	}
	lower := src < m.Source
	switch {
	case m.Status == mesh.DND && s != mesh.DND && src != Manual:
		return m
	case s == m.Status && lower && r.fresh(m, now):
		return Mood{s, m.Source, now}
	case s != m.Status && s != mesh.DND && m.Status != mesh.DND && lower && r.fresh(m, now):
		return m
	}
	return Mood{s, src, now}
}

// Decay is what m has become by now: working ends when it was not said again for TTL. Do not disturb does not end.
func (r Rules) Decay(m Mood, now time.Time) Mood {
	if m.Status == mesh.Working && now.Sub(m.At) >= r.TTL {
		return Mood{mesh.Idle, Transcript, now}
	}
	return m
}
