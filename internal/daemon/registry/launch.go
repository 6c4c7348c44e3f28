package registry

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/host"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// A launch is forgotten when no session came of it within launchTime; of more than maxLaunches the oldest is.
const (
	launchTime  = 10 * time.Minute
	maxLaunches = 64
)

// launches are the processes that are about to become sessions, with what their human allows them. They are in memory: a
// daemon that ends in between allows less.
type launches struct {
	mu  sync.Mutex
	all []launch
}

type launch struct {
	process host.Process
	at      time.Time
	accepts []localapi.Accepted
}

// Launch notes who may reach the session that a process becomes, also while it acts alone: the word of its human, who starts
// it. The environment could not say so: a session could start another one with it (design E4).
func (r Hooks) Launch(c Caller, accepts []localapi.Accepted) error {
	p, err := host.Find(c.PID)
	if err != nil {
		return err
	}
	l := &r.launches
	l.mu.Lock()
	defer l.mu.Unlock()
	now := r.opt.Now()
	l.all = slices.DeleteFunc(l.all, func(old launch) bool {
		return old.process.PID == p.PID || now.Sub(old.at).Abs() > launchTime
	})
	if len(l.all) >= maxLaunches {
		l.all = l.all[1:]
	}
	l.all = append(l.all, launch{p, now, accepts})
	return nil
}

// allowed is what a human allowed a process at its start, or the one that started it where a system cannot put a program in
// the place of another.
func (l *launches) allowed(p host.Process) []localapi.Accepted {
	starter := p
	if runtime.GOOS == "windows" {
		starter, _ = host.Find(p.Parent) // who has ended has started nothing
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, of := range l.all {
		if of.process.PID == starter.PID && of.process.Start == starter.Start {
			return of.accepts
		}
	}
	return nil
}

// Accepts reports whether a session was started with somebody among those who may reach it while it acts alone: a member of
// a mesh, or its user's own sessions here.
func (r Hooks) Accepts(id string, meshID mesh.ID, member mesh.Key) bool {
	e := r.table.find(id)
	return e != nil && slices.ContainsFunc(e.kept.Accepts, func(a localapi.Accepted) bool { return a.Mesh == meshID && a.Member == member })
}

// Accepted lists them.
func (r Hooks) Accepted(id string) []localapi.Accepted {
	e := r.table.find(id)
	if e == nil {
		return nil
	}
	return slices.Clone(e.kept.Accepts)
}
