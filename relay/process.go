package relay

import (
	"math"
	"os"
	"runtime/metrics"
	"time"
)

// Process is what the edge's process and its Go runtime hold and did.
type Process struct {
	Goroutines       int
	Heap, HeapLive   uint64 // bytes: objects with garbage, and what the last collection found alive
	Stack            uint64 // bytes
	Allocated        uint64 // objects since the start
	Descriptors      int    // open; 0: not known
	DescriptorsLimit int    // 0: not known
	Collections      uint64
	Pauses           []Pauses // the world stood still for the collector; shortest first
}

// Pauses are those of about one length.
type Pauses struct {
	AtMost time.Duration
	Count  uint64
}

// Names of what the runtime is asked for (runtime/metrics).
const (
	goroutines  = "/sched/goroutines:goroutines"
	heapObjects = "/memory/classes/heap/objects:bytes"
	heapLive    = "/gc/heap/live:bytes"
	heapStacks  = "/memory/classes/heap/stacks:bytes"
	allocated   = "/gc/heap/allocs:objects"
	collections = "/gc/cycles/total:gc-cycles"
	gcPauses    = "/sched/pauses/total/gc:seconds"
)

// readProcess asks the runtime and the kernel. It stops no other goroutine.
func readProcess() Process {
	names := []string{goroutines, heapObjects, heapLive, heapStacks, allocated, collections, gcPauses}
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	metrics.Read(samples)
	p := Process{Descriptors: openDescriptors()}
	for _, s := range samples {
		switch s.Value.Kind() {
		case metrics.KindUint64:
			p.set(s.Name, s.Value.Uint64())
		case metrics.KindFloat64Histogram:
			p.Pauses = pauses(s.Value.Float64Histogram())
		}
	}
	return p
}

func (p *Process) set(name string, v uint64) {
	switch name {
	case goroutines:
		p.Goroutines = int(v)
	case heapObjects:
		p.Heap = v
	case heapLive:
		p.HeapLive = v
	case heapStacks:
		p.Stack = v
	case allocated:
		p.Allocated = v
	case collections:
		p.Collections = v
	}
}

// pauses lists the classes of a histogram of seconds that have something in them.
func pauses(h *metrics.Float64Histogram) []Pauses {
	var all []Pauses
	for i, n := range h.Counts {
		if n == 0 {
			continue
		}
		bound := h.Buckets[i+1]
		if math.IsInf(bound, 1) { // longer than anything that the runtime has a class for
			bound = h.Buckets[i]
		}
		all = append(all, Pauses{AtMost: time.Duration(math.Ceil(bound * 1e9)), Count: n})
	}
	return all
}

// openDescriptors counts them where the kernel lists them.
func openDescriptors() int {
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return 0
	}
	return len(names) - 1 // without the one that listed them
}
