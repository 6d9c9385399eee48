package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/exp/trace"
)

// stops are what collections did to a process, read from a trace of the Go runtime (runtime/trace).
type stops struct {
	Count int // two a collection
	// Took is the longest by the runtime's own count, which ends when whoever stopped the world goes on. On a CPU that is shared it goes on
	// last: what the shard's thread, which goes first, does before the world has stopped and after it was started again is counted too.
	Took time.Duration
	// Stood is the longest for which nothing ran but who had stopped the world.
	Stood time.Duration
	// Held is the longest for which a shard that was stopped, by whatever, did not go on.
	Held time.Duration
}

// shardLoop is in the stacks of a shard's goroutine.
const shardLoop = "/relay/shard.(*Shard).run"

// reader follows a trace.
type reader struct {
	found   stops
	running map[trace.ProcID]bool
	stopper trace.ProcID // NoProc: the world goes on
	began   trace.Time
	still   trace.Time                // since when nothing else runs; 0: something does
	shards  map[trace.GoID]trace.Time // when they were stopped; 0: they were not
}

func readStops(r io.Reader) (stops, error) {
	t, err := trace.NewReader(r)
	if err != nil {
		return stops{}, fmt.Errorf("read trace: %w", err)
	}
	f := reader{running: map[trace.ProcID]bool{}, stopper: trace.NoProc, shards: map[trace.GoID]trace.Time{}}
	for {
		e, err := t.ReadEvent()
		switch {
		case errors.Is(err, io.EOF):
			return f.found, nil
		case err != nil:
			return f.found, fmt.Errorf("read trace: %w", err)
		}
		f.event(e)
	}
}

func (f *reader) event(e trace.Event) {
	switch e.Kind() {
	case trace.EventRangeBegin:
		if strings.HasPrefix(e.Range().Name, "stop-the-world (GC") {
			f.stopper, f.began, f.still = e.Proc(), e.Time(), 0
			f.look(e.Time())
		}
	case trace.EventRangeEnd:
		if f.stopper != trace.NoProc && strings.HasPrefix(e.Range().Name, "stop-the-world (GC") {
			f.found.Count++
			f.found.Took = max(f.found.Took, e.Time().Sub(f.began))
			f.goesOn(e.Time())
			f.stopper = trace.NoProc
		}
	case trace.EventStateTransition:
		switch s := e.StateTransition(); s.Resource.Kind {
		case trace.ResourceProc:
			_, to := s.Proc()
			f.running[s.Resource.Proc()] = to.Executing()
			f.look(e.Time())
		case trace.ResourceGoroutine:
			f.goroutine(e.Time(), s)
		}
	}
}

// look notes whether, in a stop, something runs beside the stopper.
func (f *reader) look(now trace.Time) {
	if f.stopper == trace.NoProc {
		return
	}
	for p, runs := range f.running {
		if runs && p != f.stopper {
			f.goesOn(now)
			return
		}
	}
	if f.still == 0 {
		f.still = now
	}
}

func (f *reader) goesOn(now trace.Time) {
	if f.still != 0 {
		f.found.Stood = max(f.found.Stood, now.Sub(f.still))
		f.still = 0
	}
}

// goroutine notes when a shard is stopped in the middle of its work and when it goes on.
func (f *reader) goroutine(now trace.Time, s trace.StateTransition) {
	id := s.Resource.Goroutine()
	from, to := s.Goroutine()
	switch {
	case from == trace.GoRunning && to == trace.GoRunnable && isShard(s.Stack):
		f.shards[id] = now
	case to == trace.GoRunning && f.shards[id] != 0:
		f.found.Held = max(f.found.Held, now.Sub(f.shards[id]))
		f.shards[id] = 0
	}
}

func isShard(s trace.Stack) bool {
	for frame := range s.Frames() {
		if strings.HasSuffix(frame.Func, shardLoop) {
			return true
		}
	}
	return false
}
