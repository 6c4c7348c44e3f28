package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

// A process is quiet when it allocates less than quietBytes a second for quietSeconds, and has something to give back when
// it allocated looseBytes since it did so last.
const (
	quietBytes   = 1 << 20
	quietSeconds = 3
	looseBytes   = 16 << 20
)

// giveBack returns memory to the system once after each busy time, until ctx ends. A collector that runs seldom would keep
// what a thousand connections left behind for minutes.
func giveBack(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var stats runtime.MemStats // package runtime/metrics tells it cheaper, and costs each verb 0.1 ms at its start
	var last, given uint64
	for quiet := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		runtime.ReadMemStats(&stats)
		now := stats.TotalAlloc
		if quiet++; now-last > quietBytes {
			quiet = 0
		}
		last = now
		if quiet == quietSeconds && now-given > looseBytes {
			debug.FreeOSMemory()
			given = now
		}
	}
}
