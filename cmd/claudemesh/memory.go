package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

// A process is quiet when it allocates less than quietBytes a second for quietSeconds, or less than 1/quietShare of its
// heap where that is more: many who are idle are still pinged. It has something to give back when it has allocated
// looseBytes since it did so last, or half of what it then kept.
const (
	quietBytes   = 1 << 20
	quietShare   = 64
	quietSeconds = 3
	looseBytes   = 16 << 20
)

// A large heap may grow by roomBytes between two collections, and at least by half: what thousands of connections leave
// behind while they come is not given back whole.
const (
	roomBytes = 96 << 20
	leastGC   = 50
)

// roomFor is the percentage by which a heap may grow before it is collected, by what it keeps.
func roomFor(live uint64) int {
	return int(max(leastGC, min(brokerGC, roomBytes*100/max(live, 1))))
}

// tend sees to the memory of a broker until ctx ends: it returns memory to the system once after each busy time, and now
// and then in a long quiet one, since a collector that runs seldom would keep what thousands of connections left behind
// for minutes; and with room it says how far the heap may grow.
func tend(ctx context.Context, room bool) {
	percent := brokerGC
	if room {
		debug.SetGCPercent(percent)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var stats runtime.MemStats // package runtime/metrics tells it cheaper, and costs each verb 0.1 ms at its start
	var last, given, kept uint64
	for quiet := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		runtime.ReadMemStats(&stats)
		now := stats.TotalAlloc
		if quiet++; now-last > max(quietBytes, stats.HeapInuse/quietShare) {
			quiet = 0
		}
		last = now
		if quiet >= quietSeconds && now-given > max(looseBytes, kept/2) {
			debug.FreeOSMemory()
			runtime.ReadMemStats(&stats)
			given, kept = now, stats.HeapAlloc
		}
		live := stats.NextGC * 100 / uint64(100+percent)
		if better := roomFor(live); room && (better < percent*9/10 || better > percent*11/10) {
			percent = better
			debug.SetGCPercent(percent)
		}
	}
}
