package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// patience is how long a verb may last before it is told of signals. Listening for them takes a seventh of what a short verb
// takes; until then a signal ends the process, which leaves nothing half done.
const patience = 50 * time.Millisecond

// signals ends a context at the first interrupt; the second one ends the process.
type signals struct {
	ctx   context.Context
	begin func() // listens from now on; what lasts calls it first
	stop  func()
}

func newSignals() signals {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	begin := sync.OnceFunc(func() {
		came := make(chan os.Signal, 1)
		signal.Notify(came, os.Interrupt, syscall.SIGTERM)
		go func() {
			select {
			case <-came:
				cancel()
			case <-ended:
			}
			signal.Stop(came)
		}()
	})
	timer := time.AfterFunc(patience, begin)
	return signals{ctx, begin, sync.OnceFunc(func() {
		timer.Stop()
		close(ended)
		cancel()
	})}
}
