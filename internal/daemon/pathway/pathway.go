// Package pathway knows by which paths messages can come into each session, what speaks for them, and which the next one
// takes (design E1).
package pathway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Record is what is known of one path into a session from what was offered by it.
type Record struct {
	Path     string
	Offered  int
	Surfaced int
	First    time.Time // first proof; zero: none
	Last     time.Time // last proof
}

// Options say what a book works with. All fields are required.
type Options struct {
	// Records reads what was offered to a session before the book was opened. It is called once for each session, and
	// again where it failed.
	Records func(ctx context.Context, session string) ([]Record, error)
	Now     mesh.Clock
}

// Book knows the paths into all sessions. Its methods may be called from any goroutine; none but those that take a
// context block. It holds one entry for each session that it was asked about, until Retain.
type Book struct {
	opt Options

	mu       sync.Mutex
	sessions map[string]*session
	changed  chan struct{}
}

// session is what is known of one.
type session struct {
	ways    map[string]*way
	said    bool      // a process of ours in the session says which paths it has
	hook    time.Time // when one of its hooks was heard last; zero: never
	began   time.Time // when the turn that runs began, by its hook; zero: none runs
	resting bool      // by its hooks
}

// way is one path into a session.
type way struct {
	record  Record
	able    time.Time // since when it is there; zero: it is not
	gone    time.Time // since when it is not
	failed  time.Time // when nothing could be written to it
	why     string    // it failed
	doubted time.Time // when an offer by it was not seen within a whole turn
}

// failTime is for how long a path is left alone to which nothing could be written.
const failTime = 30 * time.Second

// New returns an empty book.
func New(opt Options) *Book {
	return &Book{opt: opt, sessions: map[string]*session{}, changed: make(chan struct{})}
}

// Load makes sure that what was offered to a session before is known.
func (b *Book) Load(ctx context.Context, id string) error {
	b.mu.Lock()
	_, known := b.sessions[id]
	b.mu.Unlock()
	if known {
		return nil
	}
	records, err := b.opt.Records(ctx, id)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sessions[id] != nil {
		return nil
	}
	s := &session{ways: map[string]*way{}}
	for _, path := range localapi.Paths() {
		s.ways[path] = &way{}
	}
	for _, r := range records {
		if w := s.ways[r.Path]; w != nil {
			w.record = r
		}
	}
	s.ways[localapi.PathPoll].able = b.opt.Now()
	b.sessions[id] = s
	return nil
}

// with changes what is known of a loaded session; one that is not is left alone.
func (b *Book) with(id string, change func(s *session, now time.Time) (news bool)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.sessions[id]; s != nil && change(s, b.opt.Now()) {
		close(b.changed)
		b.changed = make(chan struct{})
	}
}

// Changed returns a channel that is closed when another path may be chosen somewhere. Take it before Choose.
func (b *Book) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// Open notes that a process of ours in the session has these paths now, and no others of the paths that need one.
func (b *Book) Open(id string, paths []string) { b.open(id, paths, len(paths) > 0) }

// Close notes that there is no such process any more.
func (b *Book) Close(id string) { b.open(id, nil, false) }

func (b *Book) open(id string, paths []string, said bool) {
	b.with(id, func(s *session, now time.Time) bool {
		s.said = said
		for _, path := range []string{localapi.PathSocket, localapi.PathChannel, localapi.PathTool} {
			w := s.ways[path]
			there := slices.Contains(paths, path)
			switch {
			case there && w.able.IsZero():
				w.able, w.failed = now, time.Time{}
			case !there && !w.able.IsZero():
				w.able, w.gone = time.Time{}, now
			}
		}
		return true
	})
}

// Says reports whether the process of ours in the session said which paths it has. One of an older version does not, and
// chooses for itself.
func (b *Book) Says(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sessions[id]
	return s != nil && s.said
}

// Failed notes that nothing could be written to a path, and why.
func (b *Book) Failed(id, path, why string) {
	b.with(id, func(s *session, now time.Time) bool {
		w := s.ways[path]
		if w == nil {
			return false
		}
		w.failed, w.why = now, why
		return true
	})
}

