//go:build linux

package main

import (
	"time"

	"github.com/onelane/onelane/cmd/relaybench/internal/report"
	"github.com/onelane/onelane/relay/control/controlpb"
)

// ofRuntime is what a relay tells about its process now, against the beginning of a window and against before the first call.
func ofRuntime(now, began, empty *controlpb.Process, calls int, packets uint64) report.Runtime {
	if now == nil || began == nil || empty == nil {
		return report.Runtime{}
	}
	r := report.Runtime{
		Known: true, Goroutines: now.GetGoroutines(), Heap: int64(now.GetHeapBytes()), HeapLive: int64(now.GetHeapLiveBytes()), Stack: int64(now.GetStackBytes()),
		Cycles: int64(now.GetGcCycles() - began.GetGcCycles()), PauseMax: float64(longestPause(now.GetGcPauses(), began.GetGcPauses())) / 1e3,
	}
	if calls > 0 {
		r.HeapPerCall = (r.Heap - int64(empty.GetHeapBytes())) / int64(calls)
		r.StackPerCall = (r.Stack - int64(empty.GetStackBytes())) / int64(calls)
	}
	if packets > 0 {
		r.Allocations = float64(now.GetObjectsAllocated()-began.GetObjectsAllocated()) / float64(packets)
	}
	return r
}

// longestPause is the bound of the longest pause that now has more of than began; 0 when there was none between them.
func longestPause(now, began []*controlpb.GcPauses) time.Duration {
	counted := make(map[time.Duration]uint64, len(began))
	for _, p := range began {
		counted[p.GetAtMost().AsDuration()] += p.GetCount()
	}
	var longest time.Duration
	for _, p := range now {
		if at := p.GetAtMost().AsDuration(); p.GetCount() > counted[at] {
			longest = max(longest, at)
		}
	}
	return longest
}

// ofSockets is what a relay tells about its media sockets between two times.
func ofSockets(now, began *controlpb.MediaPlane, packets uint64) report.Sockets {
	if now == nil || began == nil {
		return report.Sockets{}
	}
	s := report.Sockets{Known: true, CallsKnown: now.GetSystemCalls() > 0, ReceiveErrors: now.GetReceiveErrors() - began.GetReceiveErrors()}
	if packets > 0 {
		s.CallsPerPacket = float64(now.GetSystemCalls()-began.GetSystemCalls()) / float64(packets)
		s.WakeupsPerPacket = float64(now.GetWakeups()-began.GetWakeups()) / float64(packets)
	}
	return s
}
