package service

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// giveBackMemory returns free memory to the system after a run or a long answer. The
// service is idle most of the time, and Go would keep the memory for minutes.
func (s *Service) giveBackMemory(ctx context.Context) {
	const (
		every  = 5 * time.Second
		enough = 2 << 20 // bytes that are worth a collection
	)
	tick := time.NewTicker(every)
	defer tick.Stop()
	taken := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
	heap := func() (n uint64) {
		metrics.Read(taken)
		for _, sample := range taken {
			n += sample.Value.Uint64()
		}
		return n
	}
	for least := uint64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if heap() > least+enough && s.sched.Status().Running.Start.IsZero() {
			runtime.GC() // what pools keep for the next request outlives one collection
			debug.FreeOSMemory()
			least = heap()
		}
	}
}