// Offered notes that messages were written to a path.
func (b *Book) Offered(id, path string, count int) {
	b.with(id, func(s *session, _ time.Time) bool {
		w := s.ways[path]
		if w == nil {
			return false
		}
		w.record.Offered += count
		again := count > 0 && !w.failed.IsZero()
		if again {
			w.failed = time.Time{}
		}
		return again
	})
}

// Proved notes that messages were shown by these paths, one for each time that a path is named.
func (b *Book) Proved(id string, paths []string) {
	b.with(id, func(s *session, now time.Time) bool {
		news := false
		for _, path := range paths {
			w := s.ways[path]
			if w == nil {
				continue
			}
			news = news || w.record.First.IsZero() || !w.doubted.IsZero()
			if w.record.First.IsZero() {
				w.record.First = now
			}
			w.record.Surfaced++
			w.record.Last, w.doubted = now, time.Time{}
		}
		return news
	})
}

// Doubt notes that what was offered by a path was not seen within a whole turn. A path that was proved stays so.
func (b *Book) Doubt(id, path string) {
	b.with(id, func(s *session, now time.Time) bool {
		w := s.ways[path]
		if w == nil || !w.record.First.IsZero() || !w.doubted.IsZero() {
			return false
		}
		w.doubted = now
		return true
	})
}

// Heard notes that a hook of the session was heard. At the end of a turn it gives the time at which that began, if its
// hook told: what was offered before and was not seen by now is not going to be. Otherwise it gives the zero time.
func (b *Book) Heard(id, event string) (turn time.Time) {
	b.with(id, func(s *session, now time.Time) bool {
		first := s.hook.IsZero()
		s.hook = now
		if first {
			s.ways[localapi.PathHook].able = now
		}
		rested := s.resting
		switch s.resting = event == "Stop"; event {
		case "UserPromptSubmit":
			s.began = now
		case "Stop":
			turn, s.began = s.began, time.Time{}
		}
		return first || rested != s.resting
	})
	return turn
}

// GoesOn notes that the session works on, because its hook gave it something at the end of its turn.
func (b *Book) GoesOn(id string) {
	b.with(id, func(s *session, now time.Time) bool {
		s.resting, s.began = false, now
		return true
	})
}

// Stir has everybody look again who waits for a change: of a session that is loaded.
func (b *Book) Stir(id string) { b.with(id, func(*session, time.Time) bool { return true }) }

// Rests reports whether the session rests, as its hooks tell.
func (b *Book) Rests(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sessions[id]
	return s != nil && s.resting
}

// Provable reports whether hooks of the session were heard, without which nothing can be proved.
func (b *Book) Provable(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sessions[id]
	return s != nil && !s.hook.IsZero()
}

// Untried lists the paths by which nothing is proved: what was offered by one of them and was not seen is tried by the next.
func (b *Book) Untried(id string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	untried := []string{}
	if s := b.sessions[id]; s != nil {
		for _, path := range localapi.Paths() {
			if s.ways[path].record.First.IsZero() {
				untried = append(untried, path)
			}
		}
	}
	return untried
}

// Choose gives the path that the next message takes: the first that is there, that what is written to reaches, and that
// was not found to show nothing. Where that is none of them it is the first that is there, and poll where none is.
func (b *Book) Choose(id string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.sessions[id]; s != nil {
		return s.choose(b.opt.Now())
	}
	return localapi.PathPoll
}

func (s *session) choose(now time.Time) string {
	doubtful := localapi.PathPoll
	for _, path := range localapi.Paths() {
		w := s.ways[path]
		switch {
		case w.able.IsZero() || w.fails(now):
		case w.doubted.IsZero():
			if path == localapi.PathPoll {
				return doubtful
			}
			return path
		case doubtful == localapi.PathPoll:
			doubtful = path
		}
	}
	return doubtful
}

func (w *way) fails(now time.Time) bool {
	since := now.Sub(w.failed)
	return !w.failed.IsZero() && since >= 0 && since < failTime
}

// Retain forgets the sessions that are not to be kept.
func (b *Book) Retain(keep func(id string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.sessions {
		if !keep(id) {
			delete(b.sessions, id)
		}
	}
}
