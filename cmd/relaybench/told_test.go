//go:build linux

package main

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onelane/onelane/cmd/relaybench/internal/report"
	"github.com/onelane/onelane/relay/control/controlpb"
)

func pauses(counts map[time.Duration]uint64) (all []*controlpb.GcPauses) {
	for at, n := range counts {
		all = append(all, &controlpb.GcPauses{AtMost: durationpb.New(at), Count: n})
	}
	return all
}

func TestWhatTheRelayTellsIsThatOfTheWindow(t *testing.T) {
	empty := &controlpb.Process{Goroutines: 7, HeapBytes: 5 << 20, StackBytes: 1 << 20}
	began := &controlpb.Process{
		HeapBytes: 9 << 20, ObjectsAllocated: 5000, GcCycles: 3,
		GcPauses: pauses(map[time.Duration]uint64{50 * time.Microsecond: 5, 9 * time.Millisecond: 1}),
	}
	now := &controlpb.Process{
		Goroutines: 27, HeapBytes: 15 << 20, HeapLiveBytes: 12 << 20, StackBytes: 2 << 20, ObjectsAllocated: 5500, GcCycles: 4,
		GcPauses: pauses(map[time.Duration]uint64{50 * time.Microsecond: 6, 80 * time.Microsecond: 1, 9 * time.Millisecond: 1}),
	}
	want := report.Runtime{
		Known: true, Goroutines: 27, Heap: 15 << 20, HeapPerCall: 1 << 20, HeapLive: 12 << 20, Stack: 2 << 20, StackPerCall: 1 << 20 / 10,
		Allocations: 0.5, Cycles: 1, PauseMax: 80, // the 9 ms were before
	}
	if got := ofRuntime(now, began, empty, 10, 1000); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := ofRuntime(now, now, empty, 0, 0); got.PauseMax != 0 || got.Cycles != 0 || got.HeapPerCall != 0 || got.Allocations != 0 {
		t.Errorf("nothing happened: %+v", got)
	}
	sockets := ofSockets(&controlpb.MediaPlane{SystemCalls: 3000, Wakeups: 700, ReceiveErrors: 5}, &controlpb.MediaPlane{SystemCalls: 500, Wakeups: 200, ReceiveErrors: 2}, 1000)
	if want := (report.Sockets{Known: true, CallsKnown: true, CallsPerPacket: 2.5, WakeupsPerPacket: 0.5, ReceiveErrors: 3}); sockets != want {
		t.Errorf("got %+v, want %+v", sockets, want)
	}
}

func TestRelayThatTellsNothingIsNotTakenForOneThatUsesNothing(t *testing.T) {
	if r, s := ofRuntime(nil, nil, nil, 10, 1000), ofSockets(nil, nil, 1000); r.Known || s.Known || s.CallsKnown {
		t.Errorf("%+v, %+v", r, s)
	}
	if s := ofSockets(&controlpb.MediaPlane{Wakeups: 9}, &controlpb.MediaPlane{}, 3); !s.Known || s.CallsKnown { // sockets of the standard library
		t.Errorf("%+v", s)
	}
}
