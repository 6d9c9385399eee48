package shard

import (
	"fmt"
	"testing"

	"github.com/onelane/onelane/ice/udp"
)

// BenchmarkCore is a packet's whole way through the Core: opened, checked, placed on the lane, sealed. The calls are touched in turn, as
// in life, so that every packet of many calls meets a cold cache.
func BenchmarkCore(b *testing.B) {
	for _, calls := range []int{1, 1000, 5000} {
		b.Run(fmt.Sprintf("echo/calls=%d", calls), func(b *testing.B) {
			r := newRig(b)
			phones := make([]*phone, calls)
			for i := range phones {
				phones[i] = r.live()
				phones[i].core.AttachEcho(phones[i].ref, 1)
				phones[i].core.Select(phones[i].ref, 1)
				r.core.find(phones[i].ref).rare.consent = nil
			}
			payload := append([]byte{9 << 3}, make([]byte, 79)...)
			sealed := make([]udp.Datagram, calls)
			in := make([]udp.Datagram, 64)
			b.ReportAllocs()
			b.ResetTimer()
			n := 0
			for n < b.N {
				b.StopTimer()
				for i, p := range phones {
					sealed[i] = p.say(payload...)
				}
				b.StartTimer()
				for at := 0; at < calls && n < b.N; at += len(in) {
					batch := sealed[at:min(at+len(in), calls)]
					r.core.Turn(r.now, batch)
					n += len(batch)
				}
				r.now += 20 * ms
				r.core.Events()
			}
		})
	}
}
