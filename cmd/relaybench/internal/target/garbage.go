//go:build linux

package target

import (
	"strconv"
	"strings"
	"time"
)

// Garbage is what the collector of a Go process has done, by the lines of GODEBUG=gctrace=1.
type Garbage struct {
	Cycles int
	Live   int64         // bytes that were alive after the last cycle, in steps of 1 MB
	Pause  time.Duration // longest time that the process stood still, since ResetPause
	Total  time.Duration // of all of them
}

// read takes one line, such as
//
//	gc 7 @1.204s 1%: 0.032+1.9+0.004 ms clock, 0.064+0.5/1.6/0+0.008 ms cpu, 11->12->6 MB, 12 MB goal, 0 MB stacks, 0 MB globals, 2 P
//
// and says whether it was one. The world stands still in the first and the third part of the clock.
func (g *Garbage) read(line string) bool {
	rest, ok := strings.CutPrefix(line, "gc ")
	if !ok {
		return false
	}
	_, rest, ok = strings.Cut(rest, "%: ")
	if !ok {
		return false
	}
	clock, rest, ok := strings.Cut(rest, " ms clock, ")
	parts := strings.Split(clock, "+")
	if !ok || len(parts) != 3 {
		return false
	}
	for _, i := range []int{0, 2} {
		ms, err := strconv.ParseFloat(parts[i], 64)
		if err != nil {
			return false
		}
		pause := time.Duration(ms * float64(time.Millisecond))
		g.Pause = max(g.Pause, pause)
		g.Total += pause
	}
	g.Cycles++
	_, rest, _ = strings.Cut(rest, " ms cpu, ")
	heap, _, _ := strings.Cut(rest, " MB")
	if sizes := strings.Split(heap, "->"); len(sizes) == 3 {
		if mb, err := strconv.ParseInt(sizes[2], 10, 64); err == nil {
			g.Live = mb << 20
		}
	}
	return true
}

// ResetPause forgets the longest pause, so that the next one is that of a window.
func (p *Process) ResetPause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gc.Pause = 0
}
