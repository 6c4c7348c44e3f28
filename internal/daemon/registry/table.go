package registry

import (
	"cmp"
	"context"
	"crypto/subtle"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// entry is a session with what only the registry needs of it. It is never changed once it is in the table.
type entry struct {
	Session
	tokenHash string
	only      []mesh.ID // meshes it is limited to; none: all
	kept      kept
	rules     *host.Reader
	heard     host.Mode // of the latest hook; empty before the first
	aliases   []string  // ids by which the host called the session later
	proposed  string    // the name that it would have if nobody had it
}

// hostID is the id by which the host calls the session now.
func (e *entry) hostID() string { return cmp.Or(e.kept.Called, e.ID) }

// keyID is the id by which its keys are kept.
func (e *entry) keyID() string {
	if e.kept.Copy == 0 {
		return e.hostID()
	}
	return e.hostID() + "~" + strconv.Itoa(e.kept.Copy)
}

// of reports whether it is a session of a process.
func (e *entry) of(p host.Process) bool { return e.Process.PID == p.PID && e.Process.Start == p.Start }

// lives reports whether its process runs; one that has just ended may still be in the table.
func (e *entry) lives() bool {
	p, err := host.Find(e.Process.PID)
	return err == nil && e.of(p)
}

// has reports whether the token of that hash is the session's.
func (e *entry) has(tokenHash string) bool {
	return subtle.ConstantTimeCompare([]byte(tokenHash), []byte(e.tokenHash)) == 1
}

func (e *entry) setToken(tokenHash string) { e.tokenHash, e.Prefix = tokenHash, tokenHash[:8] }

// table is the sessions in memory. It may be shared; its lock is never held over I/O.
type table struct {
	mu       sync.Mutex
	sessions map[string]*entry
	changed  chan struct{}
}

func newTable() *table { return &table{sessions: map[string]*entry{}, changed: make(chan struct{})} }

// find returns a session by its id; nil when there is none.
func (t *table) find(id string) *entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sessions[id]
}

// list returns all of them, oldest registration first.
func (t *table) list() []*entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*entry, 0, len(t.sessions))
	for _, e := range t.sessions {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int {
		if c := a.Registered.Compare(b.Registered); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all
}

// calledBy returns the session of a process that its host calls by an id now; nil when there is none.
func (t *table) calledBy(id string, p host.Process) *entry {
	for _, e := range t.list() {
		if e.of(p) && e.hostID() == id {
			return e
		}
	}
	return nil
}

// elsewhere reports whether the conversation of an id goes on in a session that lives, other than e.
func (t *table) elsewhere(id string, e *entry) bool {
	return slices.ContainsFunc(t.list(), func(o *entry) bool { return o.ID != e.ID && (o.ID == id || o.hostID() == id) && o.lives() })
}

// taken reports whether a session that lives, other than the one of an id, has one of the keys.
func (t *table) taken(id string, lines []Line) bool {
	for _, e := range t.list() {
		for _, l := range lines {
			if has, ok := e.Line(l.MeshID); ok && e.ID != id && has.Pubkey() == l.Pubkey() && e.lives() {
				return true
			}
		}
	}
	return false
}

// change replaces or, for a nil entry, removes a session, and tells of it.
func (t *table) change(id string, e *entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e == nil {
		delete(t.sessions, id)
	} else {
		t.sessions[id] = e
	}
	close(t.changed)
	t.changed = make(chan struct{})
}

// next is closed at the next change.
func (t *table) next() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// maxNameRunes is the longest name there may be (mesh.CheckName).
const maxNameRunes = 64

// freeName adds -2, -3, … to a name that another session of this machine has, or one that looks like it.
func (t *table) freeName(id, name string) string {
	taken := map[string]*entry{}
	for _, e := range t.list() {
		if e.ID != id {
			taken[mesh.Fold(e.Name)] = e
		}
	}
	free := name
	for n := 2; taken[mesh.Fold(free)] != nil && taken[mesh.Fold(free)].lives(); n++ {
		suffix := "-" + strconv.Itoa(n)
		runes := []rune(name)
		free = strings.TrimSpace(string(runes[:min(len(runes), maxNameRunes-len(suffix))])) + suffix
	}
	return free
}

// numbered reports whether freeName may have made a name of another.
func numbered(name, from string) bool {
	number, ok := strings.CutPrefix(name, from+"-")
	n, err := strconv.Atoi(number)
	return name == from || ok && err == nil && n > 1
}

// turn is held by one at a time, and waiting for it ends with a context.
type turn chan struct{}

func newTurn() turn {
	t := make(turn, 1)
	t <- struct{}{}
	return t
}

// take waits for the turn. The caller gives it back with release.
func (t turn) take(ctx context.Context) error {
	select {
	case <-t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) release() { t <- struct{}{} }

// watchlist is the processes whose end is waited for.
type watchlist struct {
	mu      sync.Mutex
	all     map[host.Process]bool // without their parents, which may change
	pending []host.Process        // of these, those that Run has not taken up yet
	wake    chan struct{}         // tells Run of them
}

func newWatchlist() *watchlist {
	return &watchlist{all: map[host.Process]bool{}, wake: make(chan struct{}, 1)}
}

// add asks Run to wait for the end of a process, once.
func (w *watchlist) add(p host.Process) {
	p.Parent = 0
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all[p] {
		return
	}
	w.all[p] = true
	w.pending = append(w.pending, p)
	select {
	case w.wake <- struct{}{}:
	default: // it is awake already
	}
}

// take returns what was added since the last time.
func (w *watchlist) take() []host.Process {
	w.mu.Lock()
	defer w.mu.Unlock()
	pending := w.pending
	w.pending = nil
	return pending
}

// remove forgets a process that has ended.
func (w *watchlist) remove(p host.Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, p)
}
