package stages

import (
	"fmt"
	"testing"
	"time"
)

const (
	opusPT  = 111
	ssrc    = 0x51515151
	payload = 80
	frame   = 20 * time.Millisecond
	// leastRound is how many packets are made ready at a time when there are few calls.
	leastRound = 1000
)

// stage is one step of a packet's way. make prepares it for a number of calls and gives two functions: ready, not measured, makes the
// packets of the next round; work takes the first n of them, call after call.
type stage struct {
	name string
	make func(b *testing.B, calls, round int) (ready func(), work func(n int))
}

// The order is that of a packet's way.
var all = []stage{
	{"classify", classify},
	{"open", open},
	{"parse", parse},
	{"guard", guard},
	{"window", window},
	{"reception", reception},
	{"timeline", timeline},
	{"toc", toc},
	{"cut40ms", cut},
	{"offer", offer},
	{"seal", seal},
	{"rtcp_in", rtcpIn},
	{"rtcp_out", rtcpOut},
	{"consent_answer", consentAnswer},
}

func BenchmarkStage(b *testing.B) {
	for _, s := range all {
		for _, calls := range []int{1, 1000, 5000} {
			b.Run(fmt.Sprintf("%s/calls=%d", s.name, calls), func(b *testing.B) { s.measure(b, calls) })
		}
	}
}

func (s stage) measure(b *testing.B, calls int) {
	round := calls
	for round < leastRound {
		round += calls
	}
	ready, work := s.make(b, calls, round)
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= round {
		if ready != nil {
			b.StopTimer()
			ready()
			b.StartTimer()
		}
		work(min(left, round))
	}
}
