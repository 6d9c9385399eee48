package relay

import (
	"fmt"
	"time"
)

// portRange hands out the port numbers of one shard: a part of the configured range. A number rests after it was given back, so that a
// late packet of an old call never meets a new one. Guarded by Server.mu.
type portRange struct {
	rest    time.Duration
	free    []uint16 // first in, first out: the longest unused goes first
	resting []restingPort
	total   int
}

type restingPort struct {
	number uint16
	until  time.Duration
}

func newPortRange(first, last uint16, rest time.Duration) *portRange {
	r := &portRange{rest: rest}
	for p := int(first); p <= int(last); p++ {
		r.free = append(r.free, uint16(p))
	}
	r.total = len(r.free)
	return r
}

// take gives a port number out.
func (r *portRange) take(now time.Duration) (uint16, bool) {
	r.wake(now)
	if len(r.free) == 0 {
		return 0, false
	}
	p := r.free[0]
	r.free = r.free[1:]
	return p, true
}

// give takes a number back; it rests before it is used again.
func (r *portRange) give(now time.Duration, p uint16) {
	r.resting = append(r.resting, restingPort{number: p, until: now + r.rest})
}

// wake frees the numbers that have rested.
func (r *portRange) wake(now time.Duration) {
	n := 0
	for n < len(r.resting) && r.resting[n].until <= now {
		r.free = append(r.free, r.resting[n].number)
		n++
	}
	r.resting = r.resting[n:]
}

// splitPorts divides a range evenly over the shards.
func splitPorts(first, last uint16, shards int, rest time.Duration) ([]*portRange, error) {
	n := int(last) - int(first) + 1
	if n < shards {
		return nil, fmt.Errorf("media.port_min..port_max holds %d ports for %d shards: widen the range or lower media.shards", n, shards)
	}
	ranges := make([]*portRange, shards)
	at := int(first)
	for i := range ranges {
		size := n / shards
		if i < n%shards {
			size++
		}
		ranges[i] = newPortRange(uint16(at), uint16(at+size-1), rest)
		at += size
	}
	return ranges, nil
}
